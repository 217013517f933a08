/* Masked language modelling (Devlin et al. 2019): of the tokens some are hidden (mask.c) and are to be predicted. Which is a function of seed, epoch and
 * example alone, so every epoch masks anew (Liu et al. 2019) unless asked otherwise, and no thread or batch changes it. */
#include "train/objective/objective.h"

#include <math.h>

#include "train/objective/mask.h"

static bool read_row(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row)
{
    lt_encoding *c = lt_row_tokens(cx, r, e, row);
    if (!c) return false;
    int32_t *labels = lt_alloc_array(cx, c->n, sizeof *labels); /* here: which tokens may be masked */
    for (int32_t i = 0; labels && i < c->n; i++) labels[i] = c->special && c->special[i] ? -100 : 0;
    return labels && lt_examples_add(cx, e, c->ids, c->types, labels, c->n, -1, NAN);
}

bool lt_mask_block(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_joined *x)
{
    lt_scope scope = lt_open(cx, NULL);
    int32_t *labels = lt_alloc_array(cx, x->n, sizeof *labels);
    for (int32_t i = 0; labels && i < x->n; i++) labels[i] = x->special[i] ? -100 : 0;
    const bool good = labels && lt_examples_add(cx, e, x->ids, x->types, labels, x->n, x->label, NAN);
    lt_end(cx, scope);
    return good;
}

bool lt_mask_prepare(lt_ctx *cx, lt_run *r)
{
    r->masker = lt_masker_new(cx, &r->o->mask, r->tokenizer, r->o->model, r->vocab, r->o->seed);
    return r->masker && lt_masker_count(cx, r->masker, r->tokenizer, &r->train);
}

bool lt_mask_batch(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_minibatch *b)
{
    const lt_seqs *s = b->batch.seqs;
    int32_t *ids = (int32_t *)b->batch.ids, *labels = (int32_t *)b->labels; /* the batch's own copies */
    const int64_t epoch = e == &r->train ? b->epoch : -1; /* validation masks alike each time */
    for (int32_t i = 0; i < s->n; i++)
        if (!lt_mask(cx, r->masker, b->example[i], epoch, s->offset[i + 1] - s->offset[i], ids + s->offset[i], labels + s->offset[i])) return false;
    b->counted = lt_count_labels(b);
    return true;
}

const lt_objective_kind lt_objective_mlm = {
    .is = {"objective", "mlm", "masked language modelling: 15 % of the tokens, masked anew each epoch", "Devlin et al. 2019, arXiv 1810.04805"},
    .head = "mlm",
    .read = read_row,
    .block = lt_mask_block,
    .prepare = lt_mask_prepare,
    .target = lt_mask_batch,
    .loss = lt_loss_of_tokens,
    .smooths = true,
};
