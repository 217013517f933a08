/* Validation: the mean loss over rows that are not learned from, and how often the largest output is right. */
#include <math.h>

#include "train/train.h"

static int64_t largest(const lt_tensor *t, int64_t row)
{
    const float *x = (const float *)t->data + row * t->stride[0];
    int64_t best = 0;
    for (int64_t j = 1; j < t->shape[1]; j++)
        if (x[j] > x[best]) best = j;
    return best;
}

/* How many targets the head's largest output is right about. */
static int64_t right_ones(lt_ctx *cx, const lt_run *r, const lt_minibatch *b)
{
    const lt_seqs *s = b->batch.seqs;
    const bool tokens = lt_model_head_per_token(r->model);
    lt_tensor *y = lt_model_head(cx, r->model, lt_model_hidden(cx, r->model, &b->batch), s);
    int64_t right = 0;
    for (int64_t i = 0; y && i < y->shape[0]; i++) {
        const int32_t label = tokens ? b->labels[i] : r->valid.at[b->example[i]].label;
        right += label >= 0 && largest(y, i) == label;
    }
    return right;
}

bool lt_validate(lt_ctx *cx, lt_run *r, lt_log *log, lt_train_result *result)
{
    const bool tells = r->objective->names;
    double loss = 0;
    int64_t counted = 0, right = 0;
    for (int64_t begin = 0, end; begin < r->valid.n && lt_ok(cx); begin = end) {
        lt_scope scope = lt_open(cx, NULL);
        end = lt_batch_end(r, &r->valid, NULL, begin);
        int64_t *which = lt_alloc_array(cx, end - begin, sizeof *which);
        for (int64_t i = begin; which && i < end; i++) which[i - begin] = i;
        lt_minibatch b;
        lt_tensor *sum = NULL, *clean = NULL;
        const bool there = which && lt_batch_of(cx, r, &r->valid, which, (int32_t)(end - begin), &b) && (b.counted || r->distill);
        const int64_t sequences = there ? b.batch.seqs->n : 0, own = there && b.counted ? b.counted : sequences;
        const bool first = there && (b.counted || lt_distills(r, false)), second = there && lt_distills(r, true);
        if (first && (!r->distill || lt_tape_begin(cx))) sum = lt_batch_loss(cx, r, &r->valid, &b, 1, (double)own / (double)sequences);
        if (sum) loss += lt_number(sum);
        lt_tape_end(cx);
        if (second && lt_ok(cx)) clean = lt_clean_loss(cx, r, &b, (double)own / (double)sequences);
        if (clean) loss += lt_number(clean);
        if (sum || clean) counted += own;
        lt_tape_end(cx);
        if (sum && tells) right += right_ones(cx, r, &b);
        lt_end(cx, scope);
    }
    if (!lt_ok(cx)) return false;
    result->valid_loss = counted ? loss / (double)counted : 0;
    const bool better = result->valid_loss < r->place.best;
    if (better) r->place.best = result->valid_loss;
    r->place.worse = better ? 0 : r->place.worse + 1;
    return lt_log_valid(cx, log, r->place.step, result->valid_loss, tells && counted ? (double)right / (double)counted : NAN);
}
