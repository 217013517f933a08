/* Stochastic gradient descent with momentum (Polyak 1964), as PyTorch has it: the decay joins the gradient, the velocity begins with the first; with
 * nesterov=yes the step looks one velocity ahead (Sutskever et al. 2013). */
#include "train/optimizer/optimizer.h"

enum { NESTEROV, DECAY };
static const lt_setting settings[] = {{"nesterov", 0, 0, 1, "no|yes"}, {"decay", 1, 0, 1, "decoupled|coupled"}, {0}};

static void step(const lt_run *r, lt_piece *p, int sweep)
{
    const lt_kernels *kn = r->kn;
    const lt_trained *t = p->t;
    const bool couples = r->setting[DECAY] != 0 && t->decay != 0;
    void *w = lt_weights_of(r, p), *g = lt_gradient_of(r, p), *v = lt_state_of(r, p, 0);
    if (!couples && t->decay != 0) kn->scale(p->n, 1 - t->lr * t->decay, w, w);
    kn->scale(p->n, r->o->momentum, v, v);
    kn->axpy(p->n, t->scale, g, v);
    if (couples) kn->axpy(p->n, t->decay, w, v);
    if (r->setting[NESTEROV] == 0) {
        kn->axpy(p->n, -t->lr, v, w);
        return;
    }
    kn->scale(p->n, t->scale, g, g); /* what joined the velocity */
    if (couples) kn->axpy(p->n, t->decay, w, g);
    kn->axpy(p->n, r->o->momentum, v, g);
    kn->axpy(p->n, -t->lr, g, w);
}

const lt_optimizer_kind lt_optimizer_sgd = {
    .is = {"optimizer", "sgd", "stochastic gradient descent with momentum", "Polyak 1964"},
    .settings = settings,
    .state = {"moment1"},
    .step = step,
};
