/* Hidden states (Jiao et al. 2020): mean squared errors of the embedding's and of every block's states, blocks spread evenly over the teacher's. Where
 * widths differ one matrix, learned and then left out of the student, brings the student's to the teacher's. */
#include "train/distill/distill.h"

static lt_tensor *loss(lt_ctx *cx, const lt_distilled *x, double factor)
{
    const lt_states *s = x->student, *t = x->teacher;
    lt_tensor *sum = NULL;
    for (int i = 0; i <= s->layers; i++) {
        const int of_teacher = s->layers ? (i * t->layers + s->layers / 2) / s->layers : t->layers;
        lt_tensor *mine = s->at[LT_TAP_HIDDEN][i], *theirs = t->at[LT_TAP_HIDDEN][of_teacher];
        if (x->d->projection.name) mine = lt_matmul_t(cx, mine, lt_param_use((lt_param *)&x->d->projection));
        lt_tensor *one = theirs ? lt_squared_error(cx, mine, theirs, x->row_weight, factor / ((double)theirs->shape[1] * (s->layers + 1))) : NULL;
        if (!one) return NULL;
        sum = sum ? lt_add(cx, sum, one) : one;
    }
    return sum;
}

const lt_distill_kind lt_distill_hidden = {
    .is = {"distillation", "hidden", "hidden states of the embedding and of every block, projected where widths differ", "Jiao et al. 2020, arXiv 1909.10351"},
    .states = true,
    .projects = true,
    .loss = loss,
};
