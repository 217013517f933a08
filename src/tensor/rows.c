/* Ops that move rows: gathering from a table, joining columns, and pooling the rows of each sequence into one. */
#include "tensor/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- gathering ---- */

typedef struct gathered {
    const int32_t *ids;
    int64_t n;
} gathered;

typedef struct scatter {
    const lt_kernels *kn;
    const gathered *from;
    const lt_tensor *dy;
    lt_tensor *to;
} scatter;

enum { SCATTER_COLS = 64 };

/* One range of columns of all rows, in order: rows that were gathered twice are summed alike by any number of threads. */
static void scatter_some(void *arg, lt_ctx *cx, int64_t i)
{
    const scatter *s = arg;
    const size_t elem = s->kn->elem;
    const int64_t cols = s->to->shape[1], first = i * SCATTER_COLS, n = cols - first < SCATTER_COLS ? cols - first : SCATTER_COLS;
    for (int64_t r = 0; r < s->from->n; r++) {
        char *to = (char *)s->to->data + (size_t)(s->from->ids[r] * cols + first) * elem;
        s->kn->add(n, to, (const char *)s->dy->data + (size_t)(r * cols + first) * elem, to);
    }
}

static bool back_gather(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    lt_tensor *leaf = lt_leaf(node, 0);
    scatter s = {.kn = lt_kernels_of(cx, dy->dtype), .from = node->attributes, .dy = dy};
    s.to = leaf ? leaf : (dx[0] = lt_gradient_zero(cx, node, 0));
    return s.kn && s.to && lt_parallel(cx, (s.to->shape[1] + SCATTER_COLS - 1) / SCATTER_COLS, scatter_some, &s);
}

static const lt_op op_gather = {"gather", back_gather};

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
    if (!lt_recording(cx)) return out;
    int32_t *kept = lt_alloc_array(cx, n, sizeof *kept); /* a tape outlives its caller's arrays */
    if (!kept) return NULL;
    memcpy(kept, ids, (size_t)n * sizeof *kept);
    return lt_record(cx, &op_gather, out, 1, &table, &(gathered){kept, n}, sizeof(gathered));
}

/* ---- joining columns ---- */

static bool back_concat(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    const size_t elem = lt_dtype_size(dy->dtype);
    int64_t first = 0;
    for (int i = 0; i < node->n_in; i++) {
        const int64_t cols = node->in[i]->shape[1];
        if (lt_wants(node, i) && !(dx[i] = lt_gradient(cx, node, i))) return false;
        for (int64_t r = 0; dx[i] && r < dy->shape[0]; r++)
            memcpy((char *)dx[i]->data + (size_t)(r * cols) * elem, (const char *)dy->data + (size_t)(r * dy->shape[1] + first) * elem, (size_t)cols * elem);
        first += cols;
    }
    return true;
}

static const lt_op op_concat = {"concat_cols", back_concat};

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

/* ---- its gradient ---- */

typedef struct pooled {
    const lt_seqs *s;
    lt_pooling how;
    int skip;
} pooled;

typedef struct unpool {
    const lt_kernels *kn;
    const pooled *p;
    const lt_tensor *x, *dy;
    lt_tensor *dx;
} unpool;

/* Each column's gradient goes to the first row that holds its largest element. */
static void unpool_max(const unpool *u, const char *x, size_t stride, int64_t rows, int64_t cols, const void *dy, char *dx)
{
    for (int64_t c = 0; c < cols; c++) {
        int64_t best = 0;
        for (int64_t r = 1; r < rows; r++) {
            const char *a = x + (size_t)r * stride, *b = x + (size_t)best * stride;
            if (u->kn->elem == 8 ? ((const double *)a)[c] > ((const double *)b)[c] : ((const float *)a)[c] > ((const float *)b)[c]) best = r;
        }
        memcpy(dx + (size_t)(best * cols + c) * u->kn->elem, (const char *)dy + (size_t)c * u->kn->elem, u->kn->elem);
    }
}

static void unpool_one(const unpool *u, int32_t i)
{
    const lt_kernels *kn = u->kn;
    const int64_t cols = u->dx->shape[1], begin = u->p->s->offset[i], n = u->p->s->offset[i + 1] - begin, skip = u->p->skip < n ? u->p->skip : n;
    const int64_t counted = n - skip;
    const size_t row = (size_t)cols * kn->elem, stride = (size_t)u->x->stride[0] * kn->elem;
    const char *dy = (const char *)u->dy->data + (size_t)i * row;
    char *dx = (char *)u->dx->data + (size_t)begin * row;
    const lt_pooling how = u->p->how;
    memset(dx, 0, (size_t)n * row);
    if (n == 0 || (counted == 0 && how != LT_POOL_CLS && how != LT_POOL_LAST)) return;
    if (how == LT_POOL_CLS || how == LT_POOL_LAST) memcpy(how == LT_POOL_CLS ? dx : dx + (size_t)(n - 1) * row, dy, row);
    else if (how == LT_POOL_MAX) unpool_max(u, (const char *)u->x->data + (size_t)(begin + skip) * stride, stride, counted, cols, dy, dx + (size_t)skip * row);
    else {
        const double sum = how == LT_POOL_WEIGHTED_MEAN ? (double)(n * (n + 1) - skip * (skip + 1)) / 2 : how == LT_POOL_MEAN ? (double)counted : sqrt((double)counted);
        for (int64_t r = skip; r < n; r++) kn->scale(cols, (how == LT_POOL_WEIGHTED_MEAN ? (double)(r + 1) : 1) / sum, dy, dx + (size_t)r * row);
    }
}

static void unpool_some(void *arg, lt_ctx *cx, int64_t begin, int64_t n)
{
    for (int64_t i = begin; i < begin + n; i++) unpool_one(arg, (int32_t)i);
}

static bool back_pool(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    unpool u = {.kn = lt_kernels_of(cx, dy->dtype), .p = node->attributes, .x = node->in[0], .dy = dy, .dx = dx[0] = lt_gradient(cx, node, 0)};
    if (!u.kn || !u.dx) return false;
    return lt_over_rows(cx, u.p->s->n, u.p->s->n ? (double)lt_count(u.dx) / u.p->s->n : 0, unpool_some, &u);
}

static const lt_op op_pool = {"pool_rows", back_pool};

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
    return lt_record(cx, &op_pool, p.out, 1, &x, &(pooled){s, how, p.skip}, sizeof(pooled));
}
