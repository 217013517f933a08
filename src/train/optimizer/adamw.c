/* AdamW: Adam (Kingma & Ba 2015) whose weight decay stands apart from the gradient; with decay=coupled, Adam itself with L2. One pass over weights,
 * gradients and moments. */
#include "train/optimizer/optimizer.h"

enum { DECAY = LT_ADAM_MORE };
static const lt_setting settings[] = {LT_ADAM_SETTINGS, {"decay", 0, 0, 1, "decoupled|coupled"}, {0}};

static void step(const lt_run *r, lt_piece *p, int sweep)
{
    lt_adam h = lt_adam_of(r, p->t, r->setting[LT_ADAM_CORRECT] != 0, (int)r->setting[LT_ADAM_EPS_AT]);
    if (r->setting[DECAY] != 0) {
        lt_couple(r, p);
        h.decay = 0;
        h.scale = 1;
    }
    r->kn->adam(p->n, &h, lt_weights_of(r, p), lt_gradient_of(r, p), lt_state_of(r, p, 0), lt_state_of(r, p, 1));
}

const lt_optimizer_kind lt_optimizer_adamw = {
    .is = {"optimizer", "adamw", "Adam with decoupled weight decay", "Loshchilov & Hutter 2019, arXiv 1711.05101"},
    .settings = settings,
    .state = {"moment1", "moment2"},
    .step = step,
};
