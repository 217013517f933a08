/* Reading JSON (RFC 8259) with jansson, and saying in plain words what was expected where. Values are jansson's own; the
 * rest of the library sees only lt_json. */
#include "lathe/json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const size_t MOST_BYTES = (size_t)1 << 30; /* jansson counts positions in int */

static const json_t *value_of(const lt_json *v) { return (const json_t *)(const void *)v; }
static const lt_json *from_value(const json_t *v) { return (const lt_json *)(const void *)v; }

/* ---- errors ---- */

/* What jansson's messages begin with, and what was expected; `inside`: the place is within the token that is named. */
static const struct {
    const char *begin, *words;
    bool inside;
} expectation[] = {
    {"':' expected", "expected ':' after a key", false},
    {"']' expected", "expected ',' or ']' in an array", false},
    {"'}' expected", "expected ',' or '}' in an object", false},
    {"string or '}' expected", "expected a key in double quotes or '}'", false},
    {"unexpected token", "expected a value", false},
    {"invalid token", "expected an object, array, string, number, true, false or null", false},
    {"end of file expected", "expected nothing more after the value", false},
    {"duplicate object key", "expected each key once in an object", false},
    {"too big", "expected an integer that fits 64 bits", false},
    {"real number overflow", "expected a number that a double can hold", false},
    {"NUL byte in object key", "expected a key without NUL bytes", false},
    {"maximum parsing depth", "expected fewer levels of nesting", false},
    {"premature end of input", "expected a double quote at the end of a string", true},
    {"unable to decode byte", "expected UTF-8", true},
    {"control character", "expected control characters to be escaped", true},
    {"unexpected newline", "expected a double quote at the end of a string, or \\n", true},
    {"invalid escape", "expected one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\u and four hex digits after '\\'", true},
    {"invalid Unicode", "expected surrogates as a pair", true},
};

/* Line and column (in code points, both from 1) of a byte. */
static void find_place(const char *text, size_t at, size_t *line, size_t *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((uint8_t)text[i] & 0xC0) != 0x80) {
            ++*column;
        }
    }
}

/* jansson reports a lack of memory in several ways: by a code, by nothing at all, and, when it came at the end of a whole
 * string, by calling that no token. Strings that are not whole have messages of their own. */
static bool no_memory(const char *text, size_t size, const json_error_t *e)
{
    if (json_error_code(e) == json_error_out_of_memory || !e->text[0]) return true;
    bool no_token = !strncmp(e->text, "invalid token", 13) || !strncmp(e->text, "string or", 9);
    return no_token && e->position > 0 && (size_t)e->position <= size && text[e->position - 1] == '"';
}

/* The text begins at (first_line, first_column) of its file. */
static void syntax_error(lt_ctx *cx, const char *text, size_t size, const char *name, size_t first_line, size_t first_column,
                         const json_error_t *e)
{
    if (no_memory(text, size, e)) {
        lt_fail(cx, LT_ERR_MEMORY, "%s: no memory to read it", name);
        return;
    }
    size_t n = sizeof expectation / sizeof *expectation, k = 0;
    while (k < n && strncmp(e->text, expectation[k].begin, strlen(expectation[k].begin))) k++;
    const char *words = k < n ? expectation[k].words : e->text;
    size_t at = e->position < 0 ? 0 : (size_t)e->position < size ? (size_t)e->position : size, line, column;
    /* jansson's text ends in "near 'TOKEN'" or "near end of file"; its position is after the token. */
    const char *near = strstr(e->text, " near '"), *quote = near ? strrchr(near + 7, '\'') : NULL;
    bool at_end = strstr(e->text, " near end of file") || !strncmp(e->text, "premature", 9);
    int length = quote && k < n && quote > near + 7 ? (int)(quote - near - 7) : 0;
    if (length && !expectation[k].inside && (size_t)length <= at) at -= (size_t)length;
    find_place(text, at, &line, &column);
    if (line == 1) column += first_column - 1;
    line += first_line - 1;
    if (at_end) {
        lt_fail(cx, LT_ERR_INPUT, "%s:%zu:%zu: %s, found the end", name, line, column, words);
    } else if (length) {
        lt_fail(cx, LT_ERR_INPUT, "%s:%zu:%zu: %s, found %.*s", name, line, column, words, length, near + 7);
    } else {
        lt_fail(cx, LT_ERR_INPUT, "%s:%zu:%zu: %s", name, line, column, words);
    }
}

/* ---- documents ---- */

lt_json *lt_json_parse(lt_ctx *cx, const char *text, size_t size, const char *name)
{
    return lt_json_parse_at(cx, text, size, name, 1, 1);
}

lt_json *lt_json_parse_at(lt_ctx *cx, const char *text, size_t size, const char *name, size_t line, size_t column)
{
    if (!text) return NULL;
    if (size > MOST_BYTES) return lt_fail(cx, LT_ERR_INPUT, "%s: %zu bytes of JSON, expected at most %zu", name, size, MOST_BYTES);
    if (size >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) { /* a byte order mark, as some editors write it */
        text += 3;
        size -= 3;
    }
    json_error_t error;
    memset(&error, 0, sizeof error);
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!root) syntax_error(cx, text, size, name, line, column, &error);
    return (lt_json *)(void *)root;
}

lt_json *lt_json_load(lt_ctx *cx, const char *path)
{
    lt_map map;
    if (!lt_map_open(cx, &map, path)) return NULL;
    lt_json *root = lt_json_parse(cx, (const char *)map.data, map.size, path);
    lt_map_close(&map);
    return root;
}

void lt_json_free(lt_json *root) { json_decref((json_t *)(void *)root); }

/* ---- values ---- */

lt_json_type lt_json_is(const lt_json *v)
{
    if (!v) return LT_JSON_NULL;
    switch (json_typeof(value_of(v))) {
    case JSON_OBJECT:
        return LT_JSON_OBJECT;
    case JSON_ARRAY:
        return LT_JSON_ARRAY;
    case JSON_STRING:
        return LT_JSON_STRING;
    case JSON_INTEGER:
        return LT_JSON_INT;
    case JSON_REAL:
        return LT_JSON_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return LT_JSON_BOOL;
    default:
        return LT_JSON_NULL;
    }
}

const lt_json *lt_json_get(const lt_json *object, const char *key) { return from_value(json_object_get(value_of(object), key)); }

const lt_json *lt_json_at(const lt_json *array, int64_t i)
{
    return i < 0 ? NULL : from_value(json_array_get(value_of(array), (size_t)i)); /* NULL beyond the end and for others */
}

int64_t lt_json_size(const lt_json *v)
{
    lt_json_type type = lt_json_is(v);
    if (type == LT_JSON_ARRAY) return (int64_t)json_array_size(value_of(v));
    return type == LT_JSON_OBJECT ? (int64_t)json_object_size(value_of(v)) : 0;
}

bool lt_json_each(const lt_json *object, void **iter, const char **key, const lt_json **value)
{
    if (lt_json_is(object) != LT_JSON_OBJECT) return false;
    json_t *o = (json_t *)value_of(object); /* jansson's iterators do not write, but are not const */
    *iter = *iter ? json_object_iter_next(o, *iter) : json_object_iter(o);
    if (!*iter) return false;
    *key = json_object_iter_key(*iter);
    *value = from_value(json_object_iter_value(*iter));
    return true;
}

const char *lt_json_text(const lt_json *string, size_t *size)
{
    bool is = lt_json_is(string) == LT_JSON_STRING;
    if (size) *size = is ? json_string_length(value_of(string)) : 0;
    return is ? json_string_value(value_of(string)) : NULL;
}

int64_t lt_json_int(const lt_json *v, int64_t otherwise)
{
    return lt_json_is(v) == LT_JSON_INT ? json_integer_value(value_of(v)) : otherwise;
}

double lt_json_num(const lt_json *v, double otherwise)
{
    lt_json_type type = lt_json_is(v);
    return type == LT_JSON_INT || type == LT_JSON_REAL ? json_number_value(value_of(v)) : otherwise;
}

bool lt_json_bool(const lt_json *v, bool otherwise)
{
    return lt_json_is(v) == LT_JSON_BOOL ? json_is_true(value_of(v)) : otherwise;
}

/* ---- typed access with complaint ---- */

static void describe(const lt_json *v, char *out, size_t size)
{
    lt_str s = {0};
    size_t n;
    const char *text = lt_json_text(v, &n);
    switch (lt_json_is(v)) {
    case LT_JSON_NULL:
        lt_str_puts(&s, "null");
        break;
    case LT_JSON_BOOL:
        lt_str_puts(&s, lt_json_bool(v, false) ? "true" : "false");
        break;
    case LT_JSON_INT:
        lt_str_printf(&s, "%" PRId64, lt_json_int(v, 0));
        break;
    case LT_JSON_REAL:
        lt_json_put_double(&s, lt_json_num(v, 0));
        break;
    case LT_JSON_STRING:
        if (n <= 40)
            lt_json_put_text(&s, text, n);
        else
            lt_str_printf(&s, "a string of %zu bytes", n);
        break;
    case LT_JSON_ARRAY:
        lt_str_puts(&s, "an array");
        break;
    case LT_JSON_OBJECT:
        lt_str_puts(&s, "an object");
        break;
    }
    snprintf(out, size, "%s", s.data && !s.failed ? s.data : "something else");
    lt_str_free(&s);
}

/* Records "FILE: KEY: expected WHAT, found …". */
static void complain(lt_ctx *cx, const char *file, const char *key, const char *what, const lt_json *found)
{
    char text[300];
    describe(found, text, sizeof text);
    lt_fail(cx, LT_ERR_INPUT, "%s: %s: expected %s, found %s", file, key, what, text);
}

int64_t lt_json_want_int(lt_ctx *cx, const lt_json *o, const char *file, const char *key, int64_t min, int64_t max,
                         int64_t otherwise)
{
    const lt_json *v = lt_json_get(o, key);
    if (lt_json_is(v) == LT_JSON_NULL) return otherwise;
    int64_t x = lt_json_int(v, 0);
    if (lt_json_is(v) == LT_JSON_INT && x >= min && x <= max) return x;
    char what[96];
    if (min == INT64_MIN && max == INT64_MAX)
        snprintf(what, sizeof what, "an integer");
    else if (max == INT64_MAX)
        snprintf(what, sizeof what, "an integer of at least %" PRId64, min);
    else if (min == INT64_MIN)
        snprintf(what, sizeof what, "an integer of at most %" PRId64, max);
    else
        snprintf(what, sizeof what, "an integer from %" PRId64 " to %" PRId64, min, max);
    complain(cx, file, key, what, v);
    return otherwise;
}

double lt_json_want_num(lt_ctx *cx, const lt_json *o, const char *file, const char *key, double min, double max, double otherwise)
{
    const lt_json *v = lt_json_get(o, key);
    if (lt_json_is(v) == LT_JSON_NULL) return otherwise;
    lt_json_type type = lt_json_is(v);
    double x = lt_json_num(v, 0);
    if ((type == LT_JSON_INT || type == LT_JSON_REAL) && x >= min && x <= max) return x;
    lt_str what = {0};
    bool below = min > -1.7e308, above = max < 1.7e308; /* infinities and ±DBL_MAX: not bounded on that side */
    lt_str_puts(&what, !below && !above ? "a number"
                       : !above         ? "a number of at least "
                       : !below         ? "a number of at most "
                                        : "a number from ");
    if (below) lt_json_put_double(&what, min);
    if (below && above) lt_str_puts(&what, " to ");
    if (above) lt_json_put_double(&what, max);
    complain(cx, file, key, what.failed ? "another number" : what.data, v);
    lt_str_free(&what);
    return otherwise;
}

bool lt_json_want_bool(lt_ctx *cx, const lt_json *o, const char *file, const char *key, bool otherwise)
{
    const lt_json *v = lt_json_get(o, key);
    if (lt_json_is(v) == LT_JSON_NULL) return otherwise;
    if (lt_json_is(v) != LT_JSON_BOOL) complain(cx, file, key, "true or false", v);
    return lt_json_bool(v, otherwise);
}

const char *lt_json_want_text(lt_ctx *cx, const lt_json *o, const char *file, const char *key, const char *otherwise)
{
    const lt_json *v = lt_json_get(o, key);
    if (lt_json_is(v) == LT_JSON_NULL) return otherwise;
    size_t size;
    const char *text = lt_json_text(v, &size);
    if (text && strlen(text) == size) return text;
    complain(cx, file, key, text ? "a string without NUL bytes" : "a string", v);
    return otherwise;
}
