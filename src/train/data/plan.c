/* An epoch's plan: which examples make which batch. A shuffle keyed by seed and epoch; then, if asked for, sorting by length within windows of so many
 * batches, which come in random order again (sorting all would tie a batch's place to its length); or packing: rows of full length, each filled
 * with whole examples by best fit decreasing (Krell et al. 2021, arXiv 2107.02027), every example a sequence of its own. All of it is a function of
 * seed and epoch alone. */
#include "train/train.h"

#include <stdlib.h>
#include <string.h>

enum { SITE_ORDER = 2, SITE_WINDOW = 19, PACK_WINDOW = 32 }; /* of random numbers; batches that are packed together */

static int64_t pick(const lt_run *r, uint64_t i, int64_t epoch, uint32_t site, int64_t n)
{
    const uint32_t key[2] = {(uint32_t)r->o->seed, (uint32_t)(r->o->seed >> 32)};
    uint32_t bits[4];
    lt_philox((const uint32_t[4]){(uint32_t)i, (uint32_t)(i >> 32), (uint32_t)epoch, site}, key, bits);
    return (int64_t)((((uint64_t)bits[0] << 32) | bits[1]) % (uint64_t)n);
}

/* Fisher & Yates 1938 with one counter a draw. */
static void shuffle(const lt_run *r, int64_t *x, int64_t n, int64_t epoch, uint32_t site, uint64_t first)
{
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = pick(r, first + (uint64_t)i, epoch, site, i + 1), t = x[i];
        x[i] = x[j];
        x[j] = t;
    }
}

int64_t lt_batch_end(const lt_run *r, const lt_examples *e, const int64_t *order, int64_t begin)
{
    const int64_t budget = lt_budget(r);
    int64_t end = begin, sum = 0;
    if (!budget) return begin + r->o->batch < e->n ? begin + r->o->batch : e->n;
    while (end < e->n) {
        sum += lt_budget_of(r, e->at[order ? order[end] : end].n);
        if (end > begin && sum > budget) break;
        end++;
    }
    return end;
}

void lt_plan_free(lt_plan *p)
{
    lt_free(p->order);
    lt_free(p->start);
    *p = (lt_plan){.epoch = -1};
}

static bool add_batch(lt_ctx *cx, lt_plan *p, int64_t end)
{
    if (p->batches + 1 >= p->room) {
        int64_t *more = lt_resize(cx, p->start, 2 * p->room + 64, sizeof *more);
        if (!more) return false;
        p->start = more;
        p->room = 2 * p->room + 64;
        p->start[0] = 0;
    }
    p->start[++p->batches] = end;
    return true;
}

/* ---- windows sorted by length ---- */

typedef struct sized {
    int64_t example, at, n; /* at: where it stood */
} sized;

static int longest_first(const void *x, const void *y)
{
    const sized *a = x, *b = y;
    return a->n != b->n ? (a->n < b->n) - (a->n > b->n) : (a->at > b->at) - (a->at < b->at);
}

static bool sort_window(lt_ctx *cx, const lt_examples *e, int64_t *order, int64_t n)
{
    lt_scope scope = lt_open(cx, NULL);
    sized *s = lt_alloc_array(cx, n, sizeof *s);
    for (int64_t i = 0; s && i < n; i++) s[i] = (sized){order[i], i, e->at[order[i]].n};
    if (s) qsort(s, (size_t)n, sizeof *s, longest_first);
    for (int64_t i = 0; s && i < n; i++) order[i] = s[i].example;
    lt_end(cx, scope);
    return s != NULL;
}

/* Where a window of so many batches that begins there ends. */
static int64_t window_end(const lt_run *r, const lt_plan *p, int64_t begin, int64_t batches)
{
    const int64_t n = r->train.n, budget = lt_budget(r);
    int64_t end = begin, sum = 0;
    if (!budget) return n - begin > batches * r->o->batch ? begin + batches * r->o->batch : n;
    while (end < n && sum < batches * budget) sum += lt_budget_of(r, r->train.at[p->order[end++]].n);
    return end;
}

/* The window's batches, one after another in random order. */
static bool group_window(lt_ctx *cx, const lt_run *r, lt_plan *p, int64_t begin, int64_t end, uint64_t first)
{
    int64_t *order = p->order + begin, n = end - begin, batches = 0, at = 0;
    const lt_examples within = {.at = r->train.at, .n = n};
    if (!sort_window(cx, &r->train, order, n)) return false;
    int64_t *cut = lt_alloc_array(cx, n + 1, sizeof *cut), *turn = lt_alloc_array(cx, n, sizeof *turn), *sorted = lt_alloc_array(cx, n, sizeof *sorted);
    if (!cut || !turn || !sorted) return false;
    memcpy(sorted, order, (size_t)n * sizeof *sorted);
    cut[0] = 0;
    for (; at < n; batches++) {
        turn[batches] = batches;
        cut[batches + 1] = at = lt_batch_end(r, &within, order, at);
    }
    if (!r->o->no_shuffle) shuffle(r, turn, batches, p->epoch, SITE_WINDOW, first);
    at = begin;
    for (int64_t i = 0; i < batches; i++) {
        const int64_t from = cut[turn[i]], size = cut[turn[i] + 1] - from;
        memcpy(p->order + at, sorted + from, (size_t)size * sizeof *sorted);
        at += size;
        if (!add_batch(cx, p, at)) return false;
    }
    return true;
}

static bool group(lt_ctx *cx, const lt_run *r, lt_plan *p)
{
    bool good = true;
    for (int64_t begin = 0, end; good && begin < r->train.n; begin = end) {
        lt_scope scope = lt_open(cx, NULL);
        end = window_end(r, p, begin, r->o->bucket);
        good = group_window(cx, r, p, begin, end, (uint64_t)begin);
        lt_end(cx, scope);
    }
    return good;
}

/* ---- packing ---- */

typedef struct packed_row {
    int64_t first, last; /* examples, linked by `next` */
    int64_t at, room;    /* when it was begun; what is left */
    int64_t below;       /* rows with as much room, linked */
} packed_row;

typedef struct packing {
    packed_row *row;
    int64_t rows;
    int64_t *next, *with; /* of an example of the window; of a room, the row begun last */
    uint64_t *some;       /* one bit a room: there is a row with it */
} packing;

static int fullest_first(const void *x, const void *y)
{
    const packed_row *a = x, *b = y;
    return a->room != b->room ? (a->room > b->room) - (a->room < b->room) : (a->at > b->at) - (a->at < b->at);
}

static void give_room(packing *k, int64_t row, int64_t room)
{
    k->row[row].room = room;
    k->row[row].below = k->with[room];
    k->with[room] = row;
    k->some[room / 64] |= (uint64_t)1 << (room % 64);
}

/* The row with the least room that is enough, taken out of its list; -1: none. */
static int64_t best_fit(packing *k, int64_t n, int64_t limit)
{
    for (int64_t w = n / 64; w <= limit / 64; w++) {
        const uint64_t bits = w == n / 64 ? k->some[w] & (~(uint64_t)0 << (n % 64)) : k->some[w];
        if (!bits) continue;
        const int64_t room = w * 64 + __builtin_ctzll(bits), row = k->with[room];
        k->with[room] = k->row[row].below;
        if (k->with[room] < 0) k->some[w] &= ~((uint64_t)1 << (room % 64));
        return row;
    }
    return -1;
}

/* Fills rows with the n examples at `order`, longest first. */
static bool pack_window(lt_ctx *cx, const lt_run *r, packing *k, int64_t *order, int64_t n)
{
    const int64_t limit = r->limit;
    k->row = lt_alloc_array(cx, n, sizeof *k->row);
    k->next = lt_alloc_array(cx, n, sizeof *k->next);
    k->with = lt_alloc_array(cx, limit + 1, sizeof *k->with);
    k->some = lt_alloc_array(cx, limit / 64 + 1, sizeof *k->some);
    if (!k->row || !k->next || !k->with || !k->some || !sort_window(cx, &r->train, order, n)) return false;
    memset(k->some, 0, (size_t)(limit / 64 + 1) * sizeof *k->some);
    for (int64_t i = 0; i <= limit; i++) k->with[i] = -1;
    k->rows = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t size = r->train.at[order[i]].n < limit ? r->train.at[order[i]].n : limit, row = best_fit(k, size, limit);
        k->next[i] = -1;
        if (row >= 0) {
            k->next[k->row[row].last] = i;
            k->row[row].last = i;
            give_room(k, row, k->row[row].room - size);
        } else {
            k->row[k->rows] = (packed_row){.first = i, .last = i, .at = k->rows};
            give_room(k, k->rows, limit - size);
            k->rows++;
        }
    }
    qsort(k->row, (size_t)k->rows, sizeof *k->row, fullest_first);
    return true;
}

/* Of the window at `begin` as many of the fullest rows as make whole batches, in random order; what is left over stands behind them, for the next
 * window, or is the last batch. Returns where the next window begins; -1: an error. */
static int64_t pack_batches(lt_ctx *cx, const lt_run *r, lt_plan *p, int64_t begin, int64_t end)
{
    packing k;
    int64_t *order = p->order + begin, n = end - begin;
    if (!pack_window(cx, r, &k, order, n)) return -1;
    int64_t *sorted = lt_alloc_array(cx, n, sizeof *sorted), *turn = lt_alloc_array(cx, k.rows, sizeof *turn), at = begin;
    if (!sorted || !turn) return -1;
    memcpy(sorted, order, (size_t)n * sizeof *sorted);
    const bool last = end == r->train.n;
    const int64_t whole = last ? k.rows : k.rows / r->o->batch * r->o->batch;
    for (int64_t i = 0; i < k.rows; i++) turn[i] = i;
    if (!r->o->no_shuffle) shuffle(r, turn, whole, p->epoch, SITE_WINDOW, (uint64_t)begin);
    int64_t next = end;
    for (int64_t i = 0; i < k.rows; i++) {
        for (int64_t x = k.row[turn[i]].first; x >= 0; x = k.next[x]) p->order[at++] = sorted[x];
        const bool full = (i + 1) % r->o->batch == 0 && i < whole;
        if ((full || (last && i + 1 == k.rows)) && !add_batch(cx, p, at)) return -1;
        if (i + 1 == whole) next = at;
    }
    return whole ? next : -1;
}

static bool pack(lt_ctx *cx, const lt_run *r, lt_plan *p)
{
    const int64_t tokens = PACK_WINDOW * (int64_t)r->o->batch * r->limit;
    for (int64_t begin = 0, end; begin < r->train.n;) {
        lt_scope scope = lt_open(cx, NULL);
        int64_t sum = 0;
        for (end = begin; end < r->train.n && sum < tokens; end++) sum += r->train.at[p->order[end]].n;
        begin = pack_batches(cx, r, p, begin, end);
        lt_end(cx, scope);
        if (begin < 0) return false;
    }
    return true;
}

/* ---- the plan ---- */

bool lt_plan_make(lt_ctx *cx, const lt_run *r, lt_plan *p, int64_t epoch)
{
    const int64_t n = r->train.n;
    if (p->order && p->epoch == epoch) return true;
    if (!p->order && !(p->order = lt_new(cx, n, sizeof *p->order))) return false;
    for (int64_t i = 0; i < n; i++) p->order[i] = i;
    p->epoch = epoch;
    p->batches = 0;
    if (!r->o->no_shuffle) shuffle(r, p->order, n, epoch, SITE_ORDER, 0);
    bool good = true;
    if (r->o->pack) good = pack(cx, r, p);
    else if (r->o->bucket > 1) good = group(cx, r, p);
    else for (int64_t at = 0; good && at < n;) good = add_batch(cx, p, at = lt_batch_end(r, &r->train, p->order, at));
    if (!good) p->epoch = -1;
    return good;
}

int64_t lt_plan_batch(const lt_plan *p, int64_t begin)
{
    int64_t low = 0, high = p->batches - 1; /* the last that begins there or before */
    while (low < high) {
        const int64_t middle = (low + high + 1) / 2;
        if (p->start[middle] <= begin) low = middle;
        else high = middle - 1;
    }
    return low;
}
