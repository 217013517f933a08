/* Lion (Chen et al. 2023): only the sign of a mean of gradients moves a weight, so one moment is enough. Its rates are 3 to 10 times smaller than Adam's,
 * its decay as much larger, its second beta 0.99. */
#include "train/optimizer/optimizer.h"

static void step(const lt_run *r, const lt_kernels *kn, const lt_trained *p, int64_t t, double lr, double scale, int64_t begin, int64_t n)
{
    const double b1 = r->o->beta1, b2 = r->o->beta2, decay = p->decays ? r->o->weight_decay : 0;
    for (int64_t i = begin; i < begin + n; i++) {
        const double g = scale * lt_read(kn, p->grad.data, i), m = lt_read(kn, p->moment[0], i), w = lt_read(kn, p->param->value.data, i);
        const double c = b1 * m + (1 - b1) * g;
        lt_write(kn, p->param->value.data, i, w - lr * ((c > 0) - (c < 0) + decay * w));
        lt_write(kn, p->moment[0], i, b2 * m + (1 - b2) * g);
    }
}

const lt_optimizer_kind lt_optimizer_lion = {
    .is = {"optimizer", "lion", "the sign of a mean of gradients", "Chen et al. 2023, arXiv 2302.06675"},
    .moments = 1,
    .step = step,
};
