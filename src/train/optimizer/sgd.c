/* Stochastic gradient descent with momentum (Polyak 1964), as PyTorch has it: the decay joins the gradient, the velocity begins with the first. */
#include "train/optimizer/optimizer.h"

static void step(const lt_run *r, const lt_kernels *kn, const lt_trained *p, int64_t t, double lr, double scale, int64_t begin, int64_t n)
{
    void *w = lt_element(kn, p->param->value.data, begin), *g = lt_element(kn, p->grad.data, begin), *v = lt_element(kn, p->moment[0], begin);
    kn->scale(n, r->o->momentum, v, v);
    kn->axpy(n, scale, g, v);
    if (p->decays) kn->axpy(n, r->o->weight_decay, w, v);
    kn->axpy(n, -lr, v, w);
}

const lt_optimizer_kind lt_optimizer_sgd = {
    .is = {"optimizer", "sgd", "stochastic gradient descent with momentum", "Polyak 1964"},
    .moments = 1,
    .step = step,
};
