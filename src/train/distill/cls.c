/* The first token (Lee et al. 2023): squared errors between the vectors that stand for whole texts, the last hidden states of their first tokens, summed over
 * dimensions. Both models read the text itself, also where the objective masks it. */
#include "train/distill/distill.h"

static lt_tensor *loss(lt_ctx *cx, const lt_distilled *x, double factor)
{
    lt_tensor *mine = lt_pool_rows(cx, x->student->last, x->seqs, LT_POOL_CLS, 0), *theirs = lt_pool_rows(cx, x->teacher->last, x->seqs, LT_POOL_CLS, 0);
    if (x->d->projection.name) mine = lt_matmul_t(cx, mine, lt_param_use((lt_param *)&x->d->projection));
    return lt_squared_error(cx, mine, theirs, NULL, factor);
}

const lt_distill_kind lt_distill_cls = {
    .is = {"distillation", "cls", "the first token's last hidden state, on texts that are not masked", "Lee et al. 2023, arXiv 2210.02871"},
    .clean = true,
    .projects = true,
    .loss = loss,
};
