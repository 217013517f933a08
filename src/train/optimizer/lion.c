/* Lion (Chen et al. 2023): only the sign of a mean of gradients moves a weight, so one moment is enough. Its rates are 3 to 10 times smaller than Adam's,
 * its decay as much larger, its second beta 0.99. */
#include "train/optimizer/optimizer.h"

static void step(const lt_run *r, lt_piece *p, int sweep)
{
    const lt_adam h = lt_adam_of(r, p->t, false, 0);
    r->kn->lion(p->n, &h, lt_weights_of(r, p), lt_gradient_of(r, p), lt_state_of(r, p, 0));
}

const lt_optimizer_kind lt_optimizer_lion = {
    .is = {"optimizer", "lion", "the sign of a mean of gradients", "Chen et al. 2023, arXiv 2302.06675"},
    .state = {"moment1"},
    .step = step,
};
