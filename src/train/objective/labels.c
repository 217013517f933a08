/* A target for every token: labels[i] is what position i is to predict, never shifted; below zero it is not counted. Only rows of hidden states
 * that count reach the head, so logits over a vocabulary exist for those alone. */
#include "train/objective/objective.h"

#include <inttypes.h>
#include <math.h>

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

lt_tensor *lt_loss_of_tokens(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, lt_tensor *hidden, double factor)
{
    int32_t *at = lt_alloc_array(cx, b->counted, sizeof *at), *label = lt_alloc_array(cx, b->counted, sizeof *label);
    if (!at || !label) return NULL;
    int64_t n = 0;
    for (int64_t i = 0; i < lt_seqs_rows(b->batch.seqs); i++)
        if (b->labels[i] >= 0) {
            at[n] = (int32_t)i;
            label[n++] = b->labels[i];
        }
    return lt_cross_entropy(cx, lt_model_head(cx, r->model, lt_gather(cx, hidden, at, n), b->batch.seqs), label, factor);
}

const lt_objective_kind lt_objective_labels = {
    .is = {"objective", "labels", "a given target for each token", ""},
    .head = "mlm",
    .read = read_row,
    .target = target,
    .loss = lt_loss_of_tokens,
    .judged = LT_JUDGED_TOKENS,
};
