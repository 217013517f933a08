/* One step: the gradients of all its batches, their norm, an update. */
#include <math.h>
#include <string.h>

#include "train/dist/dist.h"

double lt_number(const lt_tensor *t) { return lt_value_at(t->dtype, t->data, 0); }

static void clear(const lt_run *r, lt_trained *t)
{
    memset(t->grad.data, 0, (size_t)t->count * r->kn->elem);
    t->grad.reached = false;
}

/* Back from a loss, whose tape ends with that; NULL: there was an error. */
static bool go_back(lt_ctx *cx, lt_tensor *loss, lt_train_step *s)
{
    const bool good = loss && lt_backward(cx, loss, NULL);
    if (good) s->loss += lt_number(loss);
    lt_tape_end(cx);
    return good;
}

/* Of what distillation makes of the inputs as they were read. */
static bool clean_gradients(lt_ctx *cx, lt_run *r, const lt_minibatch *b, double by_sequences, lt_train_step *s)
{
    lt_scope scope = lt_open(cx, NULL);
    const bool good = go_back(cx, lt_clean_loss(cx, r, b, by_sequences), s);
    lt_end(cx, scope);
    return good;
}

typedef struct batches { /* of one step, scoped */
    lt_minibatch *whole, *mine; /* mine: this worker's part; all, where it is alone */
    double *by_counted, *by_sequences; /* what their losses are multiplied by */
    int n;
} batches;

static bool take_batches(lt_ctx *cx, lt_run *r, batches *b, lt_train_step *s)
{
    const lt_supplied *fed = lt_supply_next(cx, r->supply);
    if (!fed) return false;
    b->n = fed->n;
    b->whole = fed->batch;
    r->place.epoch = fed->epoch;
    r->place.next = fed->next;
    if (r->o->exchange) lt_measure(r, b->whole, b->n, s);
    b->mine = lt_alloc_array(cx, b->n, sizeof *b->mine);
    b->by_counted = lt_alloc_array(cx, b->n, sizeof *b->by_counted);
    b->by_sequences = lt_alloc_array(cx, b->n, sizeof *b->by_sequences);
    if (!b->mine || !b->by_counted || !b->by_sequences) return false;
    for (int i = 0; i < b->n; i++) s->tokens += lt_seqs_rows(b->whole[i].batch.seqs);
    double balance = 0;
    if (!lt_losses_weigh(cx, r, b->whole, b->n, b->by_counted, b->by_sequences)) return false;
    for (int i = 0; i < b->n; i++) {
        if (!lt_dist_deal(cx, r, &r->train, &b->whole[i], &b->mine[i], &balance)) return false;
        s->flops += lt_step_flops(cx, r, &b->mine[i]);
    }
    s->balance = balance / b->n;
    return true;
}

static bool has_loss(const lt_run *r, const lt_minibatch *b) { return b->batch.seqs->n > 0 && (b->counted > 0 || lt_distills(r, false) || r->objective->also); }

static bool compute(lt_ctx *cx, lt_run *r, const batches *b, lt_train_step *s)
{
    int last = b->n - 1;
    while (last >= 0 && !has_loss(r, &b->mine[last])) last--;
    for (int i = 0; i <= last; i++) {
        if (!has_loss(r, &b->mine[i])) continue;
        lt_dropout_batch(cx, i);
        if (r->o->cache_batch) {
            if (!lt_cached_batch(cx, r, &b->mine[i], b->by_counted[i], true, &s->loss)) return false;
            continue;
        }
        if (!lt_tape_begin(cx)) return false;
        lt_tensor *loss = lt_batch_loss(cx, r, &r->train, &b->mine[i], b->by_counted[i], b->by_sequences[i]);
        if (loss && i == last && !r->clip_workers && !lt_distills(r, true)) lt_reduce_watch(cx, r);
        if (!go_back(cx, loss, s)) return false;
    }
    /* Behind all others, so that dropout in those is what it is without these. */
    for (int i = 0; i < b->n && lt_distills(r, true); i++) {
        lt_dropout_batch(cx, b->n + i);
        if (!clean_gradients(cx, r, &b->mine[i], b->by_sequences[i], s)) return false;
    }
    return true;
}

/* Each worker's own gradient, which is its share of a mean over all of them, as long as it may be (Zeng et al. 2022 clip before they reduce). */
static bool clip_own(lt_ctx *cx, lt_run *r, lt_train_step *s)
{
    double norm;
    if (!lt_gradient_norms(cx, r, &norm)) return false;
    const double limit = r->o->clip > 0 ? r->o->clip / (norm * r->dist->size + 1e-6) : 1;
    s->grad_norm = norm; /* times how many there are; the sum of all is the mean of those */
    for (int i = 0; limit < 1 && i < r->params; i++) r->kn->scale(r->param[i].count, limit, r->param[i].grad.data, r->param[i].grad.data);
    return true;
}

/* Of all workers; each has the same sums in the end, and fails where one does. */
static bool gradients(lt_ctx *cx, lt_run *r, batches *b, lt_train_step *s)
{
    lt_params_wake(r);
    for (int i = 0; i < r->params; i++) clear(r, &r->param[i]);
    bool good = lt_ok(cx) && take_batches(cx, r, b, s) && compute(cx, r, b, s) && (!r->clip_workers || clip_own(cx, r, s));
    good = lt_reduce_finish(cx, r) && good;
    double sums[] = {s->loss, s->grad_norm};
    if (!lt_dist_agree(cx, r->dist, good) || !lt_dist_sum(cx, r->dist, sums, 2)) return false;
    s->loss = sums[0];
    s->grad_norm = sums[1];
    return true;
}

/* The gradients are there: an update, unless something is wrong with them. */
static bool update(lt_ctx *cx, lt_run *r, const batches *b, lt_train_step *s)
{
    bool finite;
    double norm;
    if (!lt_anchor_pull(cx, r) || !lt_gradient_norms(cx, r, &norm)) return false;
    if (!r->clip_workers) s->grad_norm = norm;
    if (!isfinite(s->loss)) return lt_blame_not_finite(cx, r, "loss", b->whole, b->n);
    if (!isfinite(s->grad_norm)) return lt_blame_not_finite(cx, r, "gradient", b->whole, b->n);
    if (!lt_blame_spike(cx, r, s->loss, b->whole, b->n)) return false;
    if (!lt_update(cx, r, s->lr, norm, &finite)) return false;
    lt_weights_changed(cx);
    return finite || lt_blame_update(cx, r, b->whole, b->n);
}

bool lt_take_step(lt_ctx *cx, lt_run *r, lt_train_step *s)
{
    const double start = lt_now();
    lt_scope scope = lt_open(cx, NULL);
    const int64_t step = r->place.step;
    batches b = {0};
    lt_dropout_on(cx, r->o->seed, (uint32_t)step);
    *s = (lt_train_step){.step = step + 1, .steps = r->steps, .lr = lt_schedule_rate(r, step)};
    bool good = gradients(cx, r, &b, s);
    lt_dropout_off(cx);
    good = good && update(cx, r, &b, s);
    lt_end(cx, scope);
    if (!good) return false;
    r->place.step++;
    s->seconds = lt_now() - start;
    return true;
}
