/* Examples: every row of the files, as tokens and targets, in memory. */
#include "train/dist/dist.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool grow_tokens(lt_ctx *cx, lt_examples *e, int64_t more, bool types, bool labels)
{
    int64_t room = e->token_room;
    if (e->tokens + more > room) {
        while (e->tokens + more > room) room = room ? 2 * room : 4096;
        int32_t **pool[] = {&e->ids, &e->types, &e->labels};
        for (int i = 0; i < 3; i++) {
            if (i && !*pool[i]) continue;
            int32_t *p = lt_resize(cx, *pool[i], room, sizeof *p);
            if (!p) return false;
            *pool[i] = p;
        }
        e->token_room = room;
    }
    if (types && !e->types && !(e->types = lt_new(cx, room, sizeof *e->types))) return false;
    if (labels && !e->labels && !(e->labels = lt_new(cx, room, sizeof *e->labels))) return false;
    return true;
}

static void put(int32_t *pool, int64_t at, const int32_t *from, int32_t n)
{
    if (!pool) return;
    if (from) memcpy(pool + at, from, (size_t)n * sizeof *pool);
    else memset(pool + at, 0, (size_t)n * sizeof *pool);
}

bool lt_examples_add(lt_ctx *cx, lt_examples *e, const int32_t *ids, const int32_t *types, const int32_t *labels, int32_t n, int32_t label, double number)
{
    if (e->n == e->room) {
        lt_example *at = lt_resize(cx, e->at, e->room ? 2 * e->room : 256, sizeof *at);
        if (!at) return false;
        e->at = at;
        e->room = e->room ? 2 * e->room : 256;
    }
    if (!grow_tokens(cx, e, n, types != NULL, labels != NULL)) return false;
    put(e->ids, e->tokens, ids, n);
    put(e->types, e->tokens, types, n);
    put(e->labels, e->tokens, labels, n);
    e->at[e->n++] = (lt_example){.begin = e->tokens, .n = n, .label = label, .number = number};
    e->tokens += n;
    return true;
}

void lt_examples_free(lt_examples *e)
{
    for (int i = 0; i < e->names; i++) lt_free(e->name[i]);
    lt_free(e->name);
    lt_free(e->at);
    lt_free(e->ids);
    lt_free(e->types);
    lt_free(e->labels);
    lt_free(e->sets);
    *e = (lt_examples){0};
}

/* ---- label names ---- */

int lt_examples_label(lt_ctx *cx, lt_examples *e, const char *name, size_t size)
{
    for (int i = 0; i < e->names; i++)
        if (strlen(e->name[i]) == size && memcmp(e->name[i], name, size) == 0) return i;
    if (!e->open) return -1;
    char **grown = lt_resize(cx, e->name, e->names + 1, sizeof *grown);
    if (!grown) return -1;
    e->name = grown;
    char *copy = lt_new(cx, (int64_t)size + 1, 1);
    if (!copy) return -1;
    memcpy(copy, name, size);
    e->name[e->names] = copy;
    return e->names++;
}

typedef struct named {
    char *name;
    int was;
    double number; /* NaN: none of the names is compared by number */
} named;

static int by_name(const void *x, const void *y)
{
    const named *a = x, *b = y;
    if (!isnan(a->number)) return (a->number > b->number) - (a->number < b->number);
    return strcmp(a->name, b->name);
}

void lt_examples_renumber(lt_examples *e, const int32_t *now)
{
    lt_sets_renumber(e, now);
    for (int64_t i = 0; i < e->n && !e->multi; i++)
        if (e->at[i].label >= 0) e->at[i].label = now[e->at[i].label];
    for (int64_t i = 0; e->labels && i < e->tokens; i++)
        if (e->labels[i] >= 0) e->labels[i] = now[e->labels[i]];
}

bool lt_examples_sort_labels(lt_ctx *cx, lt_examples *e)
{
    lt_scope scope = lt_open(cx, NULL);
    named *list = lt_alloc_array(cx, e->names, sizeof *list);
    int32_t *now = lt_alloc_array(cx, e->names, sizeof *now);
    bool numbers = true;
    for (int i = 0; list && i < e->names; i++) {
        char *end;
        list[i] = (named){e->name[i], i, (double)strtoll(e->name[i], &end, 10)};
        numbers = numbers && *e->name[i] && !*end;
    }
    for (int i = 0; list && !numbers && i < e->names; i++) list[i].number = NAN;
    const bool done = list && now;
    if (done) {
        qsort(list, (size_t)e->names, sizeof *list, by_name);
        for (int i = 0; i < e->names; i++) {
            now[list[i].was] = i;
            e->name[i] = list[i].name;
        }
        lt_examples_renumber(e, now);
    }
    lt_end(cx, scope);
    return done;
}

/* ---- rows ---- */

static lt_encoding *encoding_of_ids(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row, const int32_t *ids, int32_t n)
{
    lt_encoding *c = lt_alloc(cx, sizeof *c);
    if (!c) return NULL;
    const int vocab = r->vocab;
    for (int32_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return lt_fail(cx, LT_ERR_INPUT, "%s:%" PRId64 ": id %d at place %d: expected 0 to %d", row->file, row->line, ids[i], i, vocab - 1);
    if (n > r->limit)
        return lt_fail(cx, LT_ERR_INPUT, "%s:%" PRId64 ": %d ids: the model takes %d", row->file, row->line, n, r->limit);
    *c = (lt_encoding){.n = n, .ids = (int32_t *)ids};
    if (n == 0) e->skipped++;
    return n ? c : NULL;
}

lt_encoding *lt_text_tokens(lt_ctx *cx, lt_run *r, lt_examples *e, const char *text, size_t size, const char *pair, size_t pair_size)
{
    if (!r->tokenizer) return lt_fail(cx, LT_ERR_INPUT, "%s: there is no tokenizer: rows of ids are expected", r->o->model);
    lt_encoding *c = lt_encode(cx, r->tokenizer, text, size, pair, pair_size, &(lt_encode_options){.max_tokens = r->limit});
    if (c && c->n == c->special_count) { /* nothing was in it */
        e->skipped++;
        return NULL;
    }
    return c;
}

lt_encoding *lt_row_tokens(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row)
{
    int32_t n = 0;
    const int32_t *ids = lt_row_ids(cx, row, "ids", &n);
    if (!lt_ok(cx)) return NULL;
    if (ids) return encoding_of_ids(cx, r, e, row, ids, n);
    size_t size = 0, pair_size = 0;
    const char *text = lt_row_want_text(cx, row, "text", &size), *pair = text ? lt_row_text(row, "text_pair", &pair_size) : NULL;
    return text ? lt_text_tokens(cx, r, e, text, size, pair, pair_size) : NULL;
}

bool lt_read_examples(lt_ctx *cx, lt_run *r, lt_examples *e, const char *const *files, int n)
{
    lt_rows *rows = lt_rows_open(cx, files, n, &(lt_rows_options){.columns = r->o->columns, .ids = r->o->ids});
    lt_row row;
    int file = 0;
    if (!rows) return false;
    e->file = files;
    e->files = n;
    if (r->dist->rank == 0) lt_progress_begin(cx, "reading", "bytes", lt_rows_bytes_total(rows));
    for (bool more = true; more && lt_ok(cx);) {
        lt_scope scope = lt_open(cx, NULL);
        int64_t k = e->n;
        more = lt_rows_next(cx, rows, &row) && (r->objective->read(cx, r, e, &row) || lt_ok(cx));
        while (more && file + 1 < n && strcmp(row.file, files[file]) != 0) file++;
        for (; more && k < e->n; k++) {
            e->at[k].line = row.line;
            e->at[k].file = file;
        }
        lt_progress_step(cx, lt_rows_bytes_done(rows));
        lt_end(cx, scope);
    }
    lt_progress_end(cx);
    lt_rows_close(rows);
    if (lt_ok(cx) && e->n == 0)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: no row to learn from (%" PRId64 " left out as empty)", n ? files[0] : "-", e->skipped);
    return lt_ok(cx);
}
