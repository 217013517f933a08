/* Dealing a batch out to workers by what its sequences cost, not by how many there are (Zeng et al. 2022, arXiv 2208.08124, deal them in turns by
 * length): the costliest first, each to who has least so far (Graham 1969). Every worker computes the whole deal, so nothing has to be sent. */
#include <stdlib.h>

#include "train/dist/dist.h"

typedef struct dealt {
    double cost;
    int32_t seq, owner;
} dealt;

static int costliest_first(const void *x, const void *y)
{
    const dealt *a = x, *b = y;
    return a->cost != b->cost ? (a->cost < b->cost) - (a->cost > b->cost) : (a->seq > b->seq) - (a->seq < b->seq);
}

static int in_order(const void *x, const void *y) { return ((const dealt *)x)->seq - ((const dealt *)y)->seq; }

static dealt *deal(lt_ctx *cx, const lt_run *r, const lt_seqs *s, int workers, double *balance)
{
    dealt *d = lt_alloc_array(cx, s->n, sizeof *d);
    double *load = lt_alloc_array(cx, workers, sizeof *load), all = 0, most = 0;
    if (!d || !load) return NULL;
    for (int w = 0; w < workers; w++) load[w] = 0;
    for (int32_t i = 0; i < s->n; i++) {
        d[i] = (dealt){(double)lt_cost(r, s->offset[i + 1] - s->offset[i]), i, 0};
        all += d[i].cost;
    }
    qsort(d, (size_t)s->n, sizeof *d, costliest_first);
    for (int32_t i = 0; i < s->n; i++) {
        for (int w = 1; w < workers; w++)
            if (load[w] < load[d[i].owner]) d[i].owner = w;
        load[d[i].owner] += d[i].cost;
        if (load[d[i].owner] > most) most = load[d[i].owner];
    }
    qsort(d, (size_t)s->n, sizeof *d, in_order);
    if (balance) *balance += all > 0 ? most * workers / all : 1;
    return d;
}

/* Numbers in the whole batch of this part's rows: tokens, and what the head sees, which is sequences or the tokens with a label. */
static bool number_rows(lt_ctx *cx, const lt_run *r, const lt_minibatch *whole, const dealt *d, lt_minibatch *mine)
{
    const lt_seqs *s = whole->batch.seqs;
    const bool tokens = lt_model_head_per_token(r->model), labelled = tokens && whole->labels;
    uint32_t *row = lt_alloc_array(cx, lt_seqs_rows(mine->batch.seqs), sizeof *row), counted = 0;
    uint32_t *output = lt_alloc_array(cx, labelled ? mine->counted : mine->batch.seqs->n, sizeof *output);
    int64_t n = 0;
    if (!row || !output) return false;
    for (int32_t i = 0; i < s->n; i++) {
        const bool here = d[i].owner == r->dist->rank;
        if (here && !tokens) output[mine->outputs++] = (uint32_t)i;
        for (int32_t k = s->offset[i]; k < s->offset[i + 1]; k++) {
            const bool counts = labelled && whole->labels[k] >= 0;
            if (here) row[n++] = (uint32_t)k;
            if (here && counts && mine->outputs < mine->counted) output[mine->outputs++] = counted;
            counted += counts;
        }
    }
    double *weight = whole->weight ? lt_alloc_array(cx, n, sizeof *weight) : NULL;
    if (whole->weight && !weight) return false;
    for (int64_t k = 0; weight && k < n; k++) weight[k] = whole->weight[row[k]];
    mine->weight = weight;
    mine->token_row = row;
    mine->output_row = output;
    return true;
}

bool lt_dist_deal(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *whole, lt_minibatch *mine, double *balance)
{
    *mine = *whole;
    if (r->dist->size == 1) return true;
    const lt_seqs *s = whole->batch.seqs;
    const dealt *d = deal(cx, r, s, r->dist->size, balance);
    int64_t *which = lt_alloc_array(cx, s->n, sizeof *which);
    int32_t n = 0;
    if (!d || !which) return false;
    for (int32_t i = 0; i < s->n; i++)
        if (d[i].owner == r->dist->rank) which[n++] = whole->example[i];
    return lt_batch_of(cx, r, e, which, n, whole->epoch, mine) && number_rows(cx, r, whole, d, mine);
}
