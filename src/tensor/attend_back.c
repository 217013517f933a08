/* The gradient of attention. Probabilities are computed again, a block of queries at a time, so no score matrix outlives its block (Dao et al.
 * 2022, section 3.1). With P the softmax of scores S = scale · Q Kᵀ + bias and dO the gradient of P V:
 * dV = Pᵀ dO, dP = dO Vᵀ, dS = scale · P (dP - Σ P dP), dQ = dS K, dK = dSᵀ Q. A thread takes one sequence's group of heads that share keys, so
 * every sum has one order; a bias that was learned gets a share of each, and shares are added in order. */
#include "tensor/attend.h"

#include <stdlib.h>
#include <string.h>

typedef struct back {
    const lt_kernels *kn;
    const lt_attend_spec *spec;
    const lt_tensor *q, *k, *v, *dy;
    lt_tensor *dq, *dk, *dv; /* NULL: not wanted */
    lt_tensor *out;          /* not NULL: forward instead */
    int32_t *order;          /* sequences, longest first */
    int kv_heads;
    char **share;            /* [sequences, heads] of the bias's table; NULL: not wanted */
} back;

typedef struct pieces { /* of one sequence and one head of keys, in scratch */
    int64_t block; /* queries at a time */
    char *keys, *keys_by_row, *values; /* packed: columns are keys; columns are elements (forward: of values); columns are keys */
    char *p, *dp, *turned, *packed;    /* [block, nk] each; [nk, block]; a block of q or dO, columns are elements */
} pieces;

enum { BLOCK_MOST = 128, BLOCK_SCORES = 1 << 15 };

static bool take_pieces(lt_ctx *cx, const lt_kernels *kn, int64_t nk, int64_t dim, pieces *s)
{
    s->block = BLOCK_SCORES / (nk + 1) + 16;
    if (s->block > BLOCK_MOST) s->block = BLOCK_MOST;
    const size_t scores = (size_t)(s->block * nk) * kn->elem;
    return (s->keys = lt_alloc(cx, lt_packed_bytes(kn, nk, dim))) && (s->values = lt_alloc(cx, lt_packed_bytes(kn, nk, dim))) &&
           (s->keys_by_row = lt_alloc(cx, lt_packed_bytes(kn, dim, nk))) && (s->p = lt_alloc(cx, scores)) && (s->dp = lt_alloc(cx, scores)) &&
           (s->turned = lt_alloc(cx, scores)) && (s->packed = lt_alloc(cx, lt_packed_bytes(kn, dim, s->block)));
}

static const char *row(const lt_kernels *kn, const void *p, int64_t r, int64_t stride) { return (const char *)p + (size_t)(r * stride) * kn->elem; }

/* P of queries q0 … q0+n-1: zeros where a query does not see a key. */
static void probabilities(const lt_kernels *kn, const lt_attend_args *a, int64_t q0, int64_t n, const pieces *s)
{
    kn->gemm(n, a->nk, a->dim, row(kn, a->q, q0, a->q_stride), a->q_stride, s->keys, s->p, a->nk, NULL);
    kn->scale(n * a->nk, a->scale, s->p, s->p);
    if (a->bias) a->bias(a->bias_arg, a->head, q0, n, 0, a->nk, s->p, a->nk);
    if (!a->causal) {
        kn->softmax(n, a->nk, s->p, s->p);
        return;
    }
    for (int64_t r = 0; r < n; r++) {
        int64_t seen = q0 + r + 1 + a->nk - a->nq_total;
        seen = seen < 0 ? 0 : seen > a->nk ? a->nk : seen;
        char *p = (char *)row(kn, s->p, r, a->nk);
        kn->softmax(1, seen, p, p);
        memset(p + (size_t)seen * kn->elem, 0, (size_t)(a->nk - seen) * kn->elem);
    }
}

/* y = what dropout leaves of x, rows of nk: one site, a row for each head and query. */
static void drop_some(const lt_kernels *kn, const lt_attend_spec *spec, const lt_attend_args *a, int64_t row0, int64_t n, const void *x, void *y)
{
    const uint32_t *number = spec->drop.number && spec->drop.numbers == lt_seqs_rows(spec->q) ? spec->drop.number : NULL;
    for (int64_t r = 0; r < n; r++) {
        const int64_t of = number ? (int64_t)number[row0 + r] : spec->drop.row + row0 + r;
        const uint32_t place[3] = {(uint32_t)(of * spec->heads + a->head), spec->drop.site, spec->drop.step};
        kn->dropout(a->nk, spec->drop.p, spec->drop.key, place, row(kn, x, r, a->nk), (void *)row(kn, y, r, a->nk));
    }
}

void lt_add_turned(const lt_kernels *kn, int64_t nk, int64_t dim, const void *x, int64_t n, const void *b, int64_t b_stride, void *turned, void *packed,
                   void *to, int64_t to_stride)
{
    kn->transpose(n, nk, x, nk, turned, n);
    kn->pack(dim, n, b, 1, b_stride, packed);
    kn->gemm(nk, dim, n, turned, n, packed, to, to_stride, &(lt_gemm_epilogue){.residual = to, .residual_stride = to_stride});
}

static const void *bias_arg(const lt_attend_spec *spec, int64_t seq) { return (const char *)spec->bias_arg + (size_t)seq * spec->bias_arg_size; }

static void back_head(const back *b, int32_t seq, int32_t head, const pieces *s)
{
    const lt_kernels *kn = b->kn;
    const lt_attend_spec *spec = b->spec;
    lt_masked_keys mask;
    const lt_attend_args a = lt_attend_head(spec, b->q, b->k, b->v, seq, head, &mask);
    const lt_seqs *ks = spec->k ? spec->k : spec->q;
    const int64_t first = spec->q->offset[seq], k_row = ks->offset[seq], col = (int64_t)head * spec->dim;
    const int64_t kv_col = (int64_t)(head / (spec->heads / b->kv_heads)) * spec->dim;
    for (int64_t q0 = 0, n; q0 < a.nq_total; q0 += n) {
        n = a.nq_total - q0 < s->block ? a.nq_total - q0 : s->block;
        const void *dy = lt_attend_at(b->dy, first + q0, col);
        probabilities(kn, &a, q0, n, s);
        const void *used = s->p;
        if (b->dv && spec->drop.p > 0) drop_some(kn, spec, &a, first + q0, n, s->p, s->dp), used = s->dp;
        if (b->dv) lt_add_turned(kn, a.nk, a.dim, used, n, dy, b->dy->stride[0], s->turned, s->packed, lt_attend_at(b->dv, k_row, kv_col), b->dv->stride[0]);
        if (!b->dq && !b->dk && !b->share) continue;
        kn->gemm(n, a.nk, a.dim, dy, b->dy->stride[0], s->values, s->dp, a.nk, NULL);
        if (spec->drop.p > 0) drop_some(kn, spec, &a, first + q0, n, s->dp, s->dp);
        kn->softmax_back(n, a.nk, s->p, s->dp, a.scale, s->dp);
        if (b->dq) kn->gemm(n, a.dim, a.nk, s->dp, a.nk, s->keys_by_row, lt_attend_at(b->dq, first + q0, col), b->dq->stride[0], NULL);
        if (b->dk) lt_add_turned(kn, a.nk, a.dim, s->dp, n, row(kn, a.q, q0, a.q_stride), a.q_stride, s->turned, s->packed, lt_attend_at(b->dk, k_row, kv_col), b->dk->stride[0]);
        if (spec->bias_grad)
            spec->bias_grad->back(bias_arg(spec, seq), head, q0, n, a.nk, s->dp, b->dq ? lt_attend_at(b->dq, first + q0, col) : NULL, b->dq ? b->dq->stride[0] : 0,
                                  b->dk ? lt_attend_at(b->dk, k_row, kv_col) : NULL, b->dk ? b->dk->stride[0] : 0,
                                  b->share ? b->share[seq * spec->heads + head] : NULL);
    }
}

/* The forward pass where probabilities are dropped. */
static void forward_head(const back *b, int32_t seq, int32_t head, const pieces *s)
{
    const lt_kernels *kn = b->kn;
    const lt_attend_spec *spec = b->spec;
    lt_masked_keys mask;
    const lt_attend_args a = lt_attend_head(spec, b->q, b->k, b->v, seq, head, &mask);
    const int64_t first = spec->q->offset[seq];
    for (int64_t q0 = 0, n; q0 < a.nq_total; q0 += n) {
        n = a.nq_total - q0 < s->block ? a.nq_total - q0 : s->block;
        probabilities(kn, &a, q0, n, s);
        drop_some(kn, spec, &a, first + q0, n, s->p, s->p);
        kn->gemm(n, a.dim, a.nk, s->p, a.nk, s->keys_by_row, lt_attend_at(b->out, first + q0, (int64_t)head * spec->dim), b->out->stride[0], NULL);
    }
}

static void clear(lt_tensor *t, int64_t first, int64_t rows, int64_t col, int64_t cols)
{
    const size_t elem = lt_dtype_size(t->dtype);
    for (int64_t r = first; r < first + rows; r++) memset((char *)t->data + (size_t)(r * t->stride[0] + col) * elem, 0, (size_t)cols * elem);
}

static void back_group(void *arg, lt_ctx *cx, int64_t i)
{
    const back *b = arg;
    const lt_attend_spec *spec = b->spec;
    const lt_seqs *ks = spec->k ? spec->k : spec->q;
    const int32_t seq = b->order[i / b->kv_heads], kv = (int32_t)(i % b->kv_heads), group = spec->heads / b->kv_heads;
    const int64_t nk = ks->offset[seq + 1] - ks->offset[seq], nq = spec->q->offset[seq + 1] - spec->q->offset[seq];
    if (b->dk) clear(b->dk, ks->offset[seq], nk, (int64_t)kv * spec->dim, spec->dim);
    if (b->dv) clear(b->dv, ks->offset[seq], nk, (int64_t)kv * spec->dim, spec->dim);
    if (nk == 0 && b->out) clear(b->out, spec->q->offset[seq], nq, (int64_t)kv * group * spec->dim, (int64_t)group * spec->dim);
    if (nk == 0 && b->dq) clear(b->dq, spec->q->offset[seq], nq, (int64_t)kv * group * spec->dim, (int64_t)group * spec->dim);
    pieces s;
    if (nk == 0 || !take_pieces(cx, b->kn, nk, spec->dim, &s)) return;
    lt_masked_keys mask;
    const lt_attend_args a = lt_attend_head(spec, b->q, b->k, b->v, seq, kv * group, &mask);
    b->kn->pack(nk, spec->dim, a.k, a.k_stride, 1, s.keys);
    if (b->out) {
        b->kn->pack(spec->dim, nk, a.v, 1, a.v_stride, s.keys_by_row);
        for (int32_t h = kv * group; h < (kv + 1) * group; h++) forward_head(b, seq, h, &s);
        return;
    }
    b->kn->pack(spec->dim, nk, a.k, 1, a.k_stride, s.keys_by_row);
    b->kn->pack(nk, spec->dim, a.v, a.v_stride, 1, s.values);
    for (int32_t h = kv * group; h < (kv + 1) * group; h++) back_head(b, seq, h, &s);
}

typedef struct cost {
    int32_t seq;
    int64_t work;
} cost;

static int dearest_first(const void *x, const void *y)
{
    const cost *a = x, *b = y;
    return a->work != b->work ? (a->work < b->work ? 1 : -1) : (a->seq > b->seq) - (a->seq < b->seq);
}

static bool put_in_order(lt_ctx *cx, back *b)
{
    const lt_seqs *qs = b->spec->q, *ks = b->spec->k ? b->spec->k : qs;
    cost *by = lt_alloc_array(cx, qs->n, sizeof *by);
    b->order = lt_alloc_array(cx, qs->n, sizeof *b->order);
    if (!by || !b->order) return false;
    for (int32_t i = 0; i < qs->n; i++) by[i] = (cost){i, (int64_t)(qs->offset[i + 1] - qs->offset[i]) * (ks->offset[i + 1] - ks->offset[i])};
    qsort(by, (size_t)qs->n, sizeof *by, dearest_first);
    for (int32_t i = 0; i < qs->n; i++) b->order[i] = by[i].seq;
    return true;
}

static int64_t length(const lt_seqs *s, int64_t seq) { return s->offset[seq + 1] - s->offset[seq]; }

static bool make_shares(lt_ctx *cx, back *b)
{
    const lt_attend_spec *spec = b->spec;
    const lt_seqs *qs = spec->q, *ks = spec->k ? spec->k : qs;
    b->share = lt_alloc_array(cx, (int64_t)qs->n * spec->heads, sizeof *b->share);
    for (int64_t i = 0; b->share && i < (int64_t)qs->n * spec->heads; i++) {
        const int64_t seq = i / spec->heads;
        const size_t bytes = spec->bias_grad->room(bias_arg(spec, seq), length(qs, seq), length(ks, seq));
        if (!(b->share[i] = lt_alloc(cx, bytes))) return false;
        memset(b->share[i], 0, bytes);
    }
    return b->share != NULL;
}

static void add_shares(const back *b, lt_tensor *to)
{
    const lt_attend_spec *spec = b->spec;
    const lt_seqs *qs = spec->q, *ks = spec->k ? spec->k : qs;
    for (int64_t i = 0; i < (int64_t)qs->n * spec->heads; i++) {
        const int64_t seq = i / spec->heads;
        spec->bias_grad->add(bias_arg(spec, seq), length(qs, seq), length(ks, seq), b->share[i], to->data);
    }
}

bool lt_attend_back(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    const lt_attend_spec *spec = node->attributes;
    back b = {.kn = lt_kernels_of(cx, dy->dtype), .spec = spec, .q = node->in[0], .k = node->in[1], .v = node->in[2], .dy = dy,
              .kv_heads = spec->kv_heads ? spec->kv_heads : spec->heads};
    for (int i = 0; i < 3; i++)
        if (lt_wants(node, i) && !(dx[i] = lt_gradient(cx, node, i))) return false;
    b.dq = dx[0];
    b.dk = dx[1];
    b.dv = dx[2];
    lt_tensor *table = NULL;
    if (node->n_in > 3 && lt_wants(node, 3) && (!(table = lt_leaf(node, 3)) && !(table = dx[3] = lt_gradient_zero(cx, node, 3)))) return false;
    if (!b.kn || (table && !make_shares(cx, &b)) || !put_in_order(cx, &b) || !lt_parallel(cx, (int64_t)spec->q->n * b.kv_heads, back_group, &b)) return false;
    if (table) add_shares(&b, table);
    return true;
}

bool lt_attend_dropped(lt_ctx *cx, const lt_attend_spec *spec, const lt_tensor *q, const lt_tensor *k, const lt_tensor *v, lt_tensor *out)
{
    back b = {.kn = lt_kernels_of(cx, q->dtype), .spec = spec, .q = q, .k = k, .v = v, .out = out, .kv_heads = spec->kv_heads ? spec->kv_heads : spec->heads};
    lt_scope scope = lt_open(cx, NULL);
    const bool done = b.kn && put_in_order(cx, &b) && lt_parallel(cx, (int64_t)spec->q->n * b.kv_heads, back_group, &b);
    lt_end(cx, scope);
    return done;
}
