/* What the optimizers made of Adam (Kingma & Ba 2015) share: corrections of its moments for their beginning at zero, or not, and the three places where
 * published code adds epsilon. */
#include "train/optimizer/optimizer.h"

#include <string.h>

void lt_approach(const lt_kernels *kn, int64_t n, double share, const void *goal, void *x)
{
    enum { BLOCK = 512 };
    double room[BLOCK];
    for (int64_t i = 0; i < n; i += BLOCK) {
        const int64_t here = n - i < BLOCK ? n - i : BLOCK;
        void *to = lt_element(kn, x, i);
        memcpy(room, (const char *)goal + (size_t)i * kn->elem, (size_t)here * kn->elem);
        kn->axpy(here, -1, to, room);
        kn->axpy(here, share, room, to);
    }
}

lt_adam lt_adam_of(const lt_run *r, const lt_trained *t, bool correct, int eps_at)
{
    const lt_train_options *o = r->o;
    enum { AFTER, BEFORE, INSIDE };
    lt_adam h = {.lr = t->lr, .beta1 = o->beta1, .beta2 = o->beta2, .eps = o->eps, .decay = t->decay, .correct1 = 1, .correct2 = 1, .scale = t->scale};
    if (correct) {
        h.correct1 = 1 - pow(o->beta1, (double)t->t);
        h.correct2 = 1 - pow(o->beta2, (double)t->t);
    }
    if (eps_at == BEFORE) h.eps = o->eps / sqrt(h.correct2);
    if (eps_at == INSIDE) {
        h.eps = 0;
        h.inside = o->eps * h.correct2;
    }
    return h;
}

void lt_couple(const lt_run *r, const lt_piece *p)
{
    void *g = lt_gradient_of(r, p);
    r->kn->scale(p->n, p->t->scale, g, g);
    if (p->t->decay != 0) r->kn->axpy(p->n, p->t->decay, lt_weights_of(r, p), g);
}
