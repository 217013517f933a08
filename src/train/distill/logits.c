/* Logits (Hinton et al. 2015): what the student's head says is held against what the teacher's says, both softened by the temperature. A head over labels
 * gives a row a sequence, a head over the vocabulary one for each token, or for each that the objective counts. */
#include "train/distill/distill.h"

static lt_tensor *loss(lt_ctx *cx, const lt_distilled *x, double factor)
{
    lt_tensor *student = x->student->logits, *teacher = x->teacher->logits;
    if (student && teacher && student->shape[1] != teacher->shape[1])
        return lt_fail(cx, LT_ERR_INPUT, "logits: the student's head has %lld outputs, the teacher's %lld", (long long)student->shape[1], (long long)teacher->shape[1]);
    return lt_divergence(cx, student, teacher, x->d->temperature, x->logit_weight, factor);
}

const lt_distill_kind lt_distill_logits = {
    .is = {"distillation", "logits", "the head's softened outputs", "Hinton et al. 2015, arXiv 1503.02531"},
    .logits = true,
    .loss = loss,
};
