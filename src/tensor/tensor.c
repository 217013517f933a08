/* Making tensors, looking at parts of them, and carrying one out of a scope. A tensor's header and data lie side by side in the
 * context's arena, so closing a scope frees both and keeping one moves both. */
#include "base/ctx.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[LT_DTYPES] = {{"f32", 4}, {"f64", 8}, {"f16", 2}, {"bf16", 2}, {"i8", 1}, {"u8", 1}, {"i16", 2}, {"i32", 4}, {"i64", 8}, {"bool", 1}};

size_t lt_dtype_size(lt_dtype dtype) { return dtype < LT_DTYPES ? dtypes[dtype].size : 0; }
const char *lt_dtype_name(lt_dtype dtype) { return dtype < LT_DTYPES ? dtypes[dtype].name : "unsupported"; }

const lt_kernels *lt_kernels_of(lt_ctx *cx, lt_dtype dtype)
{
    if (dtype == LT_F64) return lt_kernels_f64();
    if (dtype != LT_F32) return lt_fail(cx, LT_ERR_UNSUPPORTED, "no kernels for elements of type %s", lt_dtype_name(dtype));
    const char *isa = lt_ctx_isa(cx);
    const lt_kernels *kn = lt_kernels_f32(isa);
    return kn ? kn : lt_fail(cx, LT_ERR_USAGE, "instruction set \"%s\" is not available on this machine", isa ? isa : "");
}

static bool set_shape(lt_ctx *cx, lt_tensor *t, lt_dtype dtype, int rank, const int64_t *shape)
{
    *t = (lt_tensor){.dtype = dtype, .rank = rank};
    if (rank < 1 || rank > LT_MAX_RANK) return lt_fail_if(cx, true, LT_ERR_USAGE, "a tensor has 1 to %d dimensions, not %d", LT_MAX_RANK, rank);
    int64_t stride = 1;
    for (int i = LT_MAX_RANK - 1; i >= 0; i--) {
        t->shape[i] = i < rank ? shape[i] : 1;
        t->stride[i] = stride;
        if (t->shape[i] < 0 || (t->shape[i] && stride > INT64_MAX / 16 / t->shape[i]))
            return lt_fail_if(cx, true, LT_ERR_USAGE, "a tensor of rank %d has an impossible dimension %" PRId64, rank, t->shape[i]);
        stride *= t->shape[i] ? t->shape[i] : 1;
    }
    return true;
}

int64_t lt_count(const lt_tensor *t) { return t->shape[0] * t->shape[1] * t->shape[2] * t->shape[3]; }
int64_t lt_rows_of(const lt_tensor *t) { return t->shape[t->rank - 1] ? lt_count(t) / t->shape[t->rank - 1] : 0; }
int64_t lt_cols_of(const lt_tensor *t) { return t->shape[t->rank - 1]; }

bool lt_is_contiguous(const lt_tensor *t)
{
    int64_t stride = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->shape[i] > 1 && t->stride[i] != stride) return false;
        stride *= t->shape[i] ? t->shape[i] : 1;
    }
    return true;
}

lt_tensor *lt_tensor_new(lt_ctx *cx, lt_dtype dtype, int rank, const int64_t *shape)
{
    lt_tensor shaped;
    if (!set_shape(cx, &shaped, dtype, rank, shape)) return NULL;
    size_t head = (sizeof(lt_tensor) + 63) / 64 * 64, bytes = (size_t)lt_count(&shaped) * lt_dtype_size(dtype);
    lt_tensor *t = lt_alloc(cx, head + bytes);
    if (!t) return NULL;
    *t = shaped;
    t->data = (char *)t + head;
    return t;
}

lt_tensor *lt_tensor_2d(lt_ctx *cx, lt_dtype dtype, int64_t rows, int64_t cols) { return lt_tensor_new(cx, dtype, 2, (int64_t[]){rows, cols}); }

lt_tensor *lt_tensor_of(lt_ctx *cx, lt_dtype dtype, int rank, const int64_t *shape, const void *data)
{
    lt_tensor *t = lt_alloc(cx, sizeof *t);
    if (!t || !set_shape(cx, t, dtype, rank, shape)) return NULL;
    t->data = (void *)data;
    return t;
}

/* A part's gradient, among zeros. */
static bool back_part(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx, int64_t first_row, int64_t first_col)
{
    if (!lt_wants(node, 0) || !(dx[0] = lt_gradient_zero(cx, node, 0))) return !lt_wants(node, 0);
    const size_t elem = lt_dtype_size(dy->dtype), bytes = (size_t)lt_cols_of(dy) * elem;
    const int64_t rows = lt_rows_of(dy), to_cols = lt_cols_of(dx[0]), inner = dy->rank > 1 ? rows / (dy->shape[0] ? dy->shape[0] : 1) : 1;
    for (int64_t r = 0; r < rows; r++)
        memcpy((char *)dx[0]->data + (size_t)((first_row * inner + r) * to_cols + first_col) * elem, (const char *)dy->data + (size_t)r * bytes, bytes);
    return true;
}

static bool back_slice_rows(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    return back_part(cx, node, dy, dx, *(const int64_t *)node->attributes, 0);
}

static bool back_slice_cols(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    return back_part(cx, node, dy, dx, 0, *(const int64_t *)node->attributes);
}

static bool back_contiguous(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    dx[0] = lt_gradient_same(dy);
    return true;
}

static void convert(int64_t n, lt_dtype from, const void *x, lt_dtype to, void *y);

static bool back_cast(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    const lt_dtype to = node->in[0]->dtype;
    if (to != LT_F32 && to != LT_F64)
        return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "cast: %s has no gradient", lt_dtype_name(to));
    dx[0] = lt_gradient(cx, node, 0);
    if (dx[0]) convert(lt_count(dy), dy->dtype, dy->data, to, dx[0]->data);
    return dx[0] != NULL;
}

static const lt_op op_slice_rows = {"slice_rows", back_slice_rows}, op_slice_cols = {"slice_cols", back_slice_cols},
                   op_contiguous = {"contiguous", back_contiguous}, op_cast = {"cast", back_cast};

static lt_tensor *view(lt_ctx *cx, const lt_tensor *x)
{
    lt_tensor *t = lt_alloc(cx, sizeof *t);
    if (!t) return NULL;
    *t = *x;
    t->node = 0;
    t->grad = NULL;
    t->param = NULL;
    return t;
}

lt_tensor *lt_slice_rows(lt_ctx *cx, lt_tensor *x, int64_t begin, int64_t n)
{
    if (!x) return NULL;
    if (begin < 0 || n < 0 || begin > x->shape[0] - n)
        return lt_fail(cx, LT_ERR_USAGE, "slice_rows: rows %" PRId64 " to %" PRId64 " of %s", begin, begin + n, lt_shape(cx, x));
    lt_tensor *t = view(cx, x);
    if (!t) return NULL;
    t->shape[0] = n;
    t->data = (char *)x->data + (size_t)(begin * x->stride[0]) * lt_dtype_size(x->dtype);
    return lt_record(cx, &op_slice_rows, t, 1, &x, &begin, sizeof begin);
}

lt_tensor *lt_slice_cols(lt_ctx *cx, lt_tensor *x, int64_t begin, int64_t n)
{
    if (!x) return NULL;
    int last = x->rank - 1;
    if (begin < 0 || n < 0 || begin > x->shape[last] - n)
        return lt_fail(cx, LT_ERR_USAGE, "slice_cols: columns %" PRId64 " to %" PRId64 " of %s", begin, begin + n, lt_shape(cx, x));
    lt_tensor *t = view(cx, x);
    if (!t) return NULL;
    t->shape[last] = n;
    t->data = (char *)x->data + (size_t)begin * lt_dtype_size(x->dtype);
    return lt_record(cx, &op_slice_cols, t, 1, &x, &begin, sizeof begin);
}

lt_tensor *lt_contiguous(lt_ctx *cx, lt_tensor *x)
{
    if (!x || lt_is_contiguous(x)) return x;
    if (x->rank != 2) return lt_fail(cx, LT_ERR_USAGE, "contiguous: a matrix is expected, not %s", lt_shape(cx, x));
    lt_tensor *t = lt_tensor_new(cx, x->dtype, x->rank, x->shape);
    if (!t) return NULL;
    size_t elem = lt_dtype_size(x->dtype), row = (size_t)x->shape[1] * elem;
    for (int64_t r = 0; r < x->shape[0]; r++) memcpy((char *)t->data + (size_t)r * row, (char *)x->data + (size_t)(r * x->stride[0]) * elem, row);
    return lt_record(cx, &op_contiguous, t, 1, &x, NULL, 0);
}

static void convert(int64_t n, lt_dtype from, const void *x, lt_dtype to, void *y)
{
    if (to == LT_F32 && from == LT_F64)
        for (int64_t i = 0; i < n; i++) ((float *)y)[i] = (float)((const double *)x)[i];
    else if (to == LT_F64 && from == LT_F32)
        for (int64_t i = 0; i < n; i++) ((double *)y)[i] = ((const float *)x)[i];
    else if (to == LT_F32 && from == LT_F16) lt_f16_to_f32(n, x, y);
    else if (to == LT_F32 && from == LT_BF16) lt_bf16_to_f32(n, x, y);
}

lt_tensor *lt_cast(lt_ctx *cx, lt_tensor *x, lt_dtype dtype)
{
    if (!x || x->dtype == dtype) return x;
    bool half = x->dtype == LT_F16 || x->dtype == LT_BF16;
    if (half && dtype == LT_F64) return lt_cast(cx, lt_cast(cx, x, LT_F32), LT_F64);
    if ((dtype != LT_F32 && dtype != LT_F64) || !(half || x->dtype == LT_F32 || x->dtype == LT_F64))
        return lt_fail(cx, LT_ERR_UNSUPPORTED, "cast: %s to %s", lt_dtype_name(x->dtype), lt_dtype_name(dtype));
    lt_tensor *from = lt_contiguous(cx, x), *t = from ? lt_tensor_new(cx, dtype, x->rank, x->shape) : NULL;
    if (!t) return NULL;
    convert(lt_count(x), x->dtype, from->data, dtype, t->data);
    return lt_record(cx, &op_cast, t, 1, &x, NULL, 0);
}

char *lt_shape(lt_ctx *cx, const lt_tensor *x)
{
    char text[128] = "[", *p = text + 1;
    for (int i = 0; i < x->rank; i++) p += snprintf(p, (size_t)(text + sizeof text - p), "%s%" PRId64, i ? ", " : "", x->shape[i]);
    char *s = lt_sprintf(cx, "%s]", text);
    return s ? s : "[…]";
}

lt_tensor *lt_close(lt_ctx *cx, lt_scope scope, lt_tensor *keep)
{
    if (!keep) {
        lt_end(cx, scope);
        return NULL;
    }
    size_t head = (sizeof(lt_tensor) + 63) / 64 * 64;
    if (keep->data != (char *)keep + head) { /* a view, or data from elsewhere: only the header may move */
        lt_tensor *own = keep->param || cx->recording ? keep : lt_contiguous(cx, keep);
        if (own == keep && !cx->recording && !keep->param) {
            own = lt_tensor_new(cx, keep->dtype, keep->rank, keep->shape);
            if (own) memcpy(own->data, keep->data, (size_t)lt_count(keep) * lt_dtype_size(keep->dtype));
        }
        if (own == keep || !own) {
            lt_end(cx, scope);
            return own;
        }
        keep = own;
    }
    lt_tensor *moved = lt_end_keep(cx, scope, keep, head + (size_t)lt_count(keep) * lt_dtype_size(keep->dtype));
    if (moved) moved->data = (char *)moved + head;
    return moved;
}

lt_seqs *lt_seqs_new(lt_ctx *cx, int n, const int32_t *lengths)
{
    lt_seqs *s = lt_alloc(cx, sizeof *s);
    int32_t *offset = lt_alloc_array(cx, (int64_t)n + 1, sizeof *offset);
    if (!s || !offset) return NULL;
    *s = (lt_seqs){.n = n, .offset = offset};
    offset[0] = 0;
    for (int i = 0; i < n; i++) {
        if (lengths[i] < 0 || lengths[i] > INT32_MAX - offset[i])
            return lt_fail(cx, LT_ERR_USAGE, "sequence %d has a length of %d: a batch holds up to %d rows", i, lengths[i], INT32_MAX);
        offset[i + 1] = offset[i] + lengths[i];
        if (lengths[i] > s->longest) s->longest = lengths[i];
    }
    return s;
}
