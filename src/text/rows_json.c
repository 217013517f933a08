/* Rows of JSON: an object a line (JSON Lines), an array of token ids a line, or one array of objects over a whole file, of which
 * only the object at hand is in memory. */
#include <inttypes.h>
#include <string.h>

#include "text/rows.h"

/* A value takes some hundred bytes in memory where the text may have two: rows that decompress out of nothing are bounded too. */
static const size_t MOST_VALUES = (size_t)1 << 22;

static bool few_values(lt_ctx *cx, const lt_rows *r, const char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; size > MOST_VALUES && i < size; i++) n += text[i] == ',' || text[i] == '[' || text[i] == '{';
    return lt_fail_if(cx, n > MOST_VALUES, LT_ERR_INPUT, "%s:%" PRId64 ": expected a row of at most %zu JSON values, found more",
                      r->stream->name, r->line, MOST_VALUES);
}

/* Parses the row, which begins in that column of its line. */
static bool parse_row(lt_ctx *cx, lt_rows *r, size_t size, size_t column, lt_json_type type)
{
    const char *text = r->buf + r->begin;
    if (!few_values(cx, r, text, size)) return false;
    r->json = lt_json_parse_at(cx, text, size, r->stream->name, (size_t)r->line, column);
    if (!r->json) return false;
    return lt_fail_if(cx, lt_json_is(r->json) != type, LT_ERR_INPUT, "%s:%" PRId64 ": expected %s", r->stream->name, r->line,
                      type == LT_JSON_OBJECT ? "a JSON object" : "a JSON array of token ids");
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* ---- a value a line ---- */

static lt_rows_result next_line(lt_ctx *cx, lt_rows *r, lt_json_type type)
{
    for (;;) {
        size_t size, next, i = 0;
        r->line = r->next_line;
        int got = lt_rows_line(cx, r, 0, &size, &next);
        if (got <= 0) return got < 0 ? LT_ROWS_ERROR : LT_ROWS_END;
        while (i < size && is_blank(r->buf[r->begin + i])) i++;
        r->next_line++;
        if (i < size) {
            r->taken = next;
            return parse_row(cx, r, size, 1, type) ? LT_ROWS_GOT : LT_ROWS_ERROR;
        }
        lt_rows_drop(r, next);
    }
}

static lt_rows_result next_jsonl(lt_ctx *cx, lt_rows *r) { return next_line(cx, r, LT_JSON_OBJECT); }
static lt_rows_result next_ids(lt_ctx *cx, lt_rows *r) { return next_line(cx, r, LT_JSON_ARRAY); }

/* ---- one array ---- */

static void count_byte(lt_rows *r, char c)
{
    if (c == '\n') {
        r->next_line++;
        r->column = 1;
    } else if (((uint8_t)c & 0xC0) != 0x80) {
        r->column++;
    }
}

static void pass(lt_rows *r)
{
    count_byte(r, r->buf[r->begin]);
    lt_rows_drop(r, 1);
}

/* The next byte that is no blank, not passed yet; 0 at the end of the file, -1 on error. A NUL byte counts as 256. */
static int peek(lt_ctx *cx, lt_rows *r)
{
    for (;;) {
        while (r->begin < r->end && is_blank(r->buf[r->begin])) pass(r);
        if (r->begin < r->end) return (uint8_t)r->buf[r->begin] ? (uint8_t)r->buf[r->begin] : 256;
        int got = lt_rows_fill(cx, r);
        if (got <= 0) return got;
    }
}

static lt_rows_result expected(lt_ctx *cx, lt_rows *r, const char *what, int found)
{
    r->over = true;
    const char *end = found == 0 ? ", found the end" : "", *name = r->stream->name;
    char text[] = ", found 'x'";
    text[sizeof text - 3] = (char)found;
    if (found > ' ' && found < 127) end = text;
    if (found >= 0) lt_fail(cx, LT_ERR_INPUT, "%s:%" PRId64 ":%zu: expected %s%s", name, r->next_line, r->column, what, end);
    return LT_ROWS_ERROR;
}

/* Objects one after another without brackets are taken too: many files that end so are JSON Lines. */
static bool begin_array(lt_ctx *cx, lt_rows *r)
{
    r->column = 1;
    r->values = 0;
    int c = peek(cx, r);
    r->bracket = c == '[';
    if (r->bracket) pass(r);
    return r->bracket || c == '{' || expected(cx, r, "an array of objects", c) == LT_ROWS_GOT;
}

/* The bytes of the object that the window begins with, by its braces alone; 0 on error. */
static size_t measure(lt_ctx *cx, lt_rows *r)
{
    int64_t depth = 0;
    bool quoted = false, escaped = false;
    for (size_t i = 0;; i++) {
        while (r->begin + i == r->end) {
            int got = lt_rows_fill(cx, r);
            if (got <= 0) return got < 0 ? 0 : (expected(cx, r, "the end of an object", 0), 0);
        }
        char c = r->buf[r->begin + i];
        count_byte(r, c);
        if (escaped) {
            escaped = false;
        } else if (quoted) {
            escaped = c == '\\';
            quoted = c != '"';
        } else {
            quoted = c == '"';
            depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        }
        if (depth == 0) return i + 1;
    }
}

static lt_rows_result next_object(lt_ctx *cx, lt_rows *r)
{
    int c = peek(cx, r);
    if (r->bracket && c == ',' && r->values) {
        pass(r);
        c = peek(cx, r);
    } else if (r->bracket && c == ']') {
        pass(r);
        c = peek(cx, r);
        return c ? expected(cx, r, "nothing more after the array", c) : LT_ROWS_END;
    } else if (r->bracket && r->values) {
        return expected(cx, r, "',' or ']' after an object", c);
    }
    if (c == 0 && !r->bracket) return LT_ROWS_END;
    if (c != '{') return expected(cx, r, "an object", c);
    size_t column = r->column, size;
    r->line = r->next_line;
    if (!(size = measure(cx, r))) return LT_ROWS_ERROR;
    if (size > r->options.max_line) return lt_rows_too_long(cx, r) ? LT_ROWS_GOT : LT_ROWS_ERROR;
    r->taken = size;
    r->values++;
    return parse_row(cx, r, size, column, LT_JSON_OBJECT) ? LT_ROWS_GOT : LT_ROWS_ERROR;
}

/* ---- columns ---- */

bool lt_rows_find_key(const lt_rows *r, const char *column, lt_cell *cell)
{
    cell->json = lt_json_get(r->json, column);
    return cell->json != NULL;
}

const char *lt_rows_key_column(const lt_rows *r, int i, void **iter)
{
    const char *key;
    const lt_json *value;
    return lt_json_each(r->json, iter, &key, &value) ? key : NULL;
}

static bool find_ids(const lt_rows *r, const char *column, lt_cell *cell)
{
    if (strcmp(column, "ids")) return false;
    cell->json = r->json;
    return true;
}

static const char *ids_column(const lt_rows *r, int i, void **iter) { return i == 0 ? "ids" : NULL; }

const lt_rows_reader lt_reader_jsonl = {NULL, next_jsonl, lt_rows_find_key, lt_rows_key_column, false};
const lt_rows_reader lt_reader_json = {begin_array, next_object, lt_rows_find_key, lt_rows_key_column, false};
const lt_rows_reader lt_reader_ids = {NULL, next_ids, find_ids, ids_column, true};
