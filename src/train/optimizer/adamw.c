/* AdamW: Adam (Kingma & Ba 2015) whose weight decay stands apart from the gradient. One pass over weights, gradients and moments. */
#include "train/optimizer/optimizer.h"

static void step(const lt_run *r, const lt_kernels *kn, const lt_trained *p, int64_t t, double lr, double scale, int64_t begin, int64_t n)
{
    const lt_train_options *o = r->o;
    const lt_adam h = {.lr = lr,
                       .beta1 = o->beta1,
                       .beta2 = o->beta2,
                       .eps = o->eps,
                       .decay = p->decays ? o->weight_decay : 0,
                       .correct1 = 1 - pow(o->beta1, (double)t),
                       .correct2 = 1 - pow(o->beta2, (double)t),
                       .scale = scale};
    kn->adam(n, &h, lt_element(kn, p->param->value.data, begin), lt_element(kn, p->grad.data, begin), lt_element(kn, p->moment[0], begin),
             lt_element(kn, p->moment[1], begin));
}

const lt_optimizer_kind lt_optimizer_adamw = {
    .is = {"optimizer", "adamw", "Adam with decoupled weight decay", "Loshchilov & Hutter 2019, arXiv 1711.05101"},
    .moments = 2,
    .step = step,
};
