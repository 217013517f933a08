/* Batches: the tokens of examples that the epoch's plan put together, one behind another, and what is to be learned of them. */
#include "train/train.h"

#include <string.h>

bool lt_batch_of(lt_ctx *cx, const lt_run *r, const lt_examples *e, const int64_t *example, int32_t n, int64_t epoch, lt_minibatch *b)
{
    int32_t *length = lt_alloc_array(cx, n, sizeof *length);
    int64_t *which = lt_alloc_array(cx, n, sizeof *which);
    for (int32_t i = 0; length && i < n; i++) length[i] = e->at[example[i]].n;
    lt_seqs *s = length && which ? lt_seqs_new(cx, n, length) : NULL;
    if (!s) return false;
    const int64_t tokens = lt_seqs_rows(s);
    int32_t *ids = lt_alloc_array(cx, tokens, sizeof *ids), *types = NULL, *labels = NULL;
    if (!ids || (lt_examples_have_types(e) && !(types = lt_alloc_array(cx, tokens, sizeof *types))) ||
        (lt_examples_have_labels(e) && !(labels = lt_alloc_array(cx, tokens, sizeof *labels))))
        return false;
    for (int32_t i = 0; i < n; i++) {
        const int32_t at = s->offset[i];
        if (!lt_example_read(cx, e, example[i], ids + at, types ? types + at : NULL, labels ? labels + at : NULL)) return false;
        which[i] = example[i];
    }
    *b = (lt_minibatch){.batch = {.seqs = s, .ids = ids, .types = types}, .labels = labels, .example = which, .examples = n, .epoch = epoch};
    if (lt_distills(r, true)) {
        int32_t *clean = lt_alloc_array(cx, tokens, sizeof *clean);
        if (!clean) return false;
        b->clean = b->batch;
        b->clean.ids = memcpy(clean, ids, (size_t)tokens * sizeof *ids);
    }
    return r->objective->target(cx, r, e, b);
}

int64_t lt_batches_of_epoch(lt_ctx *cx, lt_run *r, int64_t epoch)
{
    if (!lt_budget(r) && !r->o->pack) return (r->train.n + r->o->batch - 1) / r->o->batch;
    return lt_plan_make(cx, r, &r->plan, epoch) ? r->plan.batches : -1;
}

/* Copies the next share of an epoch; its plan may change before the share is used. */
static bool next_share(lt_ctx *cx, const lt_run *r, lt_plan *plan, lt_place *p, lt_share *s)
{
    if (p->next >= r->train.n) {
        p->next = 0;
        p->epoch++;
    }
    if (!lt_plan_make(cx, r, plan, p->epoch)) return false;
    const int64_t begin = p->next, end = plan->start[lt_plan_batch(plan, begin) + 1];
    *s = (lt_share){.epoch = p->epoch, .n = end - begin, .example = lt_alloc_array(cx, end - begin, sizeof *s->example)};
    for (int64_t i = 0; s->example && i < s->n; i++) s->example[i] = plan->order[begin + i];
    p->next = end;
    return s->example != NULL;
}

/* Only shares of the same epoch exchange: which epoch it is decides how an example is masked. */
static bool exchange(lt_ctx *cx, const lt_run *r, lt_share *s, int n)
{
    for (int begin = 0, end; begin < n; begin = end) {
        const int64_t epoch = s[begin].epoch;
        for (end = begin + 1; end < n && s[end].epoch == epoch;) end++;
        if (!lt_exchange(cx, r, &r->train, s + begin, end - begin)) return false;
        for (int i = begin; i < end; i++) s[i].epoch = epoch;
    }
    return true;
}

bool lt_next_batches(lt_ctx *cx, const lt_run *r, lt_plan *plan, lt_place *p, lt_minibatch *b, int n)
{
    lt_share *s = lt_alloc_array(cx, n, sizeof *s);
    for (int i = 0; i < n; i++)
        if (!s || !next_share(cx, r, plan, p, &s[i])) return false;
    if (r->o->exchange && strcmp(r->o->exchange, "none") != 0 && !exchange(cx, r, s, n)) return false;
    for (int i = 0; i < n; i++)
        if (!lt_batch_of(cx, r, &r->train, s[i].example, (int32_t)s[i].n, s[i].epoch, &b[i])) return false;
    return true;
}
