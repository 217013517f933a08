/* Rows of CoNLL columns (Tjong Kim Sang and De Meulder, CoNLL 2003; Universal Dependencies' CoNLL-U): a token a line, its columns apart by tabs, or by blanks
 * where a line has no tab; an empty line ends a sentence, which is a row with the columns "words" and "tags". These are the first and the last column
 * unless --columns gives numbers (words=2,tags=3); of CoNLL-U the second and the fourth. Comments stand in front of a sentence, behind a "#". */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text/rows.h"

enum { MOST_TOKENS = 1 << 20 }; /* of a sentence: they take more memory than bytes of the file */

typedef struct columns { /* of a line */
    const char *at[64];
    size_t size[64];
    int n; /* all there are, also beyond 64 */
} columns;

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static columns cut(const char *p, size_t size)
{
    columns c = {.n = 0};
    const char *end = p + size;
    const bool tabs = memchr(p, '\t', size) != NULL;
    while (p < end || (tabs && p == end)) {
        while (!tabs && p < end && is_blank(*p)) p++;
        if (!tabs && p == end) break;
        const char *begin = p;
        while (p < end && (tabs ? *p != '\t' : !is_blank(*p))) p++;
        if (c.n < 64) {
            c.at[c.n] = begin;
            c.size[c.n] = (size_t)(p - begin);
        }
        c.n++;
        p++;
    }
    return c;
}

static bool is_empty(const char *p, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!is_blank(p[i])) return false;
    return true;
}

static bool is_text(const columns *c, const char *text) { return c->n > 0 && c->size[0] == strlen(text) && memcmp(c->at[0], text, c->size[0]) == 0; }

/* In front of a sentence. A "#" may be a token too: then it has as many columns as tokens have, no more than two where tabs tell them apart. */
static bool is_comment(const lt_rows *r, const char *p, size_t size, const columns *c)
{
    if (is_text(c, "-DOCSTART-")) return true;
    if (!size || *p != '#') return false;
    const bool tabs = memchr(p, '\t', size) != NULL;
    if (tabs) return is_text(c, "#") && c->n > 2;
    return size == 1 || p[1] == ' ' ? c->n != r->token_columns : r->token_columns > 1 && c->n != r->token_columns;
}

/* Which column, counted from 0: the number that --columns gives, or `usual`. */
static int column_of(const lt_rows *r, const char *ours, int usual)
{
    const char *name = lt_rows_theirs(r, ours);
    char *end;
    const long n = strtol(name, &end, 10);
    return *name && !*end && n >= 1 && n <= 64 ? (int)n - 1 : usual;
}

static bool is_universal(const lt_rows *r)
{
    const char *dot = r->file ? strstr(r->file, ".conllu") : NULL;
    return dot != NULL;
}

typedef struct sentence {
    lt_str words, tags;
    int n;
    bool tagged;
} sentence;

static void put(lt_str *s, int n, const columns *c, int column)
{
    lt_str_puts(s, n ? "," : "[");
    lt_json_put_text(s, c->at[column], c->size[column]);
}

/* Ranges of words ("1-2") and words that are not in the text ("1.1") have numbers of their own. */
static bool is_word(const columns *c)
{
    for (size_t i = 0; i < c->size[0]; i++)
        if (!isdigit((unsigned char)c->at[0][i])) return false;
    return true;
}

static lt_rows_result take_token(lt_ctx *cx, lt_rows *r, const columns *c, sentence *s)
{
    const bool universal = is_universal(r);
    if (universal && !is_word(c)) return LT_ROWS_GOT;
    const int word = column_of(r, "words", universal ? 1 : 0), tag = column_of(r, "tags", universal ? 3 : c->n - 1);
    if (word >= c->n || tag >= c->n || c->n > 64) {
        lt_fail(cx, LT_ERR_INPUT, "%s:%" PRId64 ": expected %d columns, found %d", r->stream->name, r->next_line - 1, (word > tag ? word : tag) + 1, c->n);
        return LT_ROWS_ERROR;
    }
    put(&s->words, s->n, c, word);
    if (tag != word) put(&s->tags, s->n, c, tag);
    if (s->n && (tag != word) != s->tagged) {
        lt_fail(cx, LT_ERR_INPUT, "%s:%" PRId64 ": expected %s, as the tokens before", r->stream->name, r->next_line - 1,
                s->tagged ? "a word and its tag" : "a word alone");
        return LT_ROWS_ERROR;
    }
    s->tagged = tag != word;
    s->n++;
    r->token_columns = c->n;
    const bool small = s->n < MOST_TOKENS && s->words.size + s->tags.size <= r->options.max_line;
    return small || lt_rows_too_long(cx, r) ? LT_ROWS_GOT : LT_ROWS_ERROR;
}

/* The sentence as the JSON object that a row of JSON Lines would be, under the names that --columns looks for. */
static lt_rows_result finish(lt_ctx *cx, lt_rows *r, sentence *s)
{
    const char *words = lt_rows_theirs(r, "words"), *tags = lt_rows_theirs(r, "tags");
    lt_str all = {0};
    lt_str_puts(&all, "{");
    lt_json_put_text(&all, words, strlen(words));
    lt_str_puts(&all, ":");
    lt_str_add(&all, s->words.data, s->words.size);
    if (s->tagged) {
        lt_str_puts(&all, "],");
        lt_json_put_text(&all, tags, strlen(tags));
        lt_str_puts(&all, ":");
        lt_str_add(&all, s->tags.data, s->tags.size);
    }
    lt_str_puts(&all, "]}");
    const bool good = lt_fail_if(cx, all.failed || s->words.failed || s->tags.failed, LT_ERR_MEMORY, "%s:%" PRId64 ": no memory", r->stream->name, r->line);
    if (good) r->json = lt_json_parse_at(cx, all.data, all.size, r->stream->name, (size_t)r->line, 1);
    lt_str_free(&all);
    return r->json ? LT_ROWS_GOT : LT_ROWS_ERROR;
}

static lt_rows_result read_sentence(lt_ctx *cx, lt_rows *r, sentence *s)
{
    for (;;) {
        size_t size, next;
        const int got = lt_rows_line(cx, r, 0, &size, &next);
        if (got < 0) return LT_ROWS_ERROR;
        if (got == 0) return s->n ? finish(cx, r, s) : LT_ROWS_END;
        const char *p = r->buf + r->begin;
        const columns c = cut(p, size);
        const bool empty = is_empty(p, size), skip = empty || (s->n == 0 && is_comment(r, p, size, &c));
        if (s->n == 0) r->line = r->next_line;
        r->next_line++;
        const lt_rows_result result = skip ? LT_ROWS_GOT : take_token(cx, r, &c, s);
        lt_rows_drop(r, next);
        if (result == LT_ROWS_ERROR) return result;
        if (empty && s->n) return finish(cx, r, s);
    }
}

static lt_rows_result next_sentence(lt_ctx *cx, lt_rows *r)
{
    sentence s = {.n = 0};
    const lt_rows_result result = read_sentence(cx, r, &s);
    lt_str_free(&s.words);
    lt_str_free(&s.tags);
    return result;
}

static bool begin(lt_ctx *cx, lt_rows *r)
{
    r->token_columns = 0;
    return true;
}

const lt_rows_reader lt_reader_conll = {begin, next_sentence, lt_rows_find_key, lt_rows_key_column, false};
