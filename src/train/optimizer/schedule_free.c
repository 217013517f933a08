/* Schedule-free AdamW (Defazio et al. 2024): gradients are taken at y, between the sequence z that plain steps make and their mean x, which takes the place
 * of a schedule. The run's weights are y and z is a state; x, which is evaluated and saved, follows from both: y = beta1 x + (1 - beta1) z. The rate rises to
 * --lr in --warmup steps, from lr / N, and steps count in the mean with the square of their rate, as in the authors' code; decay is at y. */
#include "train/optimizer/optimizer.h"

#include <string.h>

enum { Z, SQUARE };

static void begin(const lt_run *r, lt_trained *t) { memcpy(t->state[Z].data, t->param->value.data, (size_t)t->count * r->kn->elem); }

/* Σ of the weights of the run's first n steps, each (rate / lr)². */
static double weights_until(const lt_train_options *o, double n)
{
    const double w = (double)o->warmup, k = fmin(n, w);
    return (w > 0 ? k * (k + 1) * (2 * k + 1) / (6 * w * w) : 0) + n - k;
}

static void step(const lt_run *r, lt_piece *p, int sweep)
{
    enum { BLOCK = 512 };
    const lt_kernels *kn = r->kn;
    const lt_trained *t = p->t;
    const double now = (double)(t->frozen + t->t), sum = weights_until(r->o, now) - weights_until(r->o, (double)t->frozen);
    const double rise = now < (double)r->o->warmup ? now / (double)r->o->warmup : 1, c = rise * rise / sum;
    lt_adam h = lt_adam_of(r, t, true, 0);
    h.beta1 = 0;
    h.correct1 = 1;
    for (int64_t i = 0; i < p->n; i += BLOCK) {
        const int64_t n = p->n - i < BLOCK ? p->n - i : BLOCK;
        double no_moment[BLOCK] = {0};
        void *y = lt_element(kn, lt_weights_of(r, p), i), *g = lt_element(kn, lt_gradient_of(r, p), i), *z = lt_element(kn, lt_state_of(r, p, Z), i);
        kn->adam_direction(n, &h, y, g, no_moment, lt_element(kn, lt_state_of(r, p, SQUARE), i));
        lt_approach(kn, n, c, z, y);
        kn->axpy(n, t->lr * (r->o->beta1 * (1 - c) - 1), g, y);
        kn->axpy(n, -t->lr, g, z);
    }
}

static double shown(const lt_run *r) { return 1 - 1 / r->o->beta1; }

static bool fits(lt_ctx *cx, const lt_run *r)
{
    const lt_train_options *o = r->o;
    return lt_fail_if(cx, r->schedule != &lt_schedule_constant, LT_ERR_USAGE, "optimizer schedule_free takes no schedule but constant, not \"%s\"",
                      o->schedule) &&
           lt_fail_if(cx, o->ema > 0, LT_ERR_USAGE, "optimizer schedule_free averages weights itself: ema is for others") &&
           lt_fail_if(cx, !(o->beta1 > 0), LT_ERR_USAGE, "optimizer schedule_free: beta1 more than 0 is expected");
}

const lt_optimizer_kind lt_optimizer_schedule_free = {
    .is = {"optimizer", "schedule_free", "AdamW that averages its weights instead of lowering its rate", "Defazio et al. 2024, arXiv 2405.15682"},
    .state = {"z", "moment2"},
    .begin = begin,
    .fits = fits,
    .warms = true,
    .step = step,
    .shown = shown,
};
