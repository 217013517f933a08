/* Rows of CSV (RFC 4180) and of tab-separated values, with a header that names the columns. A field that begins with a quote ends
 * with one and may hold delimiters, line ends and doubled quotes; elsewhere a quote is itself. Tab-separated files come in two
 * customs, with such quotes and without: there a field that does not read as quoted to its end, or would hold a tab, is literal. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/rows.h"

typedef struct lt_dialect {
    char delimiter;
    bool lenient; /* what does not read as quoted is literal; else an error */
} lt_dialect;
static const lt_dialect csv = {',', false}, tsv = {'\t', true};

typedef struct lt_extent { /* of the record at hand, in bytes from the window's first */
    size_t end, next;      /* where its text ends, and where the next record begins */
    int64_t lines;
} lt_extent;

static lt_rows_result complain(lt_ctx *cx, const lt_rows *r, const char *what)
{
    lt_fail(cx, LT_ERR_INPUT, "%s:%" PRId64 ": %s", r->stream->name, r->line, what);
    return LT_ROWS_ERROR;
}

/* ---- fields ---- */

/* The closing quote of the field whose content begins at `at`; the record grows by the lines in between. *close is 0 where there
 * is none in a lenient dialect. `doubled`: there are quotes inside. */
static lt_rows_result find_close(lt_ctx *cx, lt_rows *r, const lt_dialect *d, lt_extent *e, size_t at, size_t *close, bool *doubled)
{
    *close = 0;
    *doubled = false;
    for (;;) {
        const char *p = r->buf + r->begin, *quote = memchr(p + at, '"', e->end - at);
        size_t q = quote ? (size_t)(quote - p) : e->end;
        if (d->lenient && memchr(p + at, d->delimiter, q - at)) return LT_ROWS_GOT;
        if (quote && q + 1 < e->end && p[q + 1] == '"') {
            *doubled = true;
            at = q + 2;
        } else if (quote && (q + 1 == e->end || p[q + 1] == d->delimiter)) {
            *close = q;
            return LT_ROWS_GOT;
        } else if (quote) {
            return d->lenient ? LT_ROWS_GOT : complain(cx, r, "expected a comma or the end of the line after a closing quote");
        } else { /* a single column has no tab to end a search that may be in vain */
            if (d->lenient && r->name_count == 1) return LT_ROWS_GOT;
            int got = lt_rows_line(cx, r, at = e->next, &e->end, &e->next);
            if (got < 0) return LT_ROWS_ERROR;
            if (got == 0) return d->lenient ? LT_ROWS_GOT : complain(cx, r, "expected a closing quote, found the end of the file");
            e->lines++;
        }
    }
}

/* Halves the doubled quotes of n bytes, in place; returns how many bytes are left. */
static size_t undouble(char *p, size_t n)
{
    size_t from = 0, to = 0;
    while (from < n) {
        char *quote = memchr(p + from, '"', n - from);
        size_t run = quote ? (size_t)(quote - p) + 1 - from : n - from;
        memmove(p + to, p + from, run);
        to += run;
        from += run + (quote != NULL);
    }
    return to;
}

/* The field at *at, which moves to its delimiter or to the record's end. */
static lt_rows_result cut_field(lt_ctx *cx, lt_rows *r, const lt_dialect *d, lt_extent *e, size_t *at, lt_field *field)
{
    if (*at < e->end && r->buf[r->begin + *at] == '"') {
        lt_extent before = *e;
        size_t close;
        bool doubled;
        if (find_close(cx, r, d, e, *at + 1, &close, &doubled) == LT_ROWS_ERROR) return LT_ROWS_ERROR;
        if (close) {
            *field = (lt_field){*at + 1, close - *at - 1};
            if (doubled) field->size = undouble(r->buf + r->begin + field->begin, field->size);
            *at = close + 1;
            return LT_ROWS_GOT;
        }
        *e = before;
    }
    const char *p = r->buf + r->begin, *delimiter = memchr(p + *at, d->delimiter, e->end - *at);
    size_t end = delimiter ? (size_t)(delimiter - p) : e->end;
    *field = (lt_field){*at, end - *at};
    *at = end;
    return LT_ROWS_GOT;
}

static bool keep_field(lt_ctx *cx, lt_rows *r, const lt_field *field)
{
    if (r->fields == r->field_capacity) {
        size_t capacity = r->field_capacity ? 2 * r->field_capacity : 16;
        lt_field *wide = lt_resize(cx, r->field, (int64_t)capacity, sizeof *wide);
        if (!wide) return false;
        r->field = wide;
        r->field_capacity = capacity;
    }
    r->field[r->fields++] = *field;
    return true;
}

/* The next record that is no empty line, cut into r->field, each field with a NUL behind. `most` fields are kept, all counted. */
static lt_rows_result cut_record(lt_ctx *cx, lt_rows *r, const lt_dialect *d, size_t most, size_t *count)
{
    lt_extent e = {0};
    int got;
    for (;; lt_rows_drop(r, e.next)) {
        r->line = r->next_line++;
        got = lt_rows_line(cx, r, 0, &e.end, &e.next);
        if (got <= 0) return got < 0 ? LT_ROWS_ERROR : LT_ROWS_END;
        if (e.end > 0) break;
    }
    bool good = true;
    r->fields = *count = 0;
    for (size_t at = 0; good && at <= e.end; at++) {
        lt_field field;
        good = cut_field(cx, r, d, &e, &at, &field) != LT_ROWS_ERROR;
        if (good && ++*count <= most) good = keep_field(cx, r, &field);
    }
    r->taken = e.next; /* also after an error: the next record may be read */
    r->next_line += e.lines;
    if (!good) return LT_ROWS_ERROR;
    for (size_t i = 0; i < r->fields; i++) r->buf[r->begin + r->field[i].begin + r->field[i].size] = 0;
    return LT_ROWS_GOT;
}

/* ---- the header ---- */

static int compare_names(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static bool names_are_unique(lt_ctx *cx, const lt_rows *r)
{
    lt_scope scope = lt_open(cx, NULL);
    const char **sorted = lt_alloc_array(cx, (int64_t)r->name_count, sizeof *sorted);
    for (size_t i = 0; sorted && i < r->name_count; i++) sorted[i] = r->names + r->name[i].begin;
    if (sorted) qsort(sorted, r->name_count, sizeof *sorted, compare_names);
    for (size_t i = 1; sorted && i < r->name_count; i++)
        if (*sorted[i] && !strcmp(sorted[i], sorted[i - 1])) {
            lt_fail(cx, LT_ERR_INPUT, "%s:%" PRId64 ": expected a header that names each column once, found \"%.100s\" twice",
                    r->stream->name, r->line, sorted[i]);
            sorted = NULL;
        }
    lt_end(cx, scope);
    return sorted != NULL;
}

enum { MOST_NUMBER = 9999 };

/* Whether --columns gives nothing but numbers; the largest. */
static size_t largest_number(const lt_rows *r)
{
    size_t largest = 0;
    for (int i = 0; i < r->renames; i++) {
        char *end;
        const long n = strtol(r->rename[i].theirs, &end, 10);
        if (*end || n < 1 || n > MOST_NUMBER) return 0;
        if ((size_t)n > largest) largest = (size_t)n;
    }
    return largest;
}

/* Then there is no header: columns are called by their numbers, as far as any is asked for. */
static bool number_columns(lt_ctx *cx, lt_rows *r, size_t n)
{
    enum { DIGITS = 5 };
    char *names = lt_resize(cx, r->names, (int64_t)n * DIGITS, 1);
    if (names) r->names = names;
    lt_field *name = lt_resize(cx, r->name, (int64_t)n, sizeof *name);
    if (name) r->name = name;
    if (!names || !name) return false;
    for (size_t i = 0; i < n; i++) {
        const int size = snprintf(names + i * DIGITS, DIGITS, "%zu", i + 1);
        name[i] = (lt_field){i * DIGITS, (size_t)size};
    }
    r->name_count = n;
    return true;
}

/* An empty file has neither header nor rows. */
static bool read_header(lt_ctx *cx, lt_rows *r, const lt_dialect *d)
{
    size_t count;
    const size_t numbers = largest_number(r);
    r->name_count = 0;
    r->numbered = numbers > 0;
    if (numbers) return number_columns(cx, r, numbers);
    lt_rows_result result = cut_record(cx, r, d, SIZE_MAX, &count);
    if (result != LT_ROWS_GOT) return result == LT_ROWS_END;
    size_t size = r->taken + 1;
    char *names = lt_resize(cx, r->names, (int64_t)size, 1);
    if (names) r->names = names;
    lt_field *name = lt_resize(cx, r->name, (int64_t)count, sizeof *name);
    if (name) r->name = name;
    if (!names || !name) return false;
    memcpy(r->names, r->buf + r->begin, size);
    memcpy(r->name, r->field, count * sizeof *r->name);
    r->name_count = count;
    lt_rows_drop(r, r->taken);
    r->taken = 0;
    return names_are_unique(cx, r);
}

/* ---- rows ---- */

static lt_rows_result next_row(lt_ctx *cx, lt_rows *r, const lt_dialect *d)
{
    size_t count;
    lt_rows_result result = cut_record(cx, r, d, r->name_count, &count);
    if (result != LT_ROWS_GOT || count == r->name_count || (r->numbered && count > r->name_count)) return result;
    lt_fail(cx, LT_ERR_INPUT, "%s:%" PRId64 ": expected %zu fields, as %s, found %zu", r->stream->name, r->line,
            r->name_count, r->numbered ? "--columns wants" : "the header has", count);
    return LT_ROWS_ERROR;
}

static bool find_field(const lt_rows *r, const char *column, lt_cell *cell)
{
    for (size_t i = 0; i < r->name_count; i++) {
        if (strcmp(r->names + r->name[i].begin, column)) continue;
        *cell = (lt_cell){.text = r->buf + r->begin + r->field[i].begin, .size = r->field[i].size};
        return true;
    }
    return false;
}

static const char *field_column(const lt_rows *r, int i, void **iter)
{
    return (size_t)i < r->name_count ? r->names + r->name[i].begin : NULL;
}

static bool begin_csv(lt_ctx *cx, lt_rows *r) { return read_header(cx, r, &csv); }
static bool begin_tsv(lt_ctx *cx, lt_rows *r) { return read_header(cx, r, &tsv); }
static lt_rows_result next_csv(lt_ctx *cx, lt_rows *r) { return next_row(cx, r, &csv); }
static lt_rows_result next_tsv(lt_ctx *cx, lt_rows *r) { return next_row(cx, r, &tsv); }

const lt_rows_reader lt_reader_csv = {begin_csv, next_csv, find_field, field_column, true};
const lt_rows_reader lt_reader_tsv = {begin_tsv, next_tsv, find_field, field_column, true};
