/* Relative position embeddings on the scores: q_i · e(i - j), "relative_key" (Shaw et al. 2018, arXiv 1803.02155), and additionally
 * k_j · e(i - j), "relative_key_query" (Huang et al. 2020, arXiv 2009.13658, method 4), both scaled like the scores. The rows of
 * the table that a query (or key) meets lie side by side, so each is one thin product with the packed table. */
#include "lathe/nn.h"

#include <string.h>

typedef struct relative { /* what the score kernel's callback needs of one sequence */
    const lt_kernels *kn;
    const lt_position *p;
    const char *packed;
    const char *q, *k;             /* first rows of the sequence, all heads */
    int64_t q_stride, k_stride;
    double scale;
} relative;

enum { CHUNK = 512, WIDEST_PANEL = 128 };

/* line[t] = scale · row · e(first + t), 0 <= t < n, added to scores[t * step]. `first` counts rows of the table. */
static void add_line(const relative *r, const char *row, int64_t first, int64_t n, char *scores, int64_t step)
{
    double room[CHUNK + WIDEST_PANEL];
    const lt_kernels *kn = r->kn;
    static const lt_gemm_epilogue plain;
    for (int64_t t = 0; t < n; t += CHUNK) {
        int64_t part = n - t < CHUNK ? n - t : CHUNK, panel = (first + t) / kn->nr, skip = first + t - panel * kn->nr;
        kn->gemm(1, skip + part, r->p->dim, row, r->p->dim, r->packed + (size_t)(panel * kn->nr * r->p->dim) * kn->elem, room,
                 skip + part, &plain);
        for (int64_t u = 0; u < part; u++) {
            char *to = scores + (t + u) * step;
            if (kn->elem == 8) *(double *)to += r->scale * room[skip + u];
            else *(float *)to += (float)r->scale * ((const float *)room)[skip + u];
        }
    }
}

static void add_query(const relative *r, int64_t head, int64_t q0, int64_t nq, int64_t k0, int64_t nk, char *scores, int64_t stride)
{
    const int64_t elem = (int64_t)r->kn->elem, dim = r->p->dim;
    for (int64_t i = 0; i < nq; i++) { /* from the last key to the first the distance grows */
        int64_t first = q0 + i - (k0 + nk - 1) + r->p->max - 1;
        add_line(r, r->q + ((q0 + i) * r->q_stride + head * dim) * elem, first, nk, scores + (i * stride + nk - 1) * elem, -elem);
    }
}

static void add_key(const relative *r, int64_t head, int64_t q0, int64_t nq, int64_t k0, int64_t nk, char *scores, int64_t stride)
{
    const int64_t elem = (int64_t)r->kn->elem, dim = r->p->dim;
    for (int64_t j = 0; j < nk; j++)
        add_line(r, r->k + ((k0 + j) * r->k_stride + head * dim) * elem, q0 - (k0 + j) + r->p->max - 1, nq, scores + j * elem, stride * elem);
}

static void bias_query(const void *arg, int64_t head, int64_t q0, int64_t nq, int64_t k0, int64_t nk, void *scores, int64_t stride)
{
    add_query(arg, head, q0, nq, k0, nk, scores, stride);
}

static void bias_query_key(const void *arg, int64_t head, int64_t q0, int64_t nq, int64_t k0, int64_t nk, void *scores, int64_t stride)
{
    add_query(arg, head, q0, nq, k0, nk, scores, stride);
    add_key(arg, head, q0, nq, k0, nk, scores, stride);
}

static bool declare(lt_position *p, lt_decl *d)
{
    return lt_declare(d, &p->table, p->name, "weight", 2, (int64_t[]){2 * p->max - 1, p->dim}, LT_INIT_NORMAL);
}

static bool prepare(lt_ctx *cx, lt_position *p)
{
    const lt_kernels *kn = lt_kernels_of(cx, p->dtype);
    if (!kn || !lt_param_load(cx, &p->table, p->dtype)) return false;
    if (kn->nr > WIDEST_PANEL) return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "panels of %d columns", kn->nr);
    p->packed = lt_new(cx, (int64_t)lt_packed_bytes(kn, 2 * p->max - 1, p->dim), 1);
    if (!p->packed) return false;
    kn->pack(2 * p->max - 1, p->dim, p->table.value.data, p->dim, 1, p->packed);
    p->packed_for = kn;
    lt_param_drop(&p->table);
    return true;
}

/* ---- gradients ---- */

/* Of one head of a sequence: the distances that it has, -(nk - 1) … nq - 1, a row of the table each. */
static size_t room(const void *arg, int64_t nq, int64_t nk)
{
    const relative *r = arg;
    return (size_t)((nq + nk) * r->p->dim) * r->kn->elem;
}

/* For scores x · e(distance): dx += ds e, de += ds x. dx, share: NULL, not wanted. */
static void back_score(const relative *r, double ds, const char *x, int64_t distance, int64_t nk, char *dx, char *share)
{
    const int64_t row = r->p->dim * (int64_t)r->kn->elem;
    if (dx) r->kn->axpy(r->p->dim, ds, (const char *)r->p->table.value.data + (distance + r->p->max - 1) * row, dx);
    if (share) r->kn->axpy(r->p->dim, ds, x, share + (distance + nk - 1) * row);
}

static void back_query(const void *arg, int64_t head, int64_t q0, int64_t nq, int64_t nk, const void *ds, void *dq, int64_t dq_stride, void *dk, int64_t dk_stride,
                       void *share)
{
    const relative *r = arg;
    const int64_t elem = (int64_t)r->kn->elem;
    for (int64_t i = 0; i < nq; i++)
        for (int64_t j = 0; j < nk; j++)
            back_score(r, lt_read(r->kn, ds, i * nk + j), r->q + ((q0 + i) * r->q_stride + head * r->p->dim) * elem, q0 + i - j, nk,
                       dq ? (char *)dq + i * dq_stride * elem : NULL, share);
}

static void back_query_key(const void *arg, int64_t head, int64_t q0, int64_t nq, int64_t nk, const void *ds, void *dq, int64_t dq_stride, void *dk,
                           int64_t dk_stride, void *share)
{
    const relative *r = arg;
    const int64_t elem = (int64_t)r->kn->elem;
    back_query(arg, head, q0, nq, nk, ds, dq, dq_stride, NULL, 0, share);
    for (int64_t i = 0; i < nq; i++)
        for (int64_t j = 0; j < nk; j++)
            back_score(r, lt_read(r->kn, ds, i * nk + j), r->k + (j * r->k_stride + head * r->p->dim) * elem, q0 + i - j, nk,
                       dk ? (char *)dk + j * dk_stride * elem : NULL, share);
}

static void add_share(const void *arg, int64_t nq, int64_t nk, const void *share, void *dtable)
{
    const relative *r = arg;
    if (nq == 0 || nk == 0) return;
    char *to = (char *)dtable + (size_t)((r->p->max - nk) * r->p->dim) * r->kn->elem;
    r->kn->add((nq + nk - 1) * r->p->dim, to, share, to);
}

/* ---- what attention is told ---- */

/* Of the table as it is now: packed once for running, each time where it is learned. */
static const char *packed_table(lt_ctx *cx, const lt_position *p, const lt_kernels *kn)
{
    if (p->packed && kn != p->packed_for)
        return lt_fail(cx, LT_ERR_USAGE, "%s was packed for \"%s\", this context runs \"%s\"", p->name, p->packed_for->isa, kn->isa);
    if (p->packed) return p->packed;
    if (!p->table.value.data) return lt_fail(cx, LT_ERR_USAGE, "%s: not prepared", p->name);
    if (kn->nr > WIDEST_PANEL) return lt_fail(cx, LT_ERR_UNSUPPORTED, "panels of %d columns", kn->nr);
    char *packed = lt_alloc(cx, lt_packed_bytes(kn, 2 * p->max - 1, p->dim));
    if (packed) kn->pack(2 * p->max - 1, p->dim, p->table.value.data, p->dim, 1, packed);
    return packed;
}

static bool set_bias(lt_ctx *cx, const lt_position *p, lt_tensor *q, lt_tensor *k, lt_attend_spec *spec, bool keys)
{
    const lt_seqs *qs = spec->q, *ks = spec->k ? spec->k : spec->q;
    if (qs->longest > p->max || ks->longest > p->max)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "a sequence of %d tokens: relative positions reach %d", qs->longest, (int)p->max);
    relative *r = lt_alloc_array(cx, qs->n, sizeof *r);
    const lt_kernels *kn = lt_kernels_of(cx, p->dtype);
    const char *packed = r && kn ? packed_table(cx, p, kn) : NULL;
    if (!packed) return false;
    for (int32_t i = 0; i < qs->n; i++)
        r[i] = (relative){.kn = kn, .p = p, .packed = packed, .q = (const char *)q->data + (size_t)(qs->offset[i] * q->stride[0]) * kn->elem,
                          .q_stride = q->stride[0], .k = (const char *)k->data + (size_t)(ks->offset[i] * k->stride[0]) * kn->elem, .k_stride = k->stride[0],
                          .scale = spec->scale};
    spec->bias = keys ? bias_query_key : bias_query;
    spec->bias_arg = r;
    spec->bias_arg_size = sizeof *r;
    if (!lt_recording(cx) || (!lt_differentiated(q) && !lt_differentiated(k) && !lt_differentiated(&p->table.value))) return true;
    if (!p->table.value.data) return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s has no gradient once it is packed for running", p->name);
    lt_bias_grad *grad = lt_alloc(cx, sizeof *grad);
    if (!grad) return false;
    *grad = (lt_bias_grad){.table = lt_param_use((lt_param *)&p->table), .room = room, .back = keys ? back_query_key : back_query, .add = add_share};
    spec->bias_grad = grad;
    return true;
}

static bool bias_one(lt_ctx *cx, const lt_position *p, lt_tensor *q, lt_tensor *k, lt_attend_spec *spec) { return set_bias(cx, p, q, k, spec, false); }
static bool bias_both(lt_ctx *cx, const lt_position *p, lt_tensor *q, lt_tensor *k, lt_attend_spec *spec) { return set_bias(cx, p, q, k, spec, true); }

const lt_position_kind lt_position_relative_key = {
    .is = {"position", "relative_key", "learned vectors of the distance, met by queries", "Shaw et al. 2018, arXiv 1803.02155"},
    .declare = declare,
    .prepare = prepare,
    .bias = bias_one,
};

const lt_position_kind lt_position_relative_key_query = {
    .is = {"position", "relative_key_query", "learned vectors of the distance, met by queries and keys", "Huang et al. 2020, arXiv 2009.13658"},
    .declare = declare,
    .prepare = prepare,
    .bias = bias_both,
};
