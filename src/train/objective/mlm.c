/* Masked language modelling (Devlin et al. 2019): of the tokens 15 % are to be predicted; 80 % of those are replaced by the mask, 10 % by any token,
 * 10 % stay. Which is a function of seed, epoch and example alone, so every epoch masks anew (Liu et al. 2019) and no thread or batch
 * changes it. */
#include "train/objective/objective.h"

#include <math.h>
#include <string.h>

enum { SITE_MASK = 3 };

static bool read_row(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row)
{
    lt_encoding *c = lt_row_tokens(cx, r, e, row);
    if (!c) return false;
    int32_t *labels = lt_alloc_array(cx, c->n, sizeof *labels); /* here: which tokens may be masked */
    for (int32_t i = 0; labels && i < c->n; i++) labels[i] = c->special && c->special[i] ? -100 : 0;
    return labels && lt_examples_add(cx, e, c->ids, c->types, labels, c->n, -1, NAN);
}

static bool target(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_minibatch *b)
{
    const lt_tokenizer_info *t = r->tokenizer ? lt_tokenizer_about(r->tokenizer) : NULL;
    if (!t || t->mask < 0) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: the tokenizer has no mask token", r->o->model);
    const lt_seqs *s = b->batch.seqs;
    int32_t *ids = (int32_t *)b->batch.ids, *labels = (int32_t *)b->labels; /* the batch's own copies */
    const uint32_t vocab = (uint32_t)r->vocab, key[2] = {(uint32_t)r->o->seed, (uint32_t)(r->o->seed >> 32)};
    const int64_t epoch = e == &r->train ? r->place.epoch : -1; /* validation masks alike each time */
    for (int32_t i = 0; i < s->n; i++)
        for (int32_t k = s->offset[i]; k < s->offset[i + 1]; k++) {
            uint32_t bits[4];
            const int64_t which = b->example[i];
            lt_philox((const uint32_t[4]){(uint32_t)which, (uint32_t)(k - s->offset[i]), (uint32_t)epoch, SITE_MASK}, key, bits);
            const bool taken = labels[k] >= 0 && lt_uniform(bits[0]) < 0.15f;
            labels[k] = taken ? ids[k] : -100;
            const float u = lt_uniform(bits[1]);
            if (taken && u < 0.8f) ids[k] = t->mask;
            else if (taken && u < 0.9f) ids[k] = (int32_t)(((uint64_t)bits[2] * vocab) >> 32);
        }
    b->counted = lt_count_labels(b);
    return true;
}

const lt_objective_kind lt_objective_mlm = {
    .is = {"objective", "mlm", "masked language modelling: 15 % of the tokens, masked anew each epoch", "Devlin et al. 2019, arXiv 1810.04805"},
    .head = "mlm",
    .read = read_row,
    .target = target,
    .loss = lt_loss_of_tokens,
    .smooths = true,
};
