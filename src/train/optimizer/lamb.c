/* LAMB (You et al. 2020): Adam's step of each parameter, decay included, is scaled to the length of the parameter: large batches keep their rate. The first
 * sweep makes the steps, over the gradients, and their lengths; the second takes them. */
#include "train/optimizer/optimizer.h"

static const lt_setting settings[] = {LT_ADAM_SETTINGS, {0}};

static void step(const lt_run *r, lt_piece *p, int sweep)
{
    void *w = lt_weights_of(r, p), *g = lt_gradient_of(r, p);
    if (sweep == 1) {
        r->kn->axpy(p->n, -p->t->lr * p->t->number[0], g, w);
        return;
    }
    const lt_adam h = lt_adam_of(r, p->t, r->setting[LT_ADAM_CORRECT] != 0, (int)r->setting[LT_ADAM_EPS_AT]);
    r->kn->adam_direction(p->n, &h, w, g, lt_state_of(r, p, 0), lt_state_of(r, p, 1));
    p->sum[0] = r->kn->sum_squares(p->n, w);
    p->sum[1] = r->kn->sum_squares(p->n, g);
}

static bool between(lt_ctx *cx, const lt_run *r, lt_trained *t, lt_piece *piece, int64_t n, int sweep)
{
    double weights = 0, updates = 0;
    for (int64_t i = 0; i < n && sweep == 0; i++) {
        weights += piece[i].sum[0];
        updates += piece[i].sum[1];
    }
    if (sweep == 0) t->number[0] = t->decays && weights > 0 && updates > 0 ? sqrt(weights / updates) : 1; /* biases and norms are left as they are */
    return true;
}

const lt_optimizer_kind lt_optimizer_lamb = {
    .is = {"optimizer", "lamb", "Adam's steps at the scale of each parameter, for large batches", "You et al. 2020, arXiv 1904.00962"},
    .settings = settings,
    .state = {"moment1", "moment2"},
    .sweeps = 2,
    .step = step,
    .between = between,
};
