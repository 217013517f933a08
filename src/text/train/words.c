/* Counting words. Rows are read a block at a time; while threads cut and count one block, each into a table of its own, one of them
 * reads the next. The tables are added up at the end. Counts are sums, so neither threads nor the order of work change them; no more
 * than two blocks and the different words are in memory. */
#include "text/train/words.h"

#include "base/ctx.h"

enum { BLOCK_BYTES = 4 << 20, BLOCK_ROWS = 1 << 18, CHUNK_BYTES = 64 << 10 };

typedef struct block {
    lt_str text;  /* of all rows, one after another */
    size_t *end;  /* of each row */
    size_t *last; /* of each chunk: the row behind it */
    int64_t rows, chunks, row_room, chunk_room;
} block;

typedef struct counter {
    lt_rows *rows;
    lt_word_cut *cut;
    const lt_tokenizer *t;
    block block[2];
    int now;           /* the one that is counted; the other is filled */
    lt_ctx **child;    /* of each thread, */
    lt_words *table;   /* … and its words */
    int threads;
    bool over;         /* no more rows */
} counter;

/* ---- tables ---- */

static bool add(lt_ctx *cx, lt_words *w, const char *text, size_t size, int64_t times)
{
    int32_t e = w->text.n ? lt_index_find(&w->text, &w->text.whole, text, size, lt_hash(text, size)) : -1;
    if (e >= 0) {
        w->count[e] += times;
        return true;
    }
    if (w->text.n == w->capacity) {
        int64_t room = w->capacity ? (int64_t)w->capacity * 2 : 1024;
        int64_t *count = lt_resize(cx, w->count, room, sizeof *count);
        if (!count || !lt_fail_if(cx, room > INT32_MAX, LT_ERR_MEMORY, "more than %d different words", w->capacity)) return false;
        w->count = count;
        w->capacity = (int32_t)room;
    }
    if (!lt_vocab_add(cx, &w->text, text, size, w->text.n)) return false;
    w->count[w->text.n - 1] = times;
    return true;
}

void lt_words_free(lt_words *w)
{
    lt_vocab_free(&w->text);
    lt_free(w->count);
    *w = (lt_words){0};
}

/* Adds the words of `from` to those of `to`. */
static bool join(lt_ctx *cx, lt_words *to, const lt_words *from)
{
    for (int32_t i = 0; i < from->text.n; i++) {
        const lt_vocab_entry *e = &from->text.entry[i];
        if (!add(cx, to, from->text.text + e->offset, e->size, from->count[i])) return false;
        if ((i & 0xFFFF) == 0 && !lt_ok(cx)) return false;
    }
    return true;
}

/* ---- reading ---- */

static bool grow(lt_ctx *cx, size_t **p, int64_t n, int64_t *room)
{
    if (n < *room) return true;
    size_t *more = lt_resize(cx, *p, *room * 2 + 256, sizeof *more);
    if (!more) return false;
    *p = more;
    *room = *room * 2 + 256;
    return true;
}

/* Puts a row behind the others; a chunk that is long enough is closed. */
static bool put_row(lt_ctx *cx, block *b, const char *text, size_t size)
{
    lt_str_add(&b->text, text, size);
    if (!lt_fail_if(cx, b->text.failed, LT_ERR_MEMORY, "no memory for a row of %zu bytes", size)) return false;
    if (!grow(cx, &b->end, b->rows, &b->row_room) || !grow(cx, &b->last, b->chunks, &b->chunk_room)) return false;
    b->end[b->rows++] = b->text.size;
    size_t first = b->chunks ? b->last[b->chunks - 1] : 0, begin = first ? b->end[first - 1] : 0;
    if (b->text.size - begin >= CHUNK_BYTES) b->last[b->chunks++] = (size_t)b->rows;
    return true;
}

static bool fill(lt_ctx *cx, counter *c, block *b)
{
    lt_row row;
    size_t size;
    b->rows = b->chunks = 0;
    lt_str_clear(&b->text);
    while (b->text.size < BLOCK_BYTES && b->rows < BLOCK_ROWS) {
        if (!lt_rows_next(cx, c->rows, &row)) {
            c->over = true;
            break;
        }
        const char *text = lt_row_want_text(cx, &row, "text", &size);
        if (!text || !put_row(cx, b, text, size)) return false;
    }
    if (b->rows && (!b->chunks || b->last[b->chunks - 1] < (size_t)b->rows)) b->last[b->chunks++] = (size_t)b->rows;
    return lt_ok(cx);
}

/* ---- counting ---- */

static bool count_row(lt_ctx *cx, const counter *c, lt_words *w, const char *text, size_t size)
{
    lt_source s;
    lt_pieces words = {0};
    bool ok = lt_source_read(cx, text, size, &s) && (!s.size || c->cut(cx, c->t, &s, &words));
    for (int32_t i = 0; ok && i < words.n; i++) ok = add(cx, w, words.at[i].text, words.at[i].size, 1);
    return ok;
}

static lt_words *table_of(const counter *c, const lt_ctx *child)
{
    int k = 0;
    while (k < c->threads - 1 && c->child[k] != child) k++;
    return &c->table[k];
}

/* Item 0 reads ahead, the others are the chunks. */
static void work(void *arg, lt_ctx *child, int64_t i)
{
    counter *c = arg;
    const block *b = &c->block[c->now];
    if (i == 0) {
        if (!c->over) fill(child, c, &c->block[1 - c->now]);
        return;
    }
    lt_words *w = table_of(c, child);
    for (size_t k = i > 1 ? b->last[i - 2] : 0; k < b->last[i - 1] && lt_ok(child); k++) {
        size_t begin = k ? b->end[k - 1] : 0;
        lt_scope scope = lt_open(child, NULL);
        count_row(child, c, w, b->text.data + begin, b->end[k] - begin);
        lt_end(child, scope);
    }
}

static bool count(lt_ctx *cx, counter *c, int64_t *n_rows)
{
    bool ok = fill(cx, c, &c->block[0]);
    while (ok && c->block[c->now].rows) {
        block *b = &c->block[c->now], *next = &c->block[1 - c->now];
        next->rows = 0;
        ok = lt_parallel(cx, b->chunks + 1, work, c);
        *n_rows += b->rows;
        lt_progress_step(cx, lt_rows_bytes_total(c->rows) ? lt_rows_bytes_done(c->rows) : *n_rows);
        c->now = 1 - c->now;
    }
    return ok;
}

bool lt_words_count(lt_ctx *cx, lt_rows *rows, lt_word_cut *cut, const lt_tokenizer *t, lt_words *out, int64_t *n_rows)
{
    int64_t bytes = lt_rows_bytes_total(rows);
    counter c = {.rows = rows, .cut = cut, .t = t, .threads = lt_threads(cx)};
    lt_progress_begin(cx, "counting words", bytes ? "bytes" : "rows", bytes);
    c.child = lt_new(cx, c.threads, sizeof *c.child);
    c.table = lt_new(cx, c.threads, sizeof *c.table);
    bool ok = c.child && c.table;
    for (int k = 0; ok && k < c.threads; k++) ok = (c.child[k] = lt_ctx_child(cx, k)) != NULL;
    *n_rows = 0;
    ok = ok && count(cx, &c, n_rows);
    for (int k = 1; ok && k < c.threads; k++) ok = join(cx, &c.table[0], &c.table[k]);
    lt_progress_end(cx);
    if (ok) {
        *out = c.table[0];
        c.table[0] = (lt_words){0};
    }
    for (int k = 0; c.table && k < c.threads; k++) lt_words_free(&c.table[k]);
    for (int k = 0; k < 2; k++) {
        lt_str_free(&c.block[k].text);
        lt_free(c.block[k].end);
        lt_free(c.block[k].last);
    }
    lt_free(c.child);
    lt_free(c.table);
    return ok;
}
