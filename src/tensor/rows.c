/* Ops that move rows: gathering from a table, joining columns, and pooling the rows of each sequence into one. */
#include "tensor/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const lt_op op_gather = {.name = "gather"}, op_concat = {.name = "concat_cols"}, op_pool = {.name = "pool_rows"};

lt_tensor *lt_gather(lt_ctx *cx, lt_tensor *table, const int32_t *ids, int64_t n)
{
    if (!table) return NULL;
    if (table->rank != 2) return lt_fail(cx, LT_ERR_USAGE, "gather: a matrix is expected, not %s", lt_shape(cx, table));
    lt_tensor *out = lt_tensor_2d(cx, table->dtype, n, table->shape[1]);
    if (!out) return NULL;
    size_t elem = lt_dtype_size(table->dtype), row = (size_t)table->shape[1] * elem;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= table->shape[0])
            return lt_fail(cx, LT_ERR_INPUT, "id %d at row %" PRId64 ": expected 0 to %" PRId64, ids[i], i, table->shape[0] - 1);
        memcpy((char *)out->data + (size_t)i * row, (const char *)table->data + (size_t)(ids[i] * table->stride[0]) * elem, row);
    }
    return lt_record(cx, &op_gather, out, 1, &table, NULL, 0);
}

lt_tensor *lt_concat_cols(lt_ctx *cx, lt_tensor *const *x, int n)
{
    int64_t cols = 0;
    for (int i = 0; i < n; i++) {
        if (!x[i]) return NULL;
        if (x[i]->rank != 2 || x[i]->dtype != x[0]->dtype || x[i]->shape[0] != x[0]->shape[0])
            return lt_fail(cx, LT_ERR_USAGE, "concat_cols: %s and %s", lt_shape(cx, x[0]), lt_shape(cx, x[i]));
        cols += x[i]->shape[1];
    }
    if (n < 1 || n > LT_NODE_INPUTS) return lt_fail(cx, LT_ERR_USAGE, "concat_cols: 1 to %d tensors, not %d", LT_NODE_INPUTS, n);
    lt_tensor *out = lt_tensor_2d(cx, x[0]->dtype, x[0]->shape[0], cols);
    if (!out) return NULL;
    size_t elem = lt_dtype_size(out->dtype);
    for (int64_t r = 0; r < out->shape[0]; r++) {
        char *to = (char *)out->data + (size_t)(r * cols) * elem;
        for (int i = 0; i < n; i++) {
            size_t bytes = (size_t)x[i]->shape[1] * elem;
            memcpy(to, (const char *)x[i]->data + (size_t)(r * x[i]->stride[0]) * elem, bytes);
            to += bytes;
        }
    }
    return lt_record(cx, &op_concat, out, n, x, NULL, 0);
}

/* ---- pooling ---- */

typedef struct pool {
    const lt_kernels *kn;
    const lt_tensor *x;
    lt_tensor *out;
    const lt_seqs *s;
    lt_pooling how;
    int skip;
} pool;

/* Σ (i+1) x_i / Σ (i+1), i counted in the whole sequence. */
static void weighted_mean(const pool *p, lt_ctx *cx, const char *rows, int32_t n, int32_t skip, size_t stride, void *out)
{
    int64_t cols = p->out->shape[1];
    lt_scope scratch = lt_open(cx, NULL);
    void *term = lt_alloc_array(cx, cols, p->kn->elem);
    if (term) {
        memset(out, 0, (size_t)cols * p->kn->elem);
        double sum = 0;
        for (int32_t i = skip; i < n; i++) {
            p->kn->scale(cols, i + 1, rows + (size_t)i * stride, term);
            p->kn->add(cols, out, term, out);
            sum += i + 1;
        }
        p->kn->scale(cols, 1 / sum, out, out);
    }
    lt_end(cx, scratch);
}

static void pool_one(const pool *p, lt_ctx *cx, int32_t i)
{
    const int64_t cols = p->out->shape[1], begin = p->s->offset[i];
    const int32_t n = (int32_t)(p->s->offset[i + 1] - begin), skip = p->skip < n ? p->skip : n;
    const size_t stride = (size_t)p->x->stride[0] * p->kn->elem, row = (size_t)cols * p->kn->elem;
    const char *rows = (const char *)p->x->data + (size_t)begin * stride;
    void *out = (char *)p->out->data + (size_t)i * row;
    const int64_t counted = n - skip;
    if (n == 0 || (counted == 0 && p->how != LT_POOL_CLS && p->how != LT_POOL_LAST)) {
        memset(out, 0, row);
        return;
    }
    switch (p->how) {
    case LT_POOL_CLS: memcpy(out, rows, row); break;
    case LT_POOL_LAST: memcpy(out, rows + (size_t)(n - 1) * stride, row); break;
    case LT_POOL_MAX: p->kn->col_max(counted, cols, rows + (size_t)skip * stride, p->x->stride[0], out); break;
    case LT_POOL_WEIGHTED_MEAN: weighted_mean(p, cx, rows, n, skip, stride, out); break;
    default:
        p->kn->col_sum(counted, cols, rows + (size_t)skip * stride, p->x->stride[0], out);
        p->kn->scale(cols, 1 / (p->how == LT_POOL_MEAN ? (double)counted : sqrt((double)counted)), out, out);
    }
}

static void pool_some(void *arg, lt_ctx *cx, int64_t begin, int64_t n)
{
    for (int64_t i = begin; i < begin + n; i++) pool_one(arg, cx, (int32_t)i);
}

lt_tensor *lt_pool_rows(lt_ctx *cx, lt_tensor *x, const lt_seqs *s, lt_pooling how, int skip)
{
    if (!x) return NULL;
    if (x->rank != 2 || x->shape[0] != lt_seqs_rows(s))
        return lt_fail(cx, LT_ERR_USAGE, "pool_rows: %s and sequences of %" PRId64 " rows", lt_shape(cx, x), lt_seqs_rows(s));
    pool p = {.kn = lt_kernels_of(cx, x->dtype), .x = x, .s = s, .how = how, .skip = skip > 0 ? skip : 0};
    p.out = p.kn ? lt_tensor_2d(cx, x->dtype, s->n, x->shape[1]) : NULL;
    if (!p.out) return NULL;
    double work = s->n ? (double)lt_count(x) / s->n : 0;
    if (!lt_over_rows(cx, s->n, work, pool_some, &p)) return NULL;
    return lt_record(cx, &op_pool, p.out, 1, &x, &how, sizeof how);
}
