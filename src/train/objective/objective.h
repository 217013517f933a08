/* What objectives share. */
#ifndef LT_TRAIN_OBJECTIVE_H
#define LT_TRAIN_OBJECTIVE_H

#include "train/train.h"

int64_t lt_count_labels(const lt_minibatch *b); /* tokens with a label */
/* Cross-entropy of the head's outputs at the tokens that have a label. */
lt_tensor *lt_loss_of_tokens(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, lt_tensor *hidden,
                             double factor);

/* mlm.c: marks which tokens of a block may be hidden; hides tokens of a batch whose labels say which may be. */
bool lt_mask_block(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_joined *x);
bool lt_mask_prepare(lt_ctx *cx, lt_run *r);
bool lt_mask_batch(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_minibatch *b);

#endif
