/* What a sequence costs, and how the batches of a step, which are workers' shares where there are several, come to cost the same: all their sequences,
 * longest first, are dealt out anew (Zeng et al. 2022, arXiv 2208.08124: in turn, so that counts are equal too; or each to whoever has the least so far,
 * Graham 1969, so that costs are). The same sequences make the same step, so its gradient is the same but for rounding. */
#include "train/train.h"

#include <stdlib.h>
#include <string.h>

/* A block's products take 4h² + 2hi multiplications a token, its attention 2h for each pair of tokens: n tokens cost as much as n + n²/(2h + i) ones
 * without attention. Counted in whole numbers of 1/(2h + i). */
int64_t lt_cost(const lt_run *r, int64_t n) { return n * r->cost_scale + n * n; }

int64_t lt_budget(const lt_run *r) { return r->o->batch_cost ? r->o->batch_cost * r->cost_scale : r->o->batch_tokens; }
int64_t lt_budget_of(const lt_run *r, int64_t n) { return r->o->batch_cost ? lt_cost(r, n) : n; }

typedef struct dealt {
    int64_t example, at, n;
} dealt;

static int longest_first(const void *x, const void *y)
{
    const dealt *a = x, *b = y;
    return a->n != b->n ? (a->n < b->n) - (a->n > b->n) : (a->at > b->at) - (a->at < b->at);
}

static int least(const int64_t *cost, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (cost[i] < cost[best]) best = i;
    return best;
}

bool lt_exchange(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_share *share, int n)
{
    int64_t all = 0;
    for (int i = 0; i < n; i++) all += share[i].n;
    dealt *d = lt_alloc_array(cx, all, sizeof *d);
    int64_t *cost = lt_alloc_array(cx, n, sizeof *cost), *room = lt_alloc_array(cx, n * all, sizeof *room);
    if (!d || !cost || !room) return false;
    memset(cost, 0, (size_t)n * sizeof *cost);
    for (int64_t i = 0, at = 0; i < n; i++)
        for (int64_t k = 0; k < share[i].n; k++, at++) d[at] = (dealt){share[i].example[k], at, e->at[share[i].example[k]].n};
    qsort(d, (size_t)all, sizeof *d, longest_first);
    for (int i = 0; i < n; i++) share[i] = (lt_share){.example = room + i * all};
    for (int64_t i = 0; i < all; i++) {
        const int to = strcmp(r->o->exchange, "cost") == 0 ? least(cost, n) : (int)(i % n);
        cost[to] += lt_cost(r, d[i].n);
        share[to].example[share[to].n++] = d[i].example;
    }
    return true;
}

void lt_measure(const lt_run *r, const lt_minibatch *b, int n, lt_train_step *s)
{
    double tokens = 0, cost = 0, most_tokens = 0, most_cost = 0;
    for (int i = 0; i < n; i++) {
        const lt_seqs *q = b[i].batch.seqs;
        double own_tokens = 0, own_cost = 0;
        for (int32_t k = 0; k < q->n; k++) {
            const int64_t length = q->offset[k + 1] - q->offset[k];
            own_tokens += (double)length;
            own_cost += (double)lt_cost(r, length);
        }
        tokens += own_tokens;
        cost += own_cost;
        most_tokens = own_tokens > most_tokens ? own_tokens : most_tokens;
        most_cost = own_cost > most_cost ? own_cost : most_cost;
    }
    s->imbalance_tokens = tokens > 0 ? most_tokens * n / tokens : 1;
    s->imbalance_cost = cost > 0 ? most_cost * n / cost : 1;
}
