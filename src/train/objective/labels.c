/* A target for every token: labels[i] is what position i is to predict, never shifted; below zero it is not counted. Only rows of hidden states
 * that count reach the head, so logits over a vocabulary exist for those alone. */
#include "train/objective/objective.h"

#include <inttypes.h>
#include <math.h>

enum { MOST_LOGITS = 1 << 24 }; /* at once: 64 MiB of them; where there are more, they are computed again in the backward pass */

static bool read_row(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row)
{
    int32_t n = 0;
    lt_encoding *c = lt_row_tokens(cx, r, e, row);
    const int32_t *labels = c ? lt_row_ids(cx, row, "labels", &n) : NULL;
    if (!c || !lt_ok(cx)) return false;
    if (!labels || n != c->n)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s:%" PRId64 ": labels: an array of %d numbers is expected, one a token%s", row->file, row->line, c->n,
                          labels ? "" : ", found none");
    for (int32_t i = 0; i < n; i++)
        if (labels[i] >= r->vocab)
            return lt_fail_if(cx, true, LT_ERR_INPUT, "%s:%" PRId64 ": label %d at place %d: expected up to %d, or -100 for none", row->file, row->line,
                              labels[i], i, r->vocab - 1);
    return lt_examples_add(cx, e, c->ids, c->types, labels, n, -1, NAN);
}

static bool target(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_minibatch *b)
{
    b->counted = lt_count_labels(b);
    return true;
}

int64_t lt_count_labels(const lt_minibatch *b)
{
    int64_t n = 0;
    for (int64_t i = 0; i < lt_seqs_rows(b->batch.seqs); i++) n += b->labels[i] >= 0;
    return n;
}

typedef struct part { /* of the counted rows */
    const lt_model *model;
    const lt_seqs *s;
    const int32_t *label;
    const double *weight; /* NULL: ones */
    double smoothing, factor;
} part;

static lt_tensor *loss_of_part(lt_ctx *cx, const void *arg, lt_tensor *rows)
{
    const part *p = arg;
    return lt_smooth_cross_entropy(cx, lt_model_head(cx, p->model, rows, p->s), p->label, p->smoothing, p->weight, p->factor);
}

lt_tensor *lt_loss_of_tokens(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, lt_tensor *hidden, double factor)
{
    int32_t *at = lt_alloc_array(cx, b->counted, sizeof *at), *label = lt_alloc_array(cx, b->counted, sizeof *label);
    double *weight = b->weight ? lt_alloc_array(cx, b->counted, sizeof *weight) : NULL;
    if (!at || !label || (b->weight && !weight)) return NULL;
    int64_t n = 0;
    for (int64_t i = 0; i < lt_seqs_rows(b->batch.seqs); i++)
        if (b->labels[i] >= 0) {
            at[n] = (int32_t)i;
            if (weight) weight[n] = b->weight[i];
            label[n++] = b->labels[i];
        }
    lt_tensor *rows = lt_gather(cx, hidden, at, n), *sum = NULL;
    const int64_t width = lt_model_labels(r->model), most = MOST_LOGITS / (width > 0 ? width : 1) + 1;
    const part all = {r->model, b->batch.seqs, label, weight, r->o->label_smoothing, factor};
    if (n <= most) return loss_of_part(cx, &all, rows);
    for (int64_t begin = 0; rows && begin < n; begin += most) {
        part p = all;
        p.label += begin;
        if (p.weight) p.weight += begin;
        lt_tensor *loss = lt_recompute(cx, loss_of_part, &p, sizeof p, lt_slice_rows(cx, rows, begin, begin + most < n ? most : n - begin));
        sum = sum ? lt_add(cx, sum, loss) : loss;
        if (!sum) return NULL;
    }
    return sum;
}

const lt_objective_kind lt_objective_labels = {
    .is = {"objective", "labels", "a given target for each token", ""},
    .head = "mlm",
    .read = read_row,
    .target = target,
    .loss = lt_loss_of_tokens,
    .smooths = true,
};
