/* What optimizers share: elements of the kernels' type, places in pieces, the details of Adam. */
#ifndef LT_TRAIN_OPTIMIZER_H
#define LT_TRAIN_OPTIMIZER_H

#include <math.h>

#include "train/train.h"

static inline void *lt_element(const lt_kernels *kn, void *p, int64_t i) { return (char *)p + (size_t)i * kn->elem; }

/* Where a piece begins in its parameter's weights, gradient and k-th state. */
static inline void *lt_weights_of(const lt_run *r, const lt_piece *p) { return lt_element(r->kn, p->t->param->value.data, p->begin); }
static inline void *lt_gradient_of(const lt_run *r, const lt_piece *p) { return lt_element(r->kn, p->t->grad.data, p->begin); }
static inline void *lt_state_of(const lt_run *r, const lt_piece *p, int k) { return lt_element(r->kn, p->t->state[k].data, p->begin); }

/* The details in which Adams differ, as settings of those that are made of it, in this order; more may follow. */
#define LT_ADAM_SETTINGS {"correct", 1, 0, 1, "no|yes"}, {"eps_at", 0, 0, 2, "after|before|inside"}
enum { LT_ADAM_CORRECT, LT_ADAM_EPS_AT, LT_ADAM_MORE };
/* The step of a parameter; eps_at: where epsilon is added, after the root of v was corrected (PyTorch), before that (TensorFlow, fairseq), or inside
 * of the corrected root. */
lt_adam lt_adam_of(const lt_run *r, const lt_trained *t, bool correct, int eps_at);
/* Coupled decay (L2): a piece's gradient becomes scale · gradient + decay · weights. */
void lt_couple(const lt_run *r, const lt_piece *p);

#endif
