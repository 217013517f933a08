/* Classification of sequences: the family's own classifier on a row of each sequence, cross-entropy with its label. */
#include "train/objective/objective.h"

#include <inttypes.h>
#include <math.h>

static bool read_row(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row)
{
    size_t size = 0;
    lt_encoding *c = lt_row_tokens(cx, r, e, row);
    const char *name = c ? lt_row_want_text(cx, row, "label", &size) : NULL;
    if (!name) return false;
    const int label = lt_examples_label(cx, e, name, size);
    if (label < 0 && lt_ok(cx)) {
        lt_str known = {0};
        for (int i = 0; i < e->names && i < 20; i++) lt_str_printf(&known, "%s%s", i ? ", " : "", e->name[i]);
        lt_fail(cx, LT_ERR_INPUT, "%s:%" PRId64 ": label: \"%.*s\" is none of the labels (%s)", row->file, row->line, (int)size, name, known.data ? known.data : "");
        lt_str_free(&known);
    }
    return label >= 0 && lt_examples_add(cx, e, c->ids, c->types, NULL, c->n, label, NAN);
}

static bool target(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_minibatch *b)
{
    b->counted = b->batch.seqs->n;
    return true;
}

static lt_tensor *loss(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, lt_tensor *hidden, double factor)
{
    const lt_seqs *s = b->batch.seqs;
    int32_t *label = lt_alloc_array(cx, s->n, sizeof *label);
    if (!label) return NULL;
    for (int32_t i = 0; i < s->n; i++) label[i] = e->at[b->example[i]].label;
    return lt_cross_entropy(cx, lt_model_head(cx, r->model, hidden, s), label, factor);
}

const lt_objective_kind lt_objective_classify = {
    .is = {"objective", "classify", "a label for each sequence", "Devlin et al. 2019, arXiv 1810.04805"},
    .head = "classify",
    .read = read_row,
    .target = target,
    .loss = loss,
    .names = true,
    .judged = LT_JUDGED_LABELS,
};
