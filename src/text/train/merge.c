/* Byte-pair encoding (Sennrich et al., "Neural machine translation of rare words with subword units", 2016): the pair of neighbours
 * that is most frequent becomes a token, everywhere, again and again. Each pair knows where it may occur, so a merge touches nothing
 * else; a queue holds the pairs by frequency, then by ids, and is put right when a pair comes up whose frequency has fallen since.
 * Which pair goes first is the reference trainer's rule, so that the same words give the same merges. */
#include "text/train/merge.h"

#include "base/ctx.h"

typedef struct pair {
    int64_t count;
    int32_t a, b;
    int32_t last;  /* the merge of it that was made last, -1: none */
    int32_t fresh; /* places in the list that is being made */
    int64_t fill;  /* where the next one goes */
} pair;
typedef struct slot {
    uint64_t key;
    uint32_t pair; /* index + 1; 0: empty */
} slot;
typedef struct event { /* a pair comes into being at a place */
    uint32_t pair;
    int32_t at;
} event;
typedef struct entry { /* of the queue: a pair with the places where it came into being at one merge */
    int64_t count;
    uint64_t key;
    const int32_t *at;
    int32_t n, step;
    uint32_t pair;
} entry;
typedef struct beside { /* in the merge of a step: pairs with one neighbour */
    int32_t step;
    uint32_t gone, made;
} beside;

typedef struct learner {
    lt_ctx *cx;
    lt_merging *m;
    pair *pair;
    slot *slot;
    event *event;
    entry *queue;
    uint32_t *touched; /* pairs with fresh places */
    uint32_t *made;    /* the pair of each merge */
    beside *left, *right; /* by the neighbour's id */
    int64_t pairs, pair_room, events, event_room, queued, queue_room, touches, touch_room, mades, made_room;
    uint64_t mask;
    int32_t step;
    lt_str text;
} learner;

static void *room_for(learner *l, void *p, int64_t n, int64_t *room, size_t size)
{
    if (n < *room) return p;
    int64_t wide = *room * 2 + 1024;
    void *q = lt_resize(l->cx, p, wide, size);
    if (q) *room = wide;
    return q;
}
/* Makes room for one more in an array of the learner. */
#define ROOM(l, list, n, room)                                                        \
    __extension__({                                                                   \
        void *q_ = room_for(l, (l)->list, (l)->n, &(l)->room, sizeof *(l)->list);     \
        if (q_) (l)->list = q_;                                                       \
        q_ != NULL;                                                                   \
    })

/* ---- pairs ---- */

static uint64_t key_of(int32_t a, int32_t b) { return (uint64_t)(uint32_t)a << 32 | (uint32_t)b; }
static uint64_t place_of(const learner *l, uint64_t key) { return (key * 0x9E3779B97F4A7C15u >> 20) & l->mask; }

static bool widen_slots(learner *l)
{
    uint64_t n = l->slot ? (l->mask + 1) * 2 : 1 << 16;
    slot *wide = lt_new(l->cx, (int64_t)n, sizeof *wide), *old = l->slot;
    uint64_t olds = old ? l->mask + 1 : 0;
    if (!wide) return false;
    l->slot = wide;
    l->mask = n - 1;
    for (uint64_t i = 0; i < olds; i++) {
        if (!old[i].pair) continue;
        uint64_t k = place_of(l, old[i].key);
        while (wide[k].pair) k = (k + 1) & l->mask;
        wide[k] = old[i];
    }
    lt_free(old);
    return true;
}

/* The pair (a, b), made if it is new; UINT32_MAX: no memory. */
static uint32_t pair_of(learner *l, int32_t a, int32_t b)
{
    uint64_t key = key_of(a, b);
    if ((!l->slot || (uint64_t)l->pairs * 2 > l->mask) && !widen_slots(l)) return UINT32_MAX;
    uint64_t k = place_of(l, key);
    for (; l->slot[k].pair; k = (k + 1) & l->mask)
        if (l->slot[k].key == key) return l->slot[k].pair - 1;
    if (l->pairs >= INT32_MAX || !ROOM(l, pair, pairs, pair_room)) return UINT32_MAX;
    l->pair[l->pairs++] = (pair){.a = a, .b = b, .last = -1};
    l->slot[k] = (slot){key, (uint32_t)l->pairs};
    return (uint32_t)l->pairs - 1;
}

/* ---- the queue ---- */

static bool before(const entry *x, const entry *y)
{
    if (x->count != y->count) return x->count > y->count;
    return x->key != y->key ? x->key < y->key : x->step < y->step;
}

static void sink(learner *l, int64_t k, entry x)
{
    for (int64_t child; (child = 2 * k + 1) < l->queued; k = child) {
        if (child + 1 < l->queued && before(&l->queue[child + 1], &l->queue[child])) child++;
        if (!before(&l->queue[child], &x)) break;
        l->queue[k] = l->queue[child];
    }
    l->queue[k] = x;
}

static bool push(learner *l, entry x)
{
    if (!ROOM(l, queue, queued, queue_room)) return false;
    int64_t k = l->queued++;
    for (; k > 0 && before(&x, &l->queue[(k - 1) / 2]); k = (k - 1) / 2) l->queue[k] = l->queue[(k - 1) / 2];
    l->queue[k] = x;
    return true;
}

static void drop_first(learner *l)
{
    entry last = l->queue[--l->queued];
    if (l->queued) sink(l, 0, last);
}

/* Brings a pair that may be merged to the front of the queue; false: there is none. */
static bool settle(learner *l)
{
    while (l->queued) {
        entry x = l->queue[0];
        int64_t count = l->pair[x.pair].count;
        if (x.count == count) return count >= 1 && count >= l->m->min_frequency;
        x.count = count;
        sink(l, 0, x);
    }
    return false;
}

/* ---- places ---- */

static bool note(learner *l, uint32_t p, int32_t at)
{
    if (!l->pair[p].fresh++) {
        if (!ROOM(l, touched, touches, touch_room)) return false;
        l->touched[l->touches++] = p;
    }
    if (!ROOM(l, event, events, event_room)) return false;
    l->event[l->events++] = (event){p, at};
    return true;
}

/* Puts pairs that have come into being into the queue, each with its places in order. */
static bool enqueue(learner *l)
{
    int64_t total = 0;
    for (int64_t i = 0; i < l->touches; i++) {
        l->pair[l->touched[i]].fill = total;
        total += l->pair[l->touched[i]].fresh;
    }
    int32_t *at = lt_alloc_array(l->cx, total, sizeof *at);
    if (!at) return false;
    for (int64_t i = 0; i < l->events; i++) at[l->pair[l->event[i].pair].fill++] = l->event[i].at;
    for (int64_t i = 0; i < l->touches; i++) {
        pair *p = &l->pair[l->touched[i]];
        entry x = {p->count, key_of(p->a, p->b), at + p->fill - p->fresh, p->fresh, l->step, l->touched[i]};
        p->fresh = 0;
        if (p->count > 0 && !push(l, x)) return false;
    }
    l->events = l->touches = 0;
    return true;
}

static bool find_pairs(learner *l)
{
    lt_merging *m = l->m;
    for (int64_t i = 0; i < m->n; i++) {
        lt_symbol *s = &m->symbol[i];
        if (s->next < 0) continue;
        uint32_t p = pair_of(l, s->id, m->symbol[s->next].id);
        if (p == UINT32_MAX || !note(l, p, (int32_t)i)) return false;
        l->pair[p].count += m->count[s->word];
        if ((i & 0xFFFF) == 0 && !lt_ok(l->cx)) return false;
    }
    return enqueue(l);
}

/* ---- merging ---- */

/* The token that a and b become: a new one, unless there is one of that text. -1: no memory. */
static int32_t token_of(learner *l, int32_t a, int32_t b)
{
    lt_vocab *v = l->m->tokens;
    const lt_vocab_entry *x = &v->entry[a], *y = &v->entry[b];
    size_t skip = strlen(l->m->prefix);
    if (y->size < skip || memcmp(v->text + y->offset, l->m->prefix, skip)) skip = 0;
    lt_str_clear(&l->text);
    lt_str_add(&l->text, v->text + x->offset, x->size);
    lt_str_add(&l->text, v->text + y->offset + skip, y->size - skip);
    if (!lt_fail_if(l->cx, l->text.failed, LT_ERR_MEMORY, "no memory for a token")) return -1;
    int32_t id = lt_vocab_find(v, l->text.data, l->text.size);
    if (id >= 0) return id;
    id = v->n;
    return lt_vocab_add(l->cx, v, l->text.data, l->text.size, id) ? id : -1;
}

/* The pair (a, b), which stands with x on its left, becomes r: (x, a) goes, (x, r) comes. */
static bool change_left(learner *l, int32_t x, int32_t a, int32_t r, int32_t at, int64_t count)
{
    beside *s = &l->left[x];
    if (s->step != l->step) *s = (beside){l->step, pair_of(l, x, a), pair_of(l, x, r)};
    if (s->gone == UINT32_MAX || s->made == UINT32_MAX) return false;
    l->pair[s->gone].count -= count;
    l->pair[s->made].count += count;
    return note(l, s->made, at);
}
static bool change_right(learner *l, int32_t y, int32_t b, int32_t r, int32_t at, int64_t count)
{
    beside *s = &l->right[y];
    if (s->step != l->step) *s = (beside){l->step, pair_of(l, b, y), pair_of(l, r, y)};
    if (s->gone == UINT32_MAX || s->made == UINT32_MAX) return false;
    l->pair[s->gone].count -= count;
    l->pair[s->made].count += count;
    return note(l, s->made, at);
}

/* Merges at the places of x. A place may have been taken by another merge meanwhile. */
static bool merge_places(learner *l, const entry *x, int32_t a, int32_t b, int32_t r)
{
    lt_symbol *symbol = l->m->symbol;
    for (int32_t k = 0; k < x->n; k++) {
        lt_symbol *s = &symbol[x->at[k]];
        if (s->id != a || s->next < 0 || symbol[s->next].id != b) continue;
        lt_symbol *t = &symbol[s->next];
        int64_t count = l->m->count[s->word];
        s->id = r;
        s->next = t->next;
        t->id = -1;
        if (s->next >= 0) symbol[s->next].prev = x->at[k];
        if (s->prev >= 0 && !change_left(l, symbol[s->prev].id, a, r, s->prev, count)) return false;
        if (s->next >= 0 && !change_right(l, symbol[s->next].id, b, r, x->at[k], count)) return false;
    }
    return true;
}

static bool merge_first(learner *l)
{
    entry x = l->queue[0];
    drop_first(l);
    int32_t a = l->pair[x.pair].a, b = l->pair[x.pair].b, r = token_of(l, a, b);
    if (r < 0 || !ROOM(l, made, mades, made_room)) return false;
    l->pair[x.pair].last = (int32_t)l->mades;
    l->made[l->mades++] = x.pair;
    return merge_places(l, &x, a, b, r) && enqueue(l);
}

static bool learn(learner *l)
{
    lt_merging *m = l->m;
    int64_t most = m->tokens->n + m->n; /* a merge takes a symbol away */
    if (most > m->want) most = m->want;
    l->left = lt_new(l->cx, most, sizeof *l->left);
    l->right = lt_new(l->cx, most, sizeof *l->right);
    if (!l->left || !l->right || !find_pairs(l)) return false;
    lt_progress_begin(l->cx, "merging pairs", "tokens", m->want);
    bool ok = true;
    while (ok && m->tokens->n < m->want && settle(l)) {
        l->step++;
        ok = lt_ok(l->cx) && merge_first(l);
        lt_progress_step(l->cx, m->tokens->n);
    }
    lt_progress_end(l->cx);
    return ok;
}

/* A pair that was merged more than once counts where it was merged last, as in the reference. */
static bool list_merges(learner *l)
{
    lt_merging *m = l->m;
    m->merge = lt_new(l->cx, l->mades + 1, sizeof *m->merge);
    for (int64_t i = 0; m->merge && i < l->mades; i++) {
        const pair *p = &l->pair[l->made[i]];
        if (p->last == i) m->merge[m->merges++] = (lt_merge){p->a, p->b};
    }
    return m->merge != NULL;
}

bool lt_merge_pairs(lt_ctx *cx, lt_merging *m)
{
    learner l = {.cx = cx, .m = m};
    m->merge = NULL;
    m->merges = 0;
    lt_scope scope = lt_open(cx, NULL);
    bool ok = learn(&l) && list_merges(&l);
    lt_end(cx, scope);
    void *owned[] = {l.pair, l.slot, l.event, l.queue, l.touched, l.made, l.left, l.right};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) lt_free(owned[i]);
    lt_str_free(&l.text);
    return ok;
}
