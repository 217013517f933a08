/* TREC SGML: <DOC><DOCNO>id</DOCNO> … <TEXT>words</TEXT></DOC>, as the collections of the Text REtrieval Conferences have it.
 * It is no XML: tags come in either case, entities are few, and "<" may stand alone. The text is what <TEXT> elements hold,
 * or where there are none, all but the number and the title. */
#include "retrieve/documents.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_DOC = 64 << 20, MOST_TAG = 1000 /* bytes between < and > */ };

static const char *const ids[] = {"DOCNO", "DOCID", NULL}, *const titles[] = {"TITLE", "HEADLINE", "HL", "HEAD", "TTL", NULL},
                         *const texts[] = {"TEXT", NULL}, *const hidden[] = {"DOCHDR", "DOCOLDNO", "DOCTYPE", NULL};

/* Case-blind search; documents are short. */
static const char *find(const char *p, const char *end, const char *what)
{
    size_t n = strlen(what);
    for (; (size_t)(end - p) >= n; p++) {
        p = memchr(p, what[0], (size_t)(end - p));
        if (!p || (size_t)(end - p) < n) return NULL;
        if (!strncasecmp(p, what, n)) return p;
    }
    return NULL;
}

bool lt_sgml_begins(const char *line, size_t size)
{
    const char *p = line, *end = line + size;
    if (size >= 3 && !memcmp(p, "\xEF\xBB\xBF", 3)) p += 3;
    while (p < end && isspace((unsigned char)*p)) p++;
    return (end - p >= 5 && !strncasecmp(p, "<DOC>", 5)) || (end - p >= 5 && !strncasecmp(p, "<?xml", 5));
}

/* ---- taking a document apart ------------------------------------------------------------------------------------- */

struct tag {
    const char *name;
    int size;
    bool closes;
    const char *end;
};

/* A tag at p ('<'), or false where the '<' is only a character. */
static bool tag_at(const char *p, const char *end, struct tag *t)
{
    const char *limit = end - p > MOST_TAG ? p + MOST_TAG : end, *q = p + 1;
    t->closes = q < limit && *q == '/';
    if (t->closes) q++;
    t->name = q;
    while (q < limit && (isalnum((unsigned char)*q) || *q == '-' || *q == '_')) q++;
    t->size = (int)(q - t->name);
    bool declaration = !t->closes && !t->size && q < limit && (*q == '!' || *q == '?');
    const char *close = memchr(q, '>', (size_t)(limit - q));
    if (!close || (!declaration && (!t->size || !isalpha((unsigned char)t->name[0])))) return false;
    t->end = close + 1;
    return true;
}

static bool is_one_of(const struct tag *t, const char *const *names)
{
    for (; *names; names++)
        if ((int)strlen(*names) == t->size && !strncasecmp(*names, t->name, (size_t)t->size)) return true;
    return false;
}

/* "&amp;" and its like; 0: not one of them. */
static int entity(const char *p, const char *end, uint32_t *c)
{
    static const struct {
        const char *name;
        uint32_t c;
    } known[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&nbsp;", ' '}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = strlen(known[i].name);
        *c = known[i].c;
        if ((size_t)(end - p) >= n && !strncasecmp(p, known[i].name, n)) return (int)n;
    }
    bool hex = end - p > 3 && p[1] == '#' && (p[2] == 'x' || p[2] == 'X');
    if (end - p < 4 || p[1] != '#') return 0;
    const char *q = p + (hex ? 3 : 2), *first = q;
    uint32_t code = 0;
    for (; q < end && q - first < 8 && (hex ? isxdigit((unsigned char)*q) : isdigit((unsigned char)*q)); q++)
        code = code * (hex ? 16 : 10) + (uint32_t)(isdigit((unsigned char)*q) ? *q - '0' : tolower((unsigned char)*q) - 'a' + 10);
    if (q == first || q == end || *q != ';' || !code || code > 0x10FFFF) return 0;
    *c = code;
    return (int)(q + 1 - p);
}

static void put_text(lt_str *s, const char *p, const char *end)
{
    while (p < end) {
        const char *and = memchr(p, '&', (size_t)(end - p)), *stop = and? and : end;
        lt_str_add(s, p, (size_t)(stop - p));
        p = stop;
        if (p == end) break;
        uint32_t c;
        char utf8[4];
        int n = entity(p, end, &c);
        if (n)
            lt_str_add(s, utf8, (size_t)lt_utf8_put(c, utf8));
        else
            lt_str_add(s, p, 1);
        p += n ? n : 1;
    }
}

static void trim(lt_str *s)
{
    size_t from = 0;
    while (s->size && isspace((unsigned char)s->data[s->size - 1])) s->size--;
    while (from < s->size && isspace((unsigned char)s->data[from])) from++;
    if (from) memmove(s->data, s->data + from, s->size - from);
    s->size -= from;
    if (s->data) s->data[s->size] = 0;
}

/* Walks the document once; what lies outside <TEXT> is kept apart, in case that is all there is. */
static void take_apart(lt_sgml *s, const char *p, const char *end)
{
    const char *const *in = NULL; /* the named element that we are in */
    bool has_text = false;
    lt_str rest = {0};
    lt_str_clear(&s->id);
    lt_str_clear(&s->title);
    lt_str_clear(&s->text);
    while (p < end) {
        struct tag t = {0};
        const char *open = memchr(p, '<', (size_t)(end - p)), *stop = open ? open : end;
        bool is_tag = open && tag_at(open, end, &t);
        if (open && !is_tag) stop = open + 1;
        lt_str *to = in == ids ? &s->id : in == titles ? &s->title : in == texts ? &s->text : &rest;
        if (in != hidden && (in != ids || !to->size)) put_text(to, p, stop);
        p = stop;
        if (!is_tag) continue;
        if (in != ids) lt_str_puts(to, " ");
        const char *const *kind = is_one_of(&t, ids)      ? ids
                                  : is_one_of(&t, titles) ? titles
                                  : is_one_of(&t, texts)  ? texts
                                  : is_one_of(&t, hidden) ? hidden
                                                          : NULL;
        /* A title inside the text is text. */
        if (!t.closes && !in)
            in = kind;
        else if (t.closes && kind && kind == in)
            in = NULL;
        has_text |= kind == texts;
        p = t.end;
    }
    if (!has_text) lt_str_add(&s->text, rest.data, rest.size);
    s->text.failed |= rest.failed;
    lt_str_free(&rest);
    trim(&s->id);
    trim(&s->title);
    trim(&s->text);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

/* Drops what is done with and adds a line. */
static void take_line(lt_sgml *s, const char *line, size_t size)
{
    lt_str *b = &s->buffer;
    if (s->at) memmove(b->data, b->data + s->at, b->size - s->at);
    b->size -= s->at;
    s->searched -= s->searched < s->at ? s->searched : s->at;
    s->at = 0;
    lt_str_add(b, line, size);
    lt_str_puts(b, "\n");
}

static lt_sgml_state look(lt_sgml *s, int64_t number)
{
    const char *data = s->buffer.data, *end = data + s->buffer.size;
    if (!s->inside) {
        const char *open = data ? find(data + s->at, end, "<DOC>") : NULL;
        s->at = open ? (size_t)(open + 5 - data) : s->buffer.size;
        s->searched = s->at;
        s->inside = open;
        if (!open) return LT_SGML_MORE;
        if (number) s->line = number;
    }
    const char *close = find(data + (s->searched > s->at + 5 ? s->searched - 5 : s->at), end, "</DOC>");
    s->searched = s->buffer.size;
    if (!close) return LT_SGML_MORE;
    take_apart(s, data + s->at, close);
    s->at = (size_t)(close + 6 - data);
    s->inside = false;
    return LT_SGML_DOCUMENT;
}

lt_sgml_state lt_sgml_line(lt_ctx *cx, lt_sgml *s, const char *line, size_t size, const char *file, int64_t number)
{
    if (line) take_line(s, line, size);
    lt_sgml_state state = s->buffer.failed ? LT_SGML_ERROR : look(s, number);
    if (s->buffer.failed || s->id.failed || s->title.failed || s->text.failed)
        lt_fail(cx, LT_ERR_MEMORY, "%s line %lld: no memory for a document", file, (long long)number);
    if (s->inside && s->buffer.size - s->at > MOST_DOC)
        lt_fail(cx, LT_ERR_INPUT, "%s line %lld: <DOC> is longer than %d bytes", file, (long long)s->line, MOST_DOC);
    return lt_ok(cx) ? state : LT_SGML_ERROR;
}

void lt_sgml_free(lt_sgml *s)
{
    lt_str_free(&s->buffer);
    lt_str_free(&s->id);
    lt_str_free(&s->title);
    lt_str_free(&s->text);
}
