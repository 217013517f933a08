/* Rows become examples: cut in order by one thread, made into tokens by all of them, taken up in order. So examples and labels are numbered as if one
 * row came after the other, with any number of threads. What is too much for memory, or wanted again, goes to a file (store.c). */
#include "train/dist/dist.h"
#include "train/objective/mask.h"
#include "train/data/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

/* ---- many rows at once ---- */

enum { ROWS = 16, PARTS = 64, BYTES = 1 << 20 }; /* of a part; parts of a round; bytes after which a round is full */

typedef struct part { /* some rows one after another, and what they become */
    lt_row row[ROWS];
    int n;
    lt_examples e;
} part;

typedef struct reading {
    lt_run *r;
    lt_examples *e;
    lt_read_fn *read;
    part *part;
} reading;

static void read_part(void *arg, lt_ctx *cx, int64_t i)
{
    reading *g = arg;
    part *p = &g->part[i];
    for (int k = 0; k < p->n && lt_ok(cx); k++) {
        lt_scope scope = lt_open(cx, NULL);
        int64_t first = p->e.n;
        g->read(cx, g->r, &p->e, &p->row[k]);
        for (; first < p->e.n; first++) {
            lt_example *x = &p->e.at[first];
            x->line = (uint32_t)p->row[k].line;
            while ((int)x->file + 1 < g->e->files && strcmp(g->e->file[x->file], p->row[k].file) != 0) x->file++;
        }
        lt_end(cx, scope);
    }
}

/* A part knows the names that are fixed; where new ones may come it has its own, which get their numbers here. */
static bool take_part(lt_ctx *cx, lt_examples *e, lt_examples *p)
{
    int32_t *now = lt_alloc_array(cx, p->names, sizeof *now);
    bool good = now != NULL;
    for (int i = 0; good && e->open && i < p->names; i++) good = (now[i] = lt_examples_label(cx, e, p->name[i], strlen(p->name[i]))) >= 0;
    if (good && e->open && p->names) good = lt_examples_renumber(cx, p, now);
    if (good && p->multi && !e->multi) good = lt_examples_make_multi(cx, e);
    if (good && e->multi && !p->multi) good = lt_examples_make_multi(cx, p);
    for (int64_t i = 0; good && i < p->n; i++) {
        lt_example *x = &p->at[i];
        int32_t labels = 0;
        const int32_t *set = e->multi ? lt_set_of(p, i, &labels) : NULL;
        if (set && (x->label = lt_examples_set(cx, e, set, labels)) < 0) return false;
        good = lt_examples_add(cx, e, p->ids ? p->ids + x->begin : NULL, p->types ? p->types + x->begin : NULL, p->labels ? p->labels + x->begin : NULL, x->n,
                               x->label, x->number);
        if (!good || e->store) continue;
        e->at[e->n - 1].line = x->line;
        e->at[e->n - 1].file = x->file;
    }
    e->skipped += p->skipped;
    return good;
}

/* Empty again; its memory stays. */
static void clear_part(part *p)
{
    for (int k = 0; k < p->n; k++) lt_row_release(&p->row[k]);
    p->n = 0;
    p->e.n = p->e.tokens = p->e.skipped = p->e.set_n = 0;
    for (int i = 0; p->e.open && i < p->e.names; i++) lt_free(p->e.name[i]);
    if (p->e.open) p->e.names = 0;
}

static void free_part(part *p)
{
    clear_part(p);
    if (!p->e.open) p->e.name = NULL, p->e.names = 0; /* they are the examples' own */
    lt_examples_free(&p->e);
}

/* As many rows as a round takes; false: an error. *more: there may be others. */
static bool fill(lt_ctx *cx, reading *g, lt_rows *rows, int *parts, bool *more)
{
    lt_row row;
    const int64_t begin = lt_rows_bytes_done(rows);
    bool full = false;
    *more = true;
    *parts = 0;
    while (!full && *more) {
        if (!(*more = lt_rows_next(cx, rows, &row))) break;
        if (!lt_row_keep(cx, &row)) return false;
        if (*parts == 0 || g->part[*parts - 1].n == ROWS) {
            g->part[*parts].e.open = g->e->open;
            g->part[*parts].e.multi = g->e->multi;
            g->part[*parts].e.settled = g->e->settled;
            if (!g->e->open) g->part[*parts].e.name = g->e->name, g->part[*parts].e.names = g->e->names;
            ++*parts;
        }
        part *p = &g->part[*parts - 1];
        p->row[p->n++] = row;
        full = (*parts == PARTS && p->n == ROWS) || lt_rows_bytes_done(rows) - begin > BYTES;
    }
    return lt_ok(cx);
}

/* Rows in front of one that cannot be cut come first: if there is something wrong with them, that is the error. */
typedef struct late_error {
    lt_status status;
    char message[1024];
} late_error;

static bool set_aside(lt_ctx *cx, late_error *late)
{
    late->status = lt_ctx_status(cx);
    snprintf(late->message, sizeof late->message, "%s", lt_ctx_error(cx));
    lt_ctx_clear(cx);
    return true;
}

static bool raise_again(lt_ctx *cx, const late_error *late) { return lt_fail_if(cx, late->status != LT_OK, late->status, "%s", late->message); }

static bool read_rows(lt_ctx *cx, reading *g, lt_rows *rows)
{
    late_error late = {LT_OK, ""};
    bool good = true, more = true;
    while (good && more) {
        int parts = 0;
        lt_scope scope = lt_open(cx, NULL);
        good = (fill(cx, g, rows, &parts, &more) || set_aside(cx, &late)) && lt_parallel(cx, parts, read_part, g) && raise_again(cx, &late);
        for (int i = 0; good && i < parts; i++) good = take_part(cx, g->e, &g->part[i].e);
        for (int i = 0; i < parts; i++) clear_part(&g->part[i]);
        lt_progress_step(cx, lt_rows_bytes_done(rows));
        lt_end(cx, scope);
    }
    return good;
}

bool lt_read_rows(lt_ctx *cx, lt_run *r, lt_examples *e, const char *const *files, int n, lt_read_fn *read)
{
    lt_rows *rows = lt_rows_open(cx, files, n, &(lt_rows_options){.columns = r->o->columns, .ids = r->o->ids, .format = r->o->format});
    reading g = {r, e, read, rows ? lt_new(cx, PARTS, sizeof(part)) : NULL};
    e->file = files;
    e->files = n;
    if (r->dist->rank == 0) lt_progress_begin(cx, "reading", "bytes", lt_rows_bytes_total(rows));
    const bool good = g.part && read_rows(cx, &g, rows);
    lt_progress_end(cx);
    for (int i = 0; g.part && i < PARTS; i++) free_part(&g.part[i]);
    lt_free(g.part);
    lt_rows_close(rows);
    return good;
}

bool lt_data_check(lt_ctx *cx, const lt_run *r)
{
    const lt_train_options *o = r->o;
    const char *name = r->objective->is.name;
    const bool joins = o->break_mode && strcmp(o->break_mode, "row") != 0;
    return lt_mask_check(cx, &o->mask) && lt_fail_if(cx, joins && !r->objective->block, LT_ERR_USAGE, "break-mode: rows of objective \"%s\" cannot be joined", name) &&
           lt_fail_if(cx, joins && r->objective->pairs, LT_ERR_USAGE, "break-mode: pairs of objective \"%s\" have their own", name) &&
           lt_fail_if(cx, o->pack && (o->batch_tokens || o->batch_cost || o->bucket > 1), LT_ERR_USAGE,
                      "pack: a batch is so many full rows, neither a budget nor grouped");
}

/* ---- where to ---- */

/* More than memory should hold, by the size of the files: compressed text grows some eightfold, and tokens take about as much as text. */
static bool is_much(const char *const *files, int n, bool *again)
{
    const int64_t most = (int64_t)256 << 20;
    int64_t bytes = 0;
    *again = n > 0;
    for (int i = 0; i < n; i++) {
        struct stat st;
        const char *dot = strrchr(files[i], '.');
        const bool packed = dot && (strcasecmp(dot, ".gz") == 0 || strcasecmp(dot, ".zst") == 0);
        if (strcmp(files[i], "-") == 0 || stat(files[i], &st) != 0 || !S_ISREG(st.st_mode)) return *again = false, true;
        if (__builtin_add_overflow(bytes, st.st_size / (packed ? 1 : 8), &bytes)) return true;
    }
    return !*again || bytes > most / 8;
}

/* The folder of the file of examples; NULL: they go to memory. */
static const char *cache_folder(lt_ctx *cx, lt_run *r, const char *const *files, int n, bool *again)
{
    const lt_train_options *o = r->o;
    const bool much = is_much(files, n, again);
    if (r->objective == &lt_objective_classify) return NULL; /* sets of labels are in memory, and so is the rest */
    if (o->cache) {
        if (mkdir(o->cache, 0777) != 0 && errno != EEXIST) return lt_fail(cx, LT_ERR_IO, "%s: %s", o->cache, strerror(errno));
        return o->cache;
    }
    if (r->dist->size > 1) return NULL; /* OUT is the first worker's */
    return much && lt_checkpoint_begin(cx, o->out, r->goes_on, &r->lock) ? o->out : NULL;
}

/* Into e, wherever that is. Sentences that are to be joined go by a store of their own, to a file too if there is a folder. */
static bool read_into(lt_ctx *cx, lt_run *r, lt_examples *e, const char *const *files, int n, const char *folder)
{
    if (!lt_reads_sentences(r)) return lt_read_rows(cx, r, e, files, n, r->objective->read);
    lt_examples s = {0};
    const char *path = folder ? lt_sprintf(cx, "%s/sentences.cache", folder) : NULL;
    const bool good = (!folder || (path && lt_store_begin(cx, &s, path, (lt_store_key){0}, r->vocab, false))) &&
                      lt_read_rows(cx, r, &s, files, n, lt_sentence_read) && (!folder || lt_store_finish(cx, &s)) && lt_sentences_join(cx, r, &s, e);
    e->skipped += s.skipped;
    lt_examples_free(&s);
    return good;
}

static bool read_to_file(lt_ctx *cx, lt_run *r, lt_examples *e, const char *const *files, int n, const char *folder, bool again)
{
    lt_store_key key = {0};
    bool found = false;
    if (again && !lt_store_key_of(cx, r, e, files, n, &key)) return false;
    char *path = lt_sprintf(cx, "%s/tokens-%016" PRIx64 "%016" PRIx64 ".cache", folder, key.a, key.b);
    if (!path || (again && !lt_store_open(cx, e, path, key, r->vocab, &found)) || found) return path && lt_ok(cx);
    return lt_store_begin(cx, e, path, key, r->vocab, again) && read_into(cx, r, e, files, n, folder) && lt_store_finish(cx, e);
}

bool lt_read_examples(lt_ctx *cx, lt_run *r, lt_examples *e, const char *const *files, int n)
{
    bool again;
    const char *folder = cache_folder(cx, r, files, n, &again);
    if (!lt_ok(cx)) return false;
    const bool good = folder ? read_to_file(cx, r, e, files, n, folder, again) : read_into(cx, r, e, files, n, NULL);
    return good && lt_fail_if(cx, e->n == 0, LT_ERR_INPUT, "%s: no row to learn from (%" PRId64 " left out as empty)", n ? files[0] : "-", e->skipped);
}
