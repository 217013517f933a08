/* Validation: the mean loss over rows that are not learned from, and how often the largest output is right. */
#include <math.h>

#include "train/dist/dist.h"

static int64_t largest(const lt_tensor *t, int64_t row)
{
    const float *x = (const float *)t->data + row * t->stride[0];
    int64_t best = 0;
    for (int64_t j = 1; j < t->shape[1]; j++)
        if (x[j] > x[best]) best = j;
    return best;
}

int64_t lt_right_by_label(const lt_run *r, const lt_examples *e, const lt_minibatch *b, const lt_tensor *y)
{
    const bool tokens = lt_model_head_per_token(r->model);
    int64_t right = 0;
    for (int64_t i = 0; i < y->shape[0]; i++) {
        const int32_t label = tokens ? b->labels[i] : e->at[b->example[i]].label;
        right += label >= 0 && largest(y, i) == label;
    }
    return right;
}

static int64_t right_ones(lt_ctx *cx, const lt_run *r, const lt_minibatch *b)
{
    lt_tensor *y = lt_model_head(cx, r->model, lt_model_hidden(cx, r->model, &b->batch), b->batch.seqs);
    return y ? r->objective->right(cx, r, &r->valid, b, y) : 0;
}

bool lt_validate(lt_ctx *cx, lt_run *r, lt_log *log, lt_train_result *result)
{
    const bool tells = r->objective->right != NULL;
    double sums[2] = {0}; /* loss, right ones */
    int64_t counted = 0;
    for (int64_t begin = 0, end; begin < r->valid.n && lt_ok(cx); begin = end) {
        lt_scope scope = lt_open(cx, NULL);
        end = lt_batch_end(r, &r->valid, NULL, begin);
        int64_t *which = lt_alloc_array(cx, end - begin, sizeof *which);
        for (int64_t i = begin; which && i < end; i++) which[i - begin] = i;
        lt_minibatch b, mine;
        lt_tensor *sum = NULL;
        const bool there = which && lt_batch_of(cx, r, &r->valid, which, (int32_t)(end - begin), 0, &b) && (b.counted || r->distill || r->objective->also);
        const int64_t sequences = there ? b.batch.seqs->n : 0, own = there && b.counted ? b.counted : sequences;
        const bool here = there && lt_dist_deal(cx, r, &r->valid, &b, &mine, NULL) && mine.batch.seqs->n && (mine.counted || r->distill || r->objective->also);
        if (here && r->o->cache_batch) lt_cached_batch(cx, r, &mine, 1, false, &sums[0]);
        if (here && !r->o->cache_batch && (!r->distill || lt_tape_begin(cx))) sum = lt_batch_loss(cx, r, &r->valid, &mine, 1, (double)own / (double)sequences);
        if (sum) sums[0] += lt_number(sum);
        counted += own;
        lt_tape_end(cx);
        if (sum && tells) sums[1] += (double)right_ones(cx, r, &mine);
        lt_end(cx, scope);
    }
    if (!lt_dist_agree(cx, r->dist, true) || !lt_dist_sum(cx, r->dist, sums, 2)) return false;
    result->valid_loss = counted ? sums[0] / (double)counted : 0;
    const bool better = result->valid_loss < r->place.best;
    if (better) r->place.best = result->valid_loss;
    r->place.worse = better ? 0 : r->place.worse + 1;
    return lt_log_valid(cx, log, r->place.step, result->valid_loss, tells && counted ? sums[1] / (double)counted : NAN);
}
