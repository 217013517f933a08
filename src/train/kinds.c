/* Everything that this room can put into its slots, by name. */
#include "train/distill/distill.h"

#include <string.h>

static const lt_objective_kind *const objectives[] = {&lt_objective_labels, &lt_objective_mlm, &lt_objective_classify, &lt_objective_regress, &lt_objective_tag, &lt_objective_none,
                                                      &lt_objective_nsp, &lt_objective_sop, &lt_objective_mlm_nsp, &lt_objective_mlm_sop,
                                                     &lt_objective_span, &lt_objective_contrastive};
static const lt_optimizer_kind *const optimizers[] = {&lt_optimizer_adamw, &lt_optimizer_sgd, &lt_optimizer_lion, &lt_optimizer_lamb,
                                                     &lt_optimizer_adafactor, &lt_optimizer_muon, &lt_optimizer_schedule_free};
static const lt_schedule_kind *const schedules[] = {&lt_schedule_constant, &lt_schedule_linear, &lt_schedule_cosine, &lt_schedule_inverse_sqrt, &lt_schedule_wsd,
                                                   &lt_schedule_polynomial};
static const lt_distill_kind *const distills[] = {&lt_distill_logits, &lt_distill_hidden, &lt_distill_attention, &lt_distill_values, &lt_distill_queries, &lt_distill_keys,
                                                 &lt_distill_cls};
static const lt_kind *const all[] = {
    &lt_objective_labels.is,  &lt_objective_mlm.is,    &lt_objective_classify.is, &lt_objective_regress.is,     &lt_objective_tag.is, &lt_objective_none.is,
    &lt_objective_nsp.is, &lt_objective_sop.is, &lt_objective_mlm_nsp.is, &lt_objective_mlm_sop.is,
    &lt_objective_span.is, &lt_objective_contrastive.is,
    &lt_optimizer_adamw.is,   &lt_optimizer_sgd.is,    &lt_optimizer_lion.is,     &lt_optimizer_lamb.is,        &lt_schedule_constant.is,
    &lt_distill_logits.is, &lt_distill_hidden.is, &lt_distill_attention.is, &lt_distill_values.is, &lt_distill_queries.is, &lt_distill_keys.is, &lt_distill_cls.is,
    &lt_schedule_linear.is,   &lt_schedule_cosine.is,  &lt_schedule_inverse_sqrt.is, &lt_schedule_wsd.is,
    &lt_optimizer_adafactor.is, &lt_optimizer_muon.is, &lt_optimizer_schedule_free.is, &lt_schedule_polynomial.is,
};

#define NAMED(list, wanted)                                                                                                        \
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)                                                                        \
        if (strcmp(list[i]->is.name, wanted) == 0) return list[i];                                                                 \
    return NULL

const lt_objective_kind *lt_objective_named(const char *name) { NAMED(objectives, name); }
const lt_optimizer_kind *lt_optimizer_named(const char *name) { NAMED(optimizers, name); }
const lt_schedule_kind *lt_schedule_named(const char *name) { NAMED(schedules, name); }
const lt_distill_kind *lt_distill_named(const char *name) { NAMED(distills, name); }

const lt_kind *const *lt_train_kinds(int *n)
{
    *n = sizeof all / sizeof *all;
    return all;
}

const char *lt_train_name(const char *slot, int n)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->slot, slot) == 0 && n-- == 0) return all[i]->name;
    return NULL;
}
