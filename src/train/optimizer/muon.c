/* Muon (Jordan et al. 2024): the momentum of a hidden matrix is made orthogonal before it is subtracted, by steps of a Newton–Schulz iteration whose odd
 * polynomial pulls all singular values towards 1; embeddings, heads, norms and biases take AdamW's steps. Momentum (a mean, Nesterov's), polynomial and
 * scale √max(1, rows / columns) are the reference's; scale=rms is 0.2 √max(rows, columns), with which AdamW's rates fit (Liu et al. 2025). The iteration
 * runs in f32, the reference's in bf16. */
#include "train/optimizer/optimizer.h"

#include <string.h>

enum { MOMENTUM, NESTEROV, STEPS, SCALE, OTHERS };
static const lt_setting settings[] = {
    {"momentum", 0.95, 0, 1}, {"nesterov", 1, 0, 1, "no|yes"}, {"steps", 5, 1, 100}, {"scale", 0, 0, 1, "original|rms"}, {"others", 0.015, 0, 1e6}, {0},
};

static bool has(const lt_run *r, const lt_trained *t, int k, lt_tensor *shape) { return t->hidden == (k == 0); }

/* ---- Newton–Schulz ---- */

typedef struct iteration { /* of x [m, n], m <= n */
    const lt_kernels *kn;
    int64_t m, n;
    void *x, *next, *gram, *factor, *packed;
} iteration;

/* x = a x + (b G + c G G) x with G = x xᵀ. */
static void iterate(iteration *s)
{
    const double a = 3.4445, b = -4.7750, c = 2.0315;
    const lt_gemm_epilogue none = {0};
    const lt_kernels *kn = s->kn;
    const int64_t m = s->m, n = s->n;
    kn->pack(m, n, s->x, n, 1, s->packed);
    kn->gemm(m, m, n, s->x, n, s->packed, s->gram, m, &none);
    kn->pack(m, m, s->gram, m, 1, s->packed);
    kn->gemm(m, m, m, s->gram, m, s->packed, s->factor, m, &none);
    kn->scale(m * m, c, s->factor, s->factor);
    kn->axpy(m * m, b, s->gram, s->factor);
    kn->pack(n, m, s->x, 1, n, s->packed);
    kn->gemm(m, n, m, s->factor, m, s->packed, s->next, n, &none);
    kn->axpy(m * n, a, s->x, s->next);
    void *was = s->x;
    s->x = s->next;
    s->next = was;
}

/* g [rows, cols] becomes nearly orthogonal, in place. */
static bool orthogonal(lt_ctx *cx, const lt_kernels *kn, int64_t rows, int64_t cols, void *g, int steps)
{
    const bool turn = rows > cols;
    const int64_t m = turn ? cols : rows, n = turn ? rows : cols;
    const size_t packed = lt_packed_bytes(kn, m, n), other = lt_packed_bytes(kn, n, m);
    lt_scope scope = lt_open(cx, NULL);
    iteration s = {kn, m, n, lt_alloc_array(cx, m * n, kn->elem), lt_alloc_array(cx, m * n, kn->elem), lt_alloc_array(cx, m * m, kn->elem),
                   lt_alloc_array(cx, m * m, kn->elem), lt_alloc(cx, packed > other ? packed : other)};
    const bool good = s.x && s.next && s.gram && s.factor && s.packed;
    if (good) {
        const double norm = sqrt(kn->sum_squares(m * n, g));
        if (turn) kn->transpose(rows, cols, g, cols, s.x, rows);
        else memcpy(s.x, g, (size_t)(m * n) * kn->elem);
        kn->scale(m * n, 1 / (norm + 1e-7), s.x, s.x);
        for (int i = 0; i < steps; i++) iterate(&s);
        if (turn) kn->transpose(m, n, s.x, n, g, m);
        else memcpy(g, s.x, (size_t)(m * n) * kn->elem);
    }
    lt_end(cx, scope);
    return good;
}

/* ---- the step ---- */

static void other_step(const lt_run *r, const lt_piece *p)
{
    lt_adam h = lt_adam_of(r, p->t, true, 0);
    h.lr *= r->setting[OTHERS];
    r->kn->adam(p->n, &h, lt_weights_of(r, p), lt_gradient_of(r, p), lt_state_of(r, p, 1), lt_state_of(r, p, 2));
}

static void step(const lt_run *r, lt_piece *p, int sweep)
{
    const lt_kernels *kn = r->kn;
    const lt_trained *t = p->t;
    const double beta = r->setting[MOMENTUM], rows = (double)t->param->value.shape[0], cols = (double)t->param->value.shape[1];
    void *w = lt_weights_of(r, p), *g = lt_gradient_of(r, p);
    if (!t->hidden) {
        if (sweep == 0) other_step(r, p);
    } else if (sweep == 0) {
        void *mean = lt_state_of(r, p, 0);
        kn->scale(p->n, t->scale, g, g);
        lt_approach(kn, p->n, 1 - beta, g, mean);
        if (r->setting[NESTEROV] != 0) lt_approach(kn, p->n, beta, mean, g);
        else memcpy(g, mean, (size_t)p->n * kn->elem);
    } else {
        const double by = r->setting[SCALE] != 0 ? 0.2 * sqrt(fmax(rows, cols)) : sqrt(fmax(1, rows / cols));
        if (t->decay != 0) kn->scale(p->n, 1 - t->lr * t->decay, w, w);
        kn->axpy(p->n, -t->lr * by, g, w);
    }
}

static bool between(lt_ctx *cx, const lt_run *r, lt_trained *t, lt_piece *piece, int64_t n, int sweep)
{
    const int64_t *shape = t->param->value.shape;
    return !t->hidden || sweep > 0 || orthogonal(cx, r->kn, shape[0], shape[1], t->grad.data, (int)r->setting[STEPS]);
}

const lt_optimizer_kind lt_optimizer_muon = {
    .is = {"optimizer", "muon", "orthogonal steps for hidden matrices, AdamW for all else", "Jordan et al. 2024, kellerjordan.github.io/posts/muon"},
    .settings = settings,
    .state = {"momentum", "moment1", "moment2"},
    .has = has,
    .sweeps = 2,
    .step = step,
    .between = between,
};
