/* LAMB (You et al. 2020): Adam's step of each parameter, decay included, is scaled to the length of the parameter: large batches keep their rate. */
#include "train/optimizer/optimizer.h"

/* Adam's direction of element i, from moments that hold this step's gradient already. */
static double direction(const lt_run *r, const lt_kernels *kn, const lt_trained *p, double c1, double c2, int64_t i)
{
    const double m = lt_read(kn, p->moment[0], i) / c1, v = lt_read(kn, p->moment[1], i) / c2;
    return m / (sqrt(v) + r->o->eps) + (p->decays ? r->o->weight_decay * lt_read(kn, p->param->value.data, i) : 0);
}

static void step(const lt_run *r, const lt_kernels *kn, const lt_trained *p, int64_t t, double lr, double scale, int64_t begin, int64_t n)
{
    const double b1 = r->o->beta1, b2 = r->o->beta2, c1 = 1 - pow(b1, (double)t), c2 = 1 - pow(b2, (double)t);
    double weights = 0, updates = 0;
    for (int64_t i = begin; i < begin + n; i++) {
        const double g = scale * lt_read(kn, p->grad.data, i), w = lt_read(kn, p->param->value.data, i);
        lt_write(kn, p->moment[0], i, b1 * lt_read(kn, p->moment[0], i) + (1 - b1) * g);
        lt_write(kn, p->moment[1], i, b2 * lt_read(kn, p->moment[1], i) + (1 - b2) * g * g);
        const double u = direction(r, kn, p, c1, c2, i);
        weights += w * w;
        updates += u * u;
    }
    const double trust = p->decays && weights > 0 && updates > 0 ? sqrt(weights / updates) : 1; /* biases and norms are left as they are */
    for (int64_t i = begin; i < begin + n; i++)
        lt_write(kn, p->param->value.data, i, lt_read(kn, p->param->value.data, i) - lr * trust * direction(r, kn, p, c1, c2, i));
}

const lt_optimizer_kind lt_optimizer_lamb = {
    .is = {"optimizer", "lamb", "Adam's steps at the scale of each parameter, for large batches", "You et al. 2020, arXiv 1904.00962"},
    .moments = 2,
    .whole = true,
    .step = step,
};
