/* Reading runs ("qid Q0 docid rank score tag") and judgements ("qid 0 docid grade", or BEIR's tab-separated "qid docid grade"
 * under a header). What trec_eval would read as something else than was meant is an error that names the line. */
#include "retrieve/trec.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 16, MOST_FIELDS = 6 };

struct lt_trec_block {
    struct lt_trec_block *next;
    size_t used, size;
    char data[];
};

struct field {
    const char *text;
    size_t size;
};

void lt_trec_free(lt_trec *t)
{
    while (t->block) {
        struct lt_trec_block *next = t->block->next;
        lt_free(t->block);
        t->block = next;
    }
    lt_free(t->line);
    *t = (lt_trec){0};
}

static const char *keep(lt_ctx *cx, lt_trec *t, struct field f)
{
    struct lt_trec_block *b = t->block;
    if (!b || b->size - b->used <= f.size) {
        size_t size = f.size < BLOCK ? BLOCK : f.size + 1;
        b = lt_new(cx, 1, sizeof *b + size);
        if (!b) return NULL;
        b->size = size;
        b->next = t->block;
        t->block = b;
    }
    char *copy = b->data + b->used;
    memcpy(copy, f.text, f.size);
    copy[f.size] = 0;
    b->used += f.size + 1;
    return copy;
}

/* ---- one line ---------------------------------------------------------------------------------------------------- */

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }

static int split(const char *p, size_t size, struct field *f)
{
    const char *end = p + size;
    int n = 0;
    while (n < MOST_FIELDS) {
        while (p < end && blank(*p)) p++;
        if (p == end) break;
        f[n].text = p;
        while (p < end && !blank(*p)) p++;
        f[n].size = (size_t)(p - f[n].text);
        n++;
    }
    return n;
}

/* Three fields between tabs; they may hold blanks. */
static bool split_tabs(const char *p, size_t size, struct field *f)
{
    while (size && (p[size - 1] == '\r' || p[size - 1] == '\n')) size--;
    const char *end = p + size, *first = memchr(p, '\t', size),
               *second = first ? memchr(first + 1, '\t', (size_t)(end - first - 1)) : NULL;
    if (!second || memchr(second + 1, '\t', (size_t)(end - second - 1))) return false;
    f[0] = (struct field){p, (size_t)(first - p)};
    f[1] = (struct field){first + 1, (size_t)(second - first - 1)};
    f[2] = (struct field){second + 1, (size_t)(end - second - 1)};
    return f[0].size && f[1].size && f[2].size;
}

static bool to_number(struct field f, double *number)
{
    char text[64], *end;
    if (!f.size || f.size >= sizeof text) return false;
    memcpy(text, f.text, f.size);
    text[f.size] = 0;
    *number = strtod(text, &end);
    while (*end && blank(*end)) end++;
    return end != text && !*end && !isnan(*number);
}

static bool to_grade(struct field f, int64_t *grade)
{
    double number;
    if (!to_number(f, &number) || number != floor(number) || fabs(number) > 1e9) return false;
    *grade = (int64_t)number;
    return true;
}

static bool parse_run(lt_ctx *cx, const lt_row *row, const char *p, size_t size, struct field *query, struct field *document,
                      lt_trec_line *l)
{
    struct field f[MOST_FIELDS];
    double score;
    if (split(p, size, f) < 6 || !to_number(f[4], &score))
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s line %lld: expected \"qid Q0 docid rank score tag\", found \"%.*s\"",
                          row->file, (long long)row->line, size < 80 ? (int)size : 80, p);
    *query = f[0];
    *document = f[2];
    l->score = (float)score;
    return true;
}

/* *header: the line is BEIR's header, no judgement. */
static bool parse_qrels(lt_ctx *cx, const lt_row *row, const char *p, size_t size, struct field *query, struct field *document,
                        lt_trec_line *l, bool *header)
{
    struct field f[MOST_FIELDS];
    bool tabs = split_tabs(p, size, f);
    int n = tabs ? 3 : split(p, size, f);
    *header = row->index == 0 && n == 3 && !to_grade(f[2], &l->grade);
    if (*header) return true;
    if (n < 3 || n > 4 || !to_grade(f[n - 1], &l->grade))
        return lt_fail_if(
            cx, true, LT_ERR_INPUT,
            "%s line %lld: expected \"qid 0 docid grade\" or \"qid docid grade\", the grade a whole number, found \"%.*s\"",
            row->file, (long long)row->line, size < 80 ? (int)size : 80, p);
    *query = f[0];
    *document = f[n - 2];
    return true;
}

static bool take(lt_ctx *cx, lt_trec *t, const lt_row *row, lt_trec_kind kind)
{
    size_t size;
    const char *p = lt_row_want_text(cx, row, "text", &size);
    struct field query, document, none[MOST_FIELDS];
    lt_trec_line l = {.line = row->line};
    bool header = false;
    if (!p) return false;
    if (!split(p, size, none) || *none[0].text == '#') return true;
    if (memchr(p, 0, size)) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s line %lld: a NUL byte", row->file, (long long)row->line);
    if (!(kind == LT_TREC_RUN ? parse_run(cx, row, p, size, &query, &document, &l)
                              : parse_qrels(cx, row, p, size, &query, &document, &l, &header)))
        return false;
    if (header) return true;
    if (t->n == t->capacity) {
        int64_t want = t->capacity ? 2 * t->capacity : 1024;
        lt_trec_line *wide = lt_resize(cx, t->line, want, sizeof *wide);
        if (!wide) return false;
        t->line = wide;
        t->capacity = want;
    }
    const char *last = t->n ? t->line[t->n - 1].query : NULL; /* mostly the same query again */
    bool again = last && strlen(last) == query.size && !memcmp(last, query.text, query.size);
    l.query = again ? last : keep(cx, t, query);
    l.document = keep(cx, t, document);
    if (!l.query || !l.document) return false;
    t->line[t->n++] = l;
    return true;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const lt_trec_line *p = a, *q = b;
    int order = p->query == q->query ? 0 : strcmp(p->query, q->query);
    if (!order) order = strcmp(p->document, q->document);
    return order ? order : (p->line > q->line) - (p->line < q->line);
}

bool lt_trec_read(lt_ctx *cx, lt_trec *t, const char *path, lt_trec_kind kind)
{
    lt_row row;
    lt_rows_options options = {.format = LT_ROWS_LINES};
    *t = (lt_trec){0};
    lt_rows *rows = lt_rows_open(cx, &path, 1, &options);
    bool good = rows;
    while (good && lt_rows_next(cx, rows, &row)) good = take(cx, t, &row, kind);
    if (rows) lt_rows_close(rows);
    if (!good || !lt_ok(cx)) return false;
    if (t->n > 1) qsort(t->line, (size_t)t->n, sizeof *t->line, by_name);
    for (int64_t i = 1; i < t->n; i++) {
        const lt_trec_line *a = &t->line[i - 1], *b = &t->line[i];
        if (!strcmp(a->document, b->document) && !strcmp(a->query, b->query))
            return lt_fail_if(cx, true, LT_ERR_INPUT, "%s line %lld: query %s has document %s already, in line %lld", path,
                              (long long)b->line, b->query, b->document, (long long)a->line);
    }
    return true;
}

int64_t lt_trec_group(const lt_trec *t, int64_t from)
{
    int64_t to = from + 1;
    while (to < t->n && (t->line[to].query == t->line[from].query || !strcmp(t->line[to].query, t->line[from].query))) to++;
    return to;
}
