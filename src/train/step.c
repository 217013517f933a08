/* One step: the gradients of all its batches, their norm, an update. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "train/train.h"

double lt_number(const lt_tensor *t) { return t->dtype == LT_F64 ? *(double *)t->data : (double)*(float *)t->data; }

static const char *first_not_finite(const lt_run *r, bool of_weights)
{
    for (int i = 0; i < r->params; i++) {
        const lt_trained *t = &r->param[i];
        if (!isfinite(r->kn->sum_squares(t->count, of_weights ? t->param->value.data : t->grad.data))) return t->param->name;
    }
    return NULL;
}

static bool not_finite(lt_ctx *cx, const lt_run *r, const char *what)
{
    const char *weight = first_not_finite(r, true), *gradient = weight ? NULL : first_not_finite(r, false);
    return lt_fail_if(cx, true, LT_ERR_INPUT, "step %" PRId64 ": the %s is not a finite number%s%s%s; a smaller rate or clipping may help", r->place.step + 1, what,
                      weight ? "; the first parameter that is not either: " : gradient ? "; the first gradient that is not either: of " : "",
                      weight ? weight : gradient ? gradient : "", "");
}

static void clear(const lt_run *r, lt_trained *t)
{
    memset(t->grad.data, 0, (size_t)t->count * r->kn->elem);
    t->grad.reached = false;
}

/* Of what distillation makes of the inputs as they were read. */
static bool clean_gradients(lt_ctx *cx, lt_run *r, const lt_minibatch *b, double by_sequences, lt_train_step *s)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *loss = lt_clean_loss(cx, r, b, by_sequences);
    const bool good = loss && lt_backward(cx, loss, NULL);
    if (good) s->loss += lt_number(loss);
    lt_tape_end(cx);
    lt_end(cx, scope);
    return good;
}

static bool gradients(lt_ctx *cx, lt_run *r, lt_train_step *s)
{
    const int batches = r->o->accumulate > 1 ? r->o->accumulate : 1;
    lt_minibatch *b = lt_alloc_array(cx, batches, sizeof *b);
    double *by_counted = lt_alloc_array(cx, batches, sizeof *by_counted), *by_sequences = lt_alloc_array(cx, batches, sizeof *by_sequences);
    for (int i = 0; b && i < batches; i++) {
        if (!lt_next_batch(cx, r, &b[i])) return false;
        s->tokens += lt_seqs_rows(b[i].batch.seqs);
    }
    if (!b || !by_counted || !by_sequences || !lt_losses_weigh(cx, r, b, batches, by_counted, by_sequences)) return false;
    lt_params_wake(r);
    for (int i = 0; i < r->params; i++) clear(r, &r->param[i]);
    for (int i = 0; i < batches; i++) {
        if (b[i].counted == 0 && !lt_distills(r, false)) continue;
        if (!lt_tape_begin(cx)) return false;
        lt_tensor *loss = lt_batch_loss(cx, r, &r->train, &b[i], by_counted[i], by_sequences[i]);
        const bool good = loss && lt_backward(cx, loss, NULL);
        if (good) s->loss += lt_number(loss);
        lt_tape_end(cx);
        if (!good) return false;
    }
    /* Behind all others, so that dropout in those is what it is without these. */
    for (int i = 0; i < batches && lt_distills(r, true); i++)
        if (!clean_gradients(cx, r, &b[i], by_sequences[i], s)) return false;
    return true;
}

bool lt_take_step(lt_ctx *cx, lt_run *r, lt_train_step *s)
{
    const double start = lt_now();
    lt_scope scope = lt_open(cx, NULL);
    const int64_t step = r->place.step;
    lt_dropout_on(cx, r->o->seed, (uint32_t)step);
    *s = (lt_train_step){.step = step + 1, .steps = r->steps, .lr = lt_schedule_rate(r, step)};
    bool good = gradients(cx, r, s);
    lt_dropout_off(cx);
    lt_end(cx, scope);
    if (!good) return false;
    if (!lt_anchor_pull(cx, r) || !lt_gradient_norms(cx, r, &s->grad_norm)) return false;
    if (!isfinite(s->loss)) return not_finite(cx, r, "loss");
    if (!isfinite(s->grad_norm)) return not_finite(cx, r, "gradient");
    bool finite;
    if (!lt_update(cx, r, s->lr, s->grad_norm, &finite)) return false;
    const char *bad = finite ? NULL : first_not_finite(r, true);
    if (bad) return lt_fail_if(cx, true, LT_ERR_INPUT, "step %" PRId64 ": parameter \"%s\" is not finite after the update; a smaller rate or clipping may help", step + 1, bad);
    r->place.step++;
    s->seconds = lt_now() - start;
    return true;
}
