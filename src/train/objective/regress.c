/* Regression: a classifier of one output on each sequence, squared error with its number. */
#include "train/objective/objective.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static bool read_row(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row)
{
    size_t size = 0;
    char *end;
    lt_encoding *c = lt_row_tokens(cx, r, e, row);
    const char *text = c ? lt_row_want_text(cx, row, "label", &size) : NULL;
    if (!text) return false;
    const double x = strtod(text, &end);
    if (end == text || *end || !isfinite(x))
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s:%" PRId64 ": label: a number is expected, not \"%.*s\"", row->file, row->line, (int)size, text);
    return lt_examples_add(cx, e, c->ids, c->types, NULL, c->n, -1, x);
}

static bool target(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_minibatch *b)
{
    b->counted = b->batch.seqs->n;
    return true;
}

static lt_tensor *loss(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, lt_tensor *hidden, double factor)
{
    const lt_seqs *s = b->batch.seqs;
    lt_tensor *y = lt_model_head(cx, r->model, hidden, s), *want = y ? lt_tensor_2d(cx, y->dtype, s->n, 1) : NULL;
    for (int32_t i = 0; want && i < s->n; i++) {
        const double x = e->at[b->example[i]].number;
        if (want->dtype == LT_F64) ((double *)want->data)[i] = x;
        else ((float *)want->data)[i] = (float)x;
    }
    return lt_squared_error(cx, y, want, NULL, factor);
}

const lt_objective_kind lt_objective_regress = {
    .is = {"objective", "regress", "a number for each sequence", "Devlin et al. 2019, arXiv 1810.04805"},
    .head = "classify",
    .read = read_row,
    .target = target,
    .loss = loss,
    .outputs = 1,
    .judged = LT_JUDGED_NUMBERS,
};
