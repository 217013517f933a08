/* The update: parameters are cut into pieces, which all threads take. An optimizer sweeps over the pieces once, or a few times where a step depends on sums
 * over a parameter; what follows the last sweep (averages, the check for numbers that are not finite) sees each piece while it is still in cache. Pieces
 * and the order of sums depend on nothing but the parameters, so threads change no bit. */
#include <math.h>
#include <string.h>

#include "train/train.h"

enum { PIECE = 1 << 15 };

typedef struct pieces {
    lt_piece *at;
    int64_t n;
} pieces;

static int64_t piece_size(const lt_trained *t, bool rows)
{
    const int64_t cols = rows && t->param->value.rank == 2 ? t->param->value.shape[1] : 1;
    return cols >= PIECE ? cols : PIECE / cols * cols;
}

/* No loss depends on a parameter that was not reached: it neither moves nor decays. */
static bool moves(const lt_trained *t) { return t->grad.reached; }

/* Scoped. `rows`: of matrices whole rows. */
static bool cut(lt_ctx *cx, const lt_run *r, bool rows, pieces *p)
{
    int64_t n = 0;
    for (int i = 0; i < r->params; i++)
        if (moves(&r->param[i])) n += (r->param[i].count + piece_size(&r->param[i], rows) - 1) / piece_size(&r->param[i], rows);
    *p = (pieces){lt_alloc_array(cx, n + 1, sizeof(lt_piece)), 0};
    for (int i = 0; p->at && i < r->params; i++) {
        lt_trained *t = &r->param[i];
        const int64_t size = piece_size(t, rows);
        for (int64_t begin = 0; moves(t) && begin < t->count; begin += size)
            p->at[p->n++] = (lt_piece){.t = t, .begin = begin, .n = t->count - begin < size ? t->count - begin : size};
    }
    return p->at != NULL;
}

static const void *offset(const lt_run *r, const void *p, int64_t i) { return (const char *)p + (size_t)i * r->kn->elem; }

/* ---- the norm of the gradient ---- */

typedef struct summing {
    const lt_run *r;
    pieces p;
} summing;

static void sum_piece(void *arg, lt_ctx *cx, int64_t i)
{
    const summing *s = arg;
    lt_piece *p = &s->p.at[i];
    p->sum[0] = s->r->kn->sum_squares(p->n, offset(s->r, p->t->grad.data, p->begin));
}

bool lt_gradient_norms(lt_ctx *cx, lt_run *r, double *norm)
{
    lt_scope scope = lt_open(cx, NULL);
    summing s = {.r = r};
    double all = 0;
    const bool good = cut(cx, r, false, &s.p) && lt_parallel(cx, s.p.n, sum_piece, &s);
    for (int i = 0; i < r->params; i++) r->param[i].norm = 0;
    for (int64_t i = 0; good && i < s.p.n; i++) {
        all += s.p.at[i].sum[0];
        s.p.at[i].t->norm += s.p.at[i].sum[0];
    }
    for (int i = 0; i < r->params; i++) r->param[i].norm = sqrt(r->param[i].norm);
    *norm = sqrt(all);
    lt_end(cx, scope);
    return good;
}

/* As PyTorch's clip_grad_norm_. */
static double clipped(const lt_run *r, double norm)
{
    const double limit = r->o->clip > 0 ? r->o->clip / (norm + 1e-6) : 1;
    return limit < 1 ? limit : 1;
}

/* ---- sweeps ---- */

typedef struct updating {
    const lt_run *r;
    pieces p;
    int64_t *first; /* [params + 1] of their pieces */
    double *squares; /* [pieces] of the weights after the step */
    int sweep, sweeps;
} updating;

static void sweep_piece(void *arg, lt_ctx *cx, int64_t i)
{
    const updating *u = arg;
    const lt_run *r = u->r;
    lt_piece *p = &u->p.at[i];
    void *w = (void *)offset(r, p->t->param->value.data, p->begin);
    r->optimizer->step(r, p, u->sweep);
    if (u->sweep < u->sweeps - 1) return;
    if (r->o->ema > 0) lt_approach(r->kn, p->n, 1 - r->o->ema, w, (void *)offset(r, p->t->average, p->begin));
    u->squares[i] = r->kn->sum_squares(p->n, w);
}

static void follow(void *arg, lt_ctx *cx, int64_t i)
{
    const updating *u = arg;
    const int64_t n = u->first[i + 1] - u->first[i];
    if (n) u->r->optimizer->between(cx, u->r, &u->r->param[i], u->p.at + u->first[i], n, u->sweep); /* an error stands in cx */
}

static bool make_room(lt_ctx *cx, updating *u)
{
    const lt_run *r = u->r;
    u->first = lt_alloc_array(cx, r->params + 1, sizeof *u->first);
    u->squares = lt_alloc_array(cx, u->p.n + 1, sizeof *u->squares);
    if (!u->first || !u->squares) return false;
    int64_t at = 0;
    for (int i = 0; i < r->params; i++) {
        u->first[i] = at;
        while (at < u->p.n && u->p.at[at].t == &r->param[i]) at++;
    }
    u->first[r->params] = at;
    for (int64_t i = 0; r->optimizer->scratch && i < u->p.n; i++) {
        const int64_t elements = r->optimizer->scratch(u->p.at[i].t);
        if (!elements) continue;
        if (!(u->p.at[i].scratch = lt_alloc_array(cx, elements, r->kn->elem))) return false;
        memset(u->p.at[i].scratch, 0, (size_t)elements * r->kn->elem);
    }
    return true;
}

static void set_rates(lt_run *r, double lr, double norm)
{
    for (int i = 0; i < r->params; i++) {
        lt_trained *t = &r->param[i];
        t->t = r->place.step + 1 - t->frozen;
        const double own = r->optimizer->rate && t->t > 0 ? r->optimizer->rate(r, t->t) : -1;
        t->lr = t->rate * (own >= 0 ? own : lr);
        t->scale = r->clip_workers ? 1 : clipped(r, r->clip_tensors ? t->norm : norm);
    }
}

bool lt_update(lt_ctx *cx, lt_run *r, double lr, double norm, bool *finite)
{
    lt_scope scope = lt_open(cx, NULL);
    updating u = {.r = r, .sweeps = r->optimizer->sweeps ? r->optimizer->sweeps : 1};
    bool good = cut(cx, r, r->optimizer->rows, &u.p) && make_room(cx, &u);
    set_rates(r, lr, norm);
    for (; good && u.sweep < u.sweeps; u.sweep++) {
        good = lt_parallel(cx, u.p.n, sweep_piece, &u);
        if (good && r->optimizer->between) good = lt_parallel(cx, r->params, follow, &u);
    }
    double squares = 0;
    for (int64_t i = 0; good && i < u.p.n; i++) squares += u.squares[i];
    *finite = isfinite(squares);
    lt_end(cx, scope);
    return good;
}
