/* Batches: which examples, in what order. The order of an epoch is a shuffle keyed by seed and epoch; a batch is the next so many sequences of it,
 * or as many as have so many tokens together. */
#include "train/train.h"

#include <string.h>

enum { SITE_ORDER = 2 }; /* of random numbers; the others are in their objectives */

/* Fisher & Yates 1938 with one counter a draw. */
static bool make_order(lt_ctx *cx, lt_run *r, int64_t epoch)
{
    if (r->order && r->order_epoch == epoch) return true;
    const int64_t n = r->train.n;
    if (!r->order && !(r->order = lt_new(cx, n, sizeof *r->order))) return false;
    for (int64_t i = 0; i < n; i++) r->order[i] = i;
    r->order_epoch = epoch;
    const uint32_t key[2] = {(uint32_t)r->o->seed, (uint32_t)(r->o->seed >> 32)};
    for (int64_t i = n - 1; i > 0 && !r->o->no_shuffle; i--) {
        uint32_t bits[4];
        lt_philox((const uint32_t[4]){(uint32_t)i, (uint32_t)(i >> 32), (uint32_t)epoch, SITE_ORDER}, key, bits);
        const int64_t j = (int64_t)((((uint64_t)bits[0] << 32) | bits[1]) % (uint64_t)(i + 1)), t = r->order[i];
        r->order[i] = r->order[j];
        r->order[j] = t;
    }
    return true;
}

int64_t lt_batch_end(const lt_run *r, const lt_examples *e, const int64_t *order, int64_t begin)
{
    int64_t end = begin, tokens = 0;
    if (!r->o->batch_tokens) return begin + r->o->batch < e->n ? begin + r->o->batch : e->n;
    while (end < e->n) {
        tokens += e->at[order ? order[end] : end].n;
        if (end > begin && tokens > r->o->batch_tokens) break;
        end++;
    }
    return end;
}

int64_t lt_batches_of_epoch(lt_ctx *cx, lt_run *r, int64_t epoch)
{
    int64_t n = 0;
    if (!r->o->batch_tokens) return (r->train.n + r->o->batch - 1) / r->o->batch;
    if (!make_order(cx, r, epoch)) return -1;
    for (int64_t at = 0; at < r->train.n; n++) at = lt_batch_end(r, &r->train, r->order, at);
    return n;
}

bool lt_batch_of(lt_ctx *cx, const lt_run *r, const lt_examples *e, const int64_t *example, int32_t n, lt_minibatch *b)
{
    int32_t *length = lt_alloc_array(cx, n, sizeof *length);
    int64_t *which = lt_alloc_array(cx, n, sizeof *which);
    for (int32_t i = 0; length && i < n; i++) length[i] = e->at[example[i]].n;
    lt_seqs *s = length && which ? lt_seqs_new(cx, n, length) : NULL;
    if (!s) return false;
    const int64_t tokens = lt_seqs_rows(s);
    int32_t *ids = lt_alloc_array(cx, tokens, sizeof *ids), *types = e->types ? lt_alloc_array(cx, tokens, sizeof *types) : NULL;
    int32_t *labels = e->labels ? lt_alloc_array(cx, tokens, sizeof *labels) : NULL;
    if (!ids || (e->types && !types) || (e->labels && !labels)) return false;
    for (int32_t i = 0; i < n; i++) {
        const lt_example *x = &e->at[example[i]];
        const size_t bytes = (size_t)x->n * sizeof *ids;
        memcpy(ids + s->offset[i], e->ids + x->begin, bytes);
        if (types) memcpy(types + s->offset[i], e->types + x->begin, bytes);
        if (labels) memcpy(labels + s->offset[i], e->labels + x->begin, bytes);
        which[i] = example[i];
    }
    *b = (lt_minibatch){.batch = {.seqs = s, .ids = ids, .types = types}, .labels = labels, .example = which};
    if (lt_distills(r, true)) {
        int32_t *clean = lt_alloc_array(cx, tokens, sizeof *clean);
        if (!clean) return false;
        b->clean = b->batch;
        b->clean.ids = memcpy(clean, ids, (size_t)tokens * sizeof *ids);
    }
    return r->objective->target(cx, r, e, b);
}

bool lt_next_batch(lt_ctx *cx, lt_run *r, lt_minibatch *b)
{
    lt_place *p = &r->place;
    if (p->next >= r->train.n) {
        p->next = 0;
        p->epoch++;
    }
    if (!make_order(cx, r, p->epoch)) return false;
    const int64_t begin = p->next;
    p->next = lt_batch_end(r, &r->train, r->order, begin);
    return lt_batch_of(cx, r, &r->train, r->order + begin, (int32_t)(p->next - begin), b);
}
