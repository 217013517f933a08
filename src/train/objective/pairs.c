/* Whether two texts are neighbours: next sentence prediction (Devlin et al. 2019) and sentence order prediction (Lan et al. 2020), alone or beside masked
 * language modelling, which is BERT's and ALBERT's pre-training. The pairs are made in ../data/pairs.c; the head is BERT's, on the pooler. */
#include "train/objective/objective.h"

#include <math.h>

static bool take_pair(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_joined *x) { return lt_examples_add(cx, e, x->ids, x->types, NULL, x->n, x->label, NAN); }

static bool target(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_minibatch *b)
{
    b->counted = b->batch.seqs->n;
    return true;
}

static int32_t *labels_of(lt_ctx *cx, const lt_examples *e, const lt_minibatch *b)
{
    int32_t *label = lt_alloc_array(cx, b->batch.seqs->n, sizeof *label);
    for (int32_t i = 0; label && i < b->batch.seqs->n; i++) label[i] = e->at[b->example[i]].label;
    return label;
}

static lt_tensor *loss_alone(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, lt_tensor *hidden, double factor)
{
    const int32_t *label = labels_of(cx, e, b);
    return label ? lt_cross_entropy(cx, lt_model_head(cx, r->model, hidden, b->batch.seqs), label, factor) : NULL;
}

static lt_tensor *loss_beside(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, lt_tensor *hidden, double factor)
{
    const int32_t *label = labels_of(cx, e, b);
    return label ? lt_cross_entropy(cx, lt_model_also(cx, r->model, hidden, b->batch.seqs), label, factor) : NULL;
}

#define ALONE .head = "nsp", .pairs = true, .block = take_pair, .target = target, .loss = loss_alone, .judged = LT_JUDGED_LABELS
#define BESIDE                                                                                                                                                 \
    .head = "pretraining", .pairs = true, .block = lt_mask_block, .prepare = lt_mask_prepare, .target = lt_mask_batch, .loss = lt_loss_of_tokens,              \
    .also = loss_beside, .judged = LT_JUDGED_TOKENS

const lt_objective_kind lt_objective_nsp = {
    .is = {"objective", "nsp", "whether one text follows another, or is of another document", "Devlin et al. 2019, arXiv 1810.04805"},
    ALONE,
};

const lt_objective_kind lt_objective_sop = {
    .is = {"objective", "sop", "whether two neighbouring texts are in order", "Lan et al. 2020, arXiv 1909.11942"},
    ALONE,
    .swaps = true,
};

const lt_objective_kind lt_objective_mlm_nsp = {
    .is = {"objective", "mlm+nsp", "BERT's pre-training: mlm, and nsp on the same pairs", "Devlin et al. 2019, arXiv 1810.04805"},
    BESIDE,
};

const lt_objective_kind lt_objective_mlm_sop = {
    .is = {"objective", "mlm+sop", "ALBERT's pre-training: mlm, and sop on the same pairs", "Lan et al. 2020, arXiv 1909.11942"},
    BESIDE,
    .swaps = true,
};
