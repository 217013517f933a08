/* Reading JSON (RFC 8259), strictly, and saying in plain words what was expected where. One pass: values gather on a stack, and when
 * an array or object ends, what is in it moves from there to its place in the document. */
#include "base/hash.h"
#include "base/json_value.h"

#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LEVELS = 2048, FEW = 8 };
static const size_t MOST_BYTES = (size_t)1 << 30; /* so that counts fit 32 bits */

struct block {
    struct block *next;
    size_t used, size;
    _Alignas(8) char bytes[];
};

typedef struct document {
    lt_json root; /* first: what lt_json_free gets */
    struct block *blocks;
} document;

typedef struct pending { /* a value whose array or object has not ended */
    lt_json_member m;
    const char *at; /* its key */
} pending;

typedef struct reader {
    lt_ctx *cx;
    const char *name;
    size_t line, column; /* of the text's begin in its file */
    const char *text, *p, *end;
    document *doc;
    uint64_t seed;
    int level;
    pending *stack; /* owned */
    size_t n, room;
} reader;

/* ---- errors ---- */

static bool no_memory(reader *r) { return lt_fail_if(r->cx, true, LT_ERR_MEMORY, "%s: no memory to read it", r->name); }

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '+' || c == '-' || c == '.' ||
           c == '_';
}

/* What stands at p, to be shown: a string, a word, or one character. */
static int token_size(const char *p, const char *end)
{
    enum { MOST = 60 };
    const char *q = p;
    uint32_t c;
    if (*p == '"') {
        for (q++; q < end && *q != '"' && *q != '\n'; q++) q += *q == '\\' && q + 1 < end;
        q += q < end && *q == '"';
    } else {
        while (q < end && is_word(*q)) q++;
        if (q == p) q += lt_utf8_next(p, end, &c);
    }
    if (q - p <= MOST) return (int)(q - p);
    for (q = p + MOST; q > p && ((uint8_t)*q & 0xC0) == 0x80;) q--;
    return (int)(q - p);
}

/* "FILE:LINE:COLUMN: expected …, found …"; columns count code points. `found`: name what is there, too. */
static bool wrong(reader *r, const char *at, const char *expected, bool found)
{
    size_t line = r->line, column = r->column;
    for (const char *p = r->text; p < at; p++) {
        column += ((uint8_t)*p & 0xC0) != 0x80;
        if (*p != '\n') continue;
        line++;
        column = 1;
    }
    bool over = at >= r->end;
    int size = found && !over ? token_size(at, r->end) : 0;
    return lt_fail_if(r->cx, true, LT_ERR_INPUT, "%s:%zu:%zu: expected %s%s%.*s", r->name, line, column, expected,
                      !found ? ""
                      : over ? ", found the end"
                             : ", found ",
                      size, size ? at : "");
}

/* ---- memory of the document ---- */

static char *take(reader *r, size_t size)
{
    struct block *b = r->doc->blocks;
    if (!b || b->size - b->used < size) {
        size_t left = (size_t)(r->end - r->p), room = b ? 2 * left : left; /* most documents need but one */
        if (room > 1 << 20) room = 1 << 20;
        if (room < size) room = size;
        room = (room + 256) / 8 * 8;
        if (!(b = lt_resize(r->cx, NULL, 1, sizeof *b + room))) {
            no_memory(r);
            return NULL;
        }
        *b = (struct block){.next = r->doc->blocks, .size = room};
        r->doc->blocks = b;
    }
    char *p = b->bytes + b->used;
    b->used += size;
    return p;
}

static void *take_aligned(reader *r, size_t size)
{
    struct block *b = r->doc->blocks;
    if (b) b->used = (b->used + 7) / 8 * 8; /* a block's size is a multiple of that too */
    return take(r, (size + 7) / 8 * 8);
}

static pending *push(reader *r)
{
    if (r->n == r->room) {
        size_t room = 2 * r->room + 32;
        pending *more = lt_resize(r->cx, r->stack, (int64_t)room, sizeof *more);
        if (!more) {
            no_memory(r);
            return NULL;
        }
        r->stack = more;
        r->room = room;
    }
    r->stack[r->n] = (pending){.at = r->p};
    return &r->stack[r->n++];
}

/* ---- texts ---- */

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1; }

static int32_t four_digits(const char *p, const char *end)
{
    int32_t unit = 0;
    if (end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex(p[i]);
        if (digit < 0) return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* An escape at r->p, behind the backslash at `at`. */
static bool read_escape(reader *r, const char *at, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *known = r->p < r->end && *r->p ? strchr(from, *r->p) : NULL;
    if (known) {
        *(*out)++ = to[known - from];
        r->p++;
        return true;
    }
    int32_t c = r->p < r->end && *r->p == 'u' ? four_digits(r->p + 1, r->end) : -1;
    if (c < 0) return wrong(r, at, "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\u and four hex digits after '\\'", false);
    r->p += 5;
    if (c >= 0xD800 && c < 0xE000) {
        bool more = c < 0xDC00 && r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u';
        int32_t low = more ? four_digits(r->p + 2, r->end) : -1;
        if (low < 0xDC00 || low >= 0xE000) return wrong(r, at, "surrogates as a pair", false);
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        r->p += 6;
    }
    *out += lt_utf8_put((uint32_t)c, *out);
    return true;
}

/* A character that does not stand for itself, and is neither the closing quote nor a backslash. */
static bool read_special(reader *r, char **out)
{
    uint32_t c;
    int n = lt_utf8_next(r->p, r->end, &c);
    if (c == '\n') return wrong(r, r->p, "a double quote at the end of a string, or \\n", false);
    if (c < 0x20) return wrong(r, r->p, "control characters to be escaped", false);
    if (c == 0xFFFD && (n != 3 || memcmp(r->p, "\xEF\xBF\xBD", 3))) return wrong(r, r->p, "UTF-8", false);
    memcpy(*out, r->p, (size_t)n);
    *out += n;
    r->p += n;
    return true;
}

/* From the opening quote to behind the closing one. What is written is never longer than what is read. */
static bool read_text(reader *r, const char **text, uint32_t *size)
{
    const char *close = ++r->p;
    while (close < r->end && *close != '"') close += 1 + (*close == '\\');
    const size_t most = (size_t)((close < r->end ? close : r->end) - r->p) + 1;
    char *begin = take(r, most), *out = begin;
    if (!begin) return false;
    for (;;) {
        const char *plain = r->p;
        while (r->p < r->end && (uint8_t)*r->p >= 0x20 && (uint8_t)*r->p < 0x80 && *r->p != '"' && *r->p != '\\') r->p++;
        memcpy(out, plain, (size_t)(r->p - plain));
        out += r->p - plain;
        if (r->p == r->end) return wrong(r, r->p, "a double quote at the end of a string", true);
        if (*r->p == '"') break;
        const char *at = r->p;
        r->p += *at == '\\';
        if (!(r->p > at ? read_escape(r, at, &out) : read_special(r, &out))) return false;
    }
    r->p++;
    *out = 0;
    *text = begin;
    *size = (uint32_t)(out - begin);
    r->doc->blocks->used -= most - *size - 1; /* nothing was taken since */
    return true;
}

/* ---- numbers ---- */

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') p++;
    return p;
}

/* The end of the number that begins at p; NULL: none does. */
static const char *number_end(const char *p, const char *end, bool *real)
{
    const char *q;
    p += p < end && *p == '-';
    q = p < end && *p == '0' ? p + 1 : skip_digits(p, end);
    if (q == p) return NULL;
    *real = false;
    if (q + 1 < end && *q == '.' && skip_digits(q + 1, end) > q + 1) {
        q = skip_digits(q + 1, end);
        *real = true;
    }
    p = q + 1;
    p += q < end && (*q | 32) == 'e' && p < end && (*p == '+' || *p == '-');
    if (q < end && (*q | 32) == 'e' && skip_digits(p, end) > p) {
        q = skip_digits(p, end);
        *real = true;
    }
    return q < end && is_word(*q) ? NULL : q;
}

/* strtod reads the locale's decimal point. */
static bool read_real(reader *r, const char *at, lt_json *v)
{
    lt_str copy = {0};
    const char *point = memchr(at, '.', (size_t)(r->p - at));
    lt_str_add(&copy, at, (size_t)((point ? point : r->p) - at));
    if (point) lt_str_puts(&copy, nl_langinfo(RADIXCHAR));
    if (point) lt_str_add(&copy, point + 1, (size_t)(r->p - point - 1));
    *v = (lt_json){.type = LT_JSON_REAL, .real = copy.failed ? 0 : strtod(copy.data, NULL)};
    bool good = !copy.failed || no_memory(r);
    lt_str_free(&copy);
    return good && (isfinite(v->real) || wrong(r, at, "a number that a double can hold", true));
}

static bool read_integer(reader *r, const char *at, lt_json *v)
{
    const bool negative = *at == '-';
    int64_t x = 0;
    for (const char *p = at + negative; p < r->p; p++) {
        int digit = negative ? '0' - *p : *p - '0';
        if (__builtin_mul_overflow(x, 10, &x) || __builtin_add_overflow(x, digit, &x))
            return wrong(r, at, "an integer that fits 64 bits", true);
    }
    *v = (lt_json){.type = LT_JSON_INT, .integer = x};
    return true;
}

/* ---- arrays and objects ---- */

static bool read_value(reader *r, lt_json *v);

static void skip_blanks(reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t')) r->p++;
}

/* What stands between the brackets, onto the stack, one by one. */
static bool gather(reader *r, bool (*read_one)(reader *), char bracket, const char *expected)
{
    r->p++;
    skip_blanks(r);
    if (r->p < r->end && *r->p == bracket) {
        r->p++;
        return true;
    }
    while (read_one(r)) {
        skip_blanks(r);
        char c = r->p < r->end ? *r->p : 0;
        if (c != ',' && c != bracket) return wrong(r, r->p, expected, true);
        r->p++;
        if (c == bracket) return true;
        skip_blanks(r);
    }
    return false;
}

static bool read_item(reader *r)
{
    lt_json item;
    if (!read_value(r, &item)) return false;
    pending *to = push(r);
    if (to) to->m.value = item;
    return to != NULL;
}

static bool read_array(reader *r, lt_json *v)
{
    const size_t first = r->n;
    if (!gather(r, read_item, ']', "',' or ']' in an array")) return false;
    const size_t n = r->n - first;
    lt_json *item = take_aligned(r, n * sizeof *item);
    if (!item) return false;
    for (size_t i = 0; i < n; i++) item[i] = r->stack[first + i].m.value;
    r->n = first;
    *v = (lt_json){.type = LT_JSON_ARRAY, .size = (uint32_t)n, .item = item};
    return true;
}

static bool read_member(reader *r)
{
    pending m = {.at = r->p};
    if (r->p == r->end || *r->p != '"') return wrong(r, r->p, "a key in double quotes or '}'", true);
    if (!read_text(r, &m.m.key, &m.m.key_size)) return false;
    if (memchr(m.m.key, 0, m.m.key_size)) return wrong(r, m.at, "a key without NUL bytes", true);
    m.m.hash = lt_hash_from(r->seed, m.m.key, m.m.key_size);
    skip_blanks(r);
    if (r->p == r->end || *r->p != ':') return wrong(r, r->p, "':' after a key", true);
    r->p++;
    skip_blanks(r);
    if (!read_value(r, &m.m.value)) return false;
    pending *to = push(r);
    if (to) *to = m;
    return to != NULL;
}

/* Enters the members one by one; one that is there already is an error. */
static bool fill_object(reader *r, lt_json_object *o, uint32_t *slot, size_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const lt_json_member *m = &r->stack[first + i].m;
        if (lt_json_find(o, i, m->key, m->key_size)) return wrong(r, r->stack[first + i].at, "each key once in an object", true);
        o->member[i] = *m;
        if (!o->mask) continue;
        uint32_t at = m->hash & o->mask;
        while (slot[at]) at = (at + 1) & o->mask;
        slot[at] = i + 1;
    }
    return true;
}

static bool read_object(reader *r, lt_json *v)
{
    const size_t first = r->n;
    if (!gather(r, read_member, '}', "',' or '}' in an object")) return false;
    const size_t n = r->n - first;
    size_t slots = n > FEW ? 32 : 0;
    while (slots && slots < 2 * n) slots *= 2;
    lt_json_object *o = take_aligned(r, sizeof *o + n * sizeof *o->member);
    uint32_t *slot = o ? take_aligned(r, slots * sizeof *slot) : NULL;
    if (!slot) return false;
    memset(slot, 0, slots * sizeof *slot);
    *o = (lt_json_object){.seed = r->seed, .mask = slots ? (uint32_t)slots - 1 : 0, .slot = slot};
    if (!fill_object(r, o, slot, first, (uint32_t)n)) return false;
    r->n = first;
    *v = (lt_json){.type = LT_JSON_OBJECT, .size = (uint32_t)n, .object = o};
    return true;
}

/* ---- values ---- */

static bool read_word(reader *r, lt_json *v)
{
    static const struct {
        const char *word;
        lt_json value;
    } known[] = {
        {"true", {.type = LT_JSON_BOOL, .truth = true}}, {"false", {.type = LT_JSON_BOOL}}, {"null", {.type = LT_JSON_NULL}}};
    const char *at = r->p, *end = at;
    while (end < r->end && is_word(*end)) end++;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t size = strlen(known[i].word);
        if ((size_t)(end - at) != size || memcmp(at, known[i].word, size)) continue;
        r->p = end;
        *v = known[i].value;
        return true;
    }
    uint32_t c;
    if (at == r->end || strchr("]},:", *at)) return wrong(r, at, "a value", true);
    if (lt_utf8_next(at, r->end, &c) != 3 && c == 0xFFFD) return wrong(r, at, "UTF-8", false);
    return wrong(r, at, "an object, array, string, number, true, false or null", true);
}

static bool read_nested(reader *r, lt_json *v)
{
    if (r->level == MOST_LEVELS) return wrong(r, r->p, "fewer levels of nesting", false);
    r->level++;
    bool good = *r->p == '[' ? read_array(r, v) : read_object(r, v);
    r->level--;
    return good;
}

static bool read_value(reader *r, lt_json *v)
{
    const char *at = r->p, *end;
    bool real;
    char c = at < r->end ? *at : 0;
    if (c == '[' || c == '{') return read_nested(r, v);
    if (c == '"') {
        *v = (lt_json){.type = LT_JSON_STRING};
        return read_text(r, &v->text, &v->size);
    }
    if (!(end = number_end(at, r->end, &real))) return read_word(r, v);
    r->p = end;
    return real ? read_real(r, at, v) : read_integer(r, at, v);
}

static bool read_document(reader *r)
{
    skip_blanks(r);
    if (!read_value(r, &r->doc->root)) return false;
    skip_blanks(r);
    return r->p == r->end || wrong(r, r->p, "nothing more after the value", true);
}

lt_json *lt_json_parse_at(lt_ctx *cx, const char *text, size_t size, const char *name, size_t line, size_t column)
{
    if (!text) return NULL;
    if (size > MOST_BYTES) return lt_fail(cx, LT_ERR_INPUT, "%s: %zu bytes of JSON, expected at most %zu", name, size, MOST_BYTES);
    size_t mark = size >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3) ? 3 : 0; /* a byte order mark, as some editors write it */
    reader r = {.cx = cx, .name = name, .line = line, .column = column, .text = text + mark, .p = text + mark, .end = text + size};
    r.doc = lt_new(cx, 1, sizeof *r.doc);
    if (!r.doc) return NULL;
    r.seed = (uint64_t)(uintptr_t)r.doc * 0x9E3779B97F4A7C15u;
    bool good = read_document(&r);
    lt_free(r.stack);
    if (good) return &r.doc->root;
    lt_json_free(&r.doc->root);
    return NULL;
}

void lt_json_free(lt_json *root)
{
    document *doc = (document *)(void *)root;
    for (struct block *b = doc ? doc->blocks : NULL, *next; b; b = next) {
        next = b->next;
        lt_free(b);
    }
    lt_free(doc);
}
