/* One step: the gradients of all its batches, their norm, an update. */
#include <math.h>
#include <string.h>

#include "train/dist/dist.h"

double lt_number(const lt_tensor *t) { return t->dtype == LT_F64 ? *(double *)t->data : (double)*(float *)t->data; }

static void clear(const lt_run *r, lt_trained *t)
{
    memset(t->grad.data, 0, (size_t)t->count * r->kn->elem);
    t->grad.reached = false;
}

typedef struct batches { /* of one step, scoped */
    lt_minibatch *whole, *mine; /* mine: this worker's part; all, where it is alone */
    int n;
    int64_t counted, sequences;
} batches;

static bool take_batches(lt_ctx *cx, lt_run *r, batches *b, lt_train_step *s)
{
    b->n = r->o->accumulate > 1 ? r->o->accumulate : 1;
    b->whole = lt_alloc_array(cx, b->n, sizeof *b->whole);
    b->mine = lt_alloc_array(cx, b->n, sizeof *b->mine);
    double balance = 0;
    for (int i = 0; b->whole && b->mine && i < b->n; i++) {
        if (!lt_next_batch(cx, r, &b->whole[i]) || !lt_dist_deal(cx, r, &r->train, &b->whole[i], &b->mine[i], &balance)) return false;
        b->counted += b->whole[i].counted;
        b->sequences += b->whole[i].batch.seqs->n;
        s->tokens += lt_seqs_rows(b->whole[i].batch.seqs);
        s->flops += lt_step_flops(cx, r, &b->mine[i]);
    }
    s->balance = balance / b->n;
    return b->whole && b->mine;
}

static bool has_loss(const lt_run *r, const lt_minibatch *b) { return b->batch.seqs->n > 0 && (b->counted > 0 || r->distill); }

static bool compute(lt_ctx *cx, lt_run *r, const batches *b, lt_train_step *s)
{
    int last = b->n - 1;
    while (last >= 0 && !has_loss(r, &b->mine[last])) last--;
    for (int i = 0; i <= last; i++) {
        if (!has_loss(r, &b->mine[i])) continue;
        if (!lt_tape_begin(cx)) return false;
        lt_dropout_batch(cx, i);
        lt_tensor *loss = lt_batch_loss(cx, r, &r->train, &b->mine[i], 1 / (double)b->counted, 1 / (double)b->sequences);
        if (loss && i == last) lt_reduce_watch(cx, r);
        const bool good = loss && lt_backward(cx, loss, NULL);
        if (good) s->loss += lt_number(loss);
        lt_tape_end(cx);
        if (!good) return false;
    }
    return true;
}

/* Of all workers; each has the same sums in the end, and fails where one does. */
static bool gradients(lt_ctx *cx, lt_run *r, batches *b, lt_train_step *s)
{
    for (int i = 0; i < r->params; i++) clear(r, &r->param[i]);
    bool good = lt_ok(cx) && take_batches(cx, r, b, s) && compute(cx, r, b, s);
    good = lt_reduce_finish(cx, r) && good;
    return lt_dist_agree(cx, r->dist, good) && lt_dist_sum(cx, r->dist, &s->loss, 1);
}

/* ---- pieces of parameters, for all threads ---- */

enum { PIECE = 1 << 15 };

static int64_t count_pieces(const lt_run *r)
{
    int64_t pieces = 0;
    for (int p = 0; p < r->params; p++) pieces += (r->param[p].count + PIECE - 1) / PIECE;
    return pieces;
}

/* Piece i over all parameters one after another. */
static const lt_trained *piece(const lt_run *r, int64_t i, int64_t *begin, int64_t *n)
{
    int p = 0;
    for (int64_t here; i >= (here = (r->param[p].count + PIECE - 1) / PIECE); i -= here) p++;
    const lt_trained *t = &r->param[p];
    *begin = i * PIECE;
    *n = t->count - *begin < PIECE ? t->count - *begin : PIECE;
    return t;
}

typedef struct updating {
    const lt_run *r;
    double lr, scale;
} updating;

static void update_piece(void *arg, lt_ctx *cx, int64_t i)
{
    const updating *u = arg;
    int64_t begin = 0, n;
    const lt_trained *t = u->r->optimizer->whole ? &u->r->param[i] : piece(u->r, i, &begin, &n);
    if (!t->grad.reached) return; /* no loss depends on it: it neither moves nor decays */
    if (u->r->optimizer->whole) n = t->count;
    u->r->optimizer->step(u->r, u->r->kn, t, u->r->place.step + 1, u->lr, u->scale, begin, n);
}

typedef struct summing {
    const lt_run *r;
    bool weights;
    double *partial;
} summing;

static void sum_piece(void *arg, lt_ctx *cx, int64_t i)
{
    const summing *s = arg;
    int64_t begin, n;
    const lt_trained *t = piece(s->r, i, &begin, &n);
    s->partial[i] = s->r->kn->sum_squares(n, (const char *)(s->weights ? t->param->value.data : t->grad.data) + (size_t)begin * s->r->kn->elem);
}

/* Σ of the squares of all weights or all gradients: infinite or NaN if one of them is. */
static bool sum_all(lt_ctx *cx, const lt_run *r, bool weights, double *sum)
{
    const int64_t pieces = count_pieces(r);
    lt_scope scope = lt_open(cx, NULL);
    summing s = {r, weights, lt_alloc_array(cx, pieces, sizeof(double))};
    const bool good = s.partial && lt_parallel(cx, pieces, sum_piece, &s);
    *sum = 0;
    for (int64_t i = 0; good && i < pieces; i++) *sum += s.partial[i];
    lt_end(cx, scope);
    return good;
}

/* The gradients are there: an update, unless something is wrong with them. */
static bool update(lt_ctx *cx, lt_run *r, const batches *b, lt_train_step *s)
{
    double squares;
    if (!sum_all(cx, r, false, &squares)) return false;
    s->grad_norm = sqrt(squares);
    if (!isfinite(s->loss)) return lt_blame_not_finite(cx, r, "loss", b->whole, b->n);
    if (!isfinite(s->grad_norm)) return lt_blame_not_finite(cx, r, "gradient", b->whole, b->n);
    if (!lt_blame_spike(cx, r, s->loss, b->whole, b->n)) return false;
    const double limit = r->o->clip > 0 ? r->o->clip / (s->grad_norm + 1e-6) : 1; /* as PyTorch's clip_grad_norm_ */
    const int64_t pieces = r->optimizer->whole ? r->params : count_pieces(r);
    if (!lt_parallel(cx, pieces, update_piece, &(updating){r, s->lr, limit < 1 ? limit : 1}) || !sum_all(cx, r, true, &squares)) return false;
    return isfinite(squares) || lt_blame_update(cx, r, b->whole, b->n);
}

bool lt_take_step(lt_ctx *cx, lt_run *r, lt_train_step *s)
{
    const double start = lt_now();
    lt_scope scope = lt_open(cx, NULL);
    const int64_t step = r->place.step;
    batches b = {0};
    lt_dropout_on(cx, r->o->seed, (uint32_t)step);
    *s = (lt_train_step){.step = step + 1, .steps = r->steps, .lr = lt_schedule_rate(r->schedule, r->o->lr, step, r->o->warmup, r->steps)};
    bool good = gradients(cx, r, &b, s);
    lt_dropout_off(cx);
    good = good && update(cx, r, &b, s);
    lt_end(cx, scope);
    if (!good) return false;
    r->place.step++;
    s->seconds = lt_now() - start;
    return true;
}
