/* Attention over ragged sequences: one entry for every pattern. Each (sequence, head, block of queries) is one item of work; items
 * are taken longest first, so that threads finish together (the grouped scheduling of ByteTransformer, Zhai et al. 2023). */
#include "tensor/attend.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

typedef struct item {
    int32_t seq, head, q0, nq;
} item;

typedef struct attention {
    const lt_kernels *kn;
    const lt_attend_spec *spec;
    const lt_seqs *qs, *ks;
    const lt_tensor *q, *k, *v;
    lt_tensor *out;
    item *items;
} attention;

/* Sequences whose last keys only fill up a fixed shape (the padded baseline): they are computed and then masked. */
static void mask_keys(const void *arg, int64_t head, int64_t q0, int64_t nq, int64_t k0, int64_t nk, void *scores, int64_t stride)
{
    const lt_masked_keys *m = arg;
    if (m->inner) m->inner(m->inner_arg, head, q0, nq, k0, nk, scores, stride);
    for (int64_t i = 0; i < nq; i++)
        for (int64_t j = m->keys > k0 ? m->keys - k0 : 0; j < nk; j++) {
            if (m->f64) ((double *)scores)[i * stride + j] = -INFINITY;
            else ((float *)scores)[i * stride + j] = -INFINITY;
        }
}

lt_attend_args lt_attend_head(const lt_attend_spec *spec, const lt_tensor *q, const lt_tensor *k, const lt_tensor *v, int32_t seq, int32_t head,
                              lt_masked_keys *mask)
{
    const lt_seqs *qs = spec->q, *ks = spec->k ? spec->k : spec->q;
    const int group = spec->kv_heads ? spec->heads / spec->kv_heads : 1;
    const int64_t q_row = qs->offset[seq], k_row = ks->offset[seq], kv_col = (int64_t)(head / group) * spec->dim;
    lt_attend_args args = {
        .q = lt_attend_at(q, q_row, (int64_t)head * spec->dim),
        .k = lt_attend_at(k, k_row, kv_col),
        .v = lt_attend_at(v, k_row, kv_col),
        .q_stride = q->stride[0],
        .k_stride = k->stride[0],
        .v_stride = v->stride[0],
        .nk = ks->offset[seq + 1] - k_row,
        .dim = spec->dim,
        .value_dim = spec->dim,
        .scale = spec->scale,
        .causal = spec->causal,
        .nq_total = qs->offset[seq + 1] - q_row,
        .head = head,
        .bias = spec->bias,
        .bias_arg = spec->bias ? (const char *)spec->bias_arg + (size_t)seq * spec->bias_arg_size : NULL,
    };
    if (ks->keys) {
        *mask = (lt_masked_keys){.keys = ks->keys[seq], .f64 = q->dtype == LT_F64, .inner = args.bias, .inner_arg = args.bias_arg};
        args.bias = mask_keys;
        args.bias_arg = mask;
    }
    return args;
}

static void attend_item(const attention *a, const item *it, void *scratch)
{
    lt_masked_keys mask;
    lt_attend_args args = lt_attend_head(a->spec, a->q, a->k, a->v, it->seq, it->head, &mask);
    args.out = lt_attend_at(a->out, a->qs->offset[it->seq], (int64_t)it->head * a->spec->dim);
    args.out_stride = a->out->stride[0];
    (a->q->dtype == LT_BF16 ? a->kn->attend_bf16 : a->kn->attend)(&args, it->q0, it->nq, scratch);
}

static size_t scratch_bytes(const attention *a, int64_t nk)
{
    return (a->q->dtype == LT_BF16 ? a->kn->attend_bf16_scratch : a->kn->attend_scratch)(nk, a->spec->dim, a->spec->dim);
}

static void run_item(void *arg, lt_ctx *cx, int64_t i)
{
    const attention *a = arg;
    const item *it = &a->items[i];
    void *scratch = lt_alloc(cx, scratch_bytes(a, a->ks->offset[it->seq + 1] - a->ks->offset[it->seq]));
    if (scratch) attend_item(a, it, scratch);
}

/* Inline: no list, one scratch for all. */
static bool run_in_order(lt_ctx *cx, const attention *a)
{
    lt_scope scope = lt_open(cx, NULL);
    void *scratch = lt_alloc(cx, scratch_bytes(a, a->ks->longest));
    for (int32_t s = 0; scratch && s < a->qs->n; s++) {
        int32_t nq = a->qs->offset[s + 1] - a->qs->offset[s];
        for (int32_t h = 0; h < a->spec->heads; h++)
            for (int32_t q0 = 0; q0 < nq; q0 += a->kn->attend_block)
                attend_item(a, &(item){s, h, q0, nq - q0 < a->kn->attend_block ? nq - q0 : a->kn->attend_block}, scratch);
    }
    lt_end(cx, scope);
    return scratch != NULL;
}

typedef struct order {
    int32_t seq;
    int64_t cost;
} order;

static int longest_first(const void *x, const void *y)
{
    const order *a = x, *b = y;
    return a->cost != b->cost ? (a->cost < b->cost ? 1 : -1) : (a->seq > b->seq) - (a->seq < b->seq);
}

static bool run_longest_first(lt_ctx *cx, attention *a)
{
    lt_scope scope = lt_open(cx, NULL);
    const int32_t block = a->kn->attend_block;
    int64_t n = 0;
    order *by = lt_alloc_array(cx, a->qs->n, sizeof *by);
    for (int32_t s = 0; by && s < a->qs->n; s++) {
        int64_t nq = a->qs->offset[s + 1] - a->qs->offset[s], nk = a->ks->offset[s + 1] - a->ks->offset[s];
        by[s] = (order){s, nk * (nq < block ? nq : block)};
        n += (nq + block - 1) / block * a->spec->heads;
    }
    a->items = by ? lt_alloc_array(cx, n, sizeof *a->items) : NULL;
    bool done = a->items != NULL;
    if (done) {
        qsort(by, (size_t)a->qs->n, sizeof *by, longest_first);
        item *it = a->items;
        for (int32_t i = 0; i < a->qs->n; i++) {
            int32_t s = by[i].seq, nq = a->qs->offset[s + 1] - a->qs->offset[s];
            for (int32_t h = 0; h < a->spec->heads; h++)
                for (int32_t q0 = 0; q0 < nq; q0 += block) *it++ = (item){s, h, q0, nq - q0 < block ? nq - q0 : block};
        }
        done = lt_parallel(cx, n, run_item, a);
    }
    lt_end(cx, scope);
    return done;
}

static const lt_op op_attend = {"attend", lt_attend_back};

static lt_tensor *record(lt_ctx *cx, lt_tensor *out, lt_tensor *q, lt_tensor *k, lt_tensor *v, const lt_attend_spec *spec)
{
    return lt_record(cx, &op_attend, out, spec->bias_grad ? 4 : 3, (lt_tensor *[]){q, k, v, spec->bias_grad ? spec->bias_grad->table : NULL}, spec, sizeof *spec);
}

lt_tensor *lt_attend(lt_ctx *cx, lt_tensor *q, lt_tensor *k, lt_tensor *v, const lt_attend_spec *spec)
{
    if (!q || !k || !v) return NULL;
    const lt_seqs *ks = spec->k ? spec->k : spec->q;
    const int kv_heads = spec->kv_heads ? spec->kv_heads : spec->heads;
    if (q->rank != 2 || k->rank != 2 || v->rank != 2 || q->dtype != k->dtype || k->dtype != v->dtype || q->shape[0] != lt_seqs_rows(spec->q) ||
        k->shape[0] != lt_seqs_rows(ks) || v->shape[0] != k->shape[0] || ks->n != spec->q->n || q->shape[1] != (int64_t)spec->heads * spec->dim ||
        k->shape[1] != (int64_t)kv_heads * spec->dim || v->shape[1] != k->shape[1] || kv_heads < 1 || spec->heads % kv_heads)
        return lt_fail(cx, LT_ERR_USAGE, "attend: q %s, k %s, v %s with %d and %d heads of %d, %d and %d sequences", lt_shape(cx, q), lt_shape(cx, k),
                       lt_shape(cx, v), spec->heads, kv_heads, spec->dim, spec->q->n, ks->n);
    attention a = {.kn = lt_kernels_of(cx, q->dtype == LT_BF16 ? LT_F32 : q->dtype), .spec = spec, .qs = spec->q, .ks = ks, .q = q, .k = k, .v = v};
    a.out = a.kn ? lt_tensor_2d(cx, q->dtype, q->shape[0], q->shape[1]) : NULL;
    if (!a.out) return NULL;
    if (q->dtype == LT_BF16 && (!a.kn->attend_bf16 || spec->dim % 2)) return lt_fail(cx, LT_ERR_UNSUPPORTED, "attend: no bf16 kernel for this machine and heads of %d", spec->dim);
    if (spec->drop.p > 0)
        return lt_attend_dropped(cx, spec, q, k, v, a.out) ? record(cx, a.out, q, k, v, spec) : NULL;
    bool small = (double)q->shape[0] * ks->longest * q->shape[1] < 1e6; /* under some 20 µs */
    if (!(small || lt_threads(cx) == 1 ? run_in_order(cx, &a) : run_longest_first(cx, &a))) return NULL;
    return record(cx, a.out, q, k, v, spec);
}
