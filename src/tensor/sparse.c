/* Products with block-sparse weights (Shen et al. 2023, arXiv 2306.16601). Rows are turned once for all products that read them, and stay as they
 * were beside that; work is cut into panels of rows and of outputs, never by thread count. */
#include "tensor/tensor.h"

#include <inttypes.h>

static const lt_sparse *sparse_of(lt_ctx *cx, lt_sparse_id id)
{
    const lt_kernels *kn = lt_kernels_of(cx, LT_F32);
    return kn ? kn->sparse[id] : NULL;
}

typedef struct turning {
    const lt_sparse *sparse;
    const lt_coded_rows *rows;
    int64_t k;
} turning;

static void turn_panel(void *arg, lt_ctx *cx, int64_t i)
{
    const turning *t = arg;
    const int64_t first = i * t->sparse->tokens, left = t->rows->rows - first;
    t->sparse->turn(first, left < t->sparse->tokens ? left : t->sparse->tokens, t->k, t->rows);
}

/* Whether rows are turned already, in the form of that product. */
static bool is_turned(lt_ctx *cx, lt_sparse_id id, const lt_tensor *x)
{
    const bool floats = id == LT_SPARSE_F32 || (id == LT_SPARSE_BF16 && !lt_kernels_of(cx, LT_F32)->product[LT_PRODUCT_BF16]->row_bytes);
    return x->coded && x->coded->panels && x->dtype == (floats ? LT_F32 : id == LT_SPARSE_INT8 ? LT_U8 : LT_BF16);
}

/* Rows as the dense product of that kind reads them. */
static lt_tensor *code_rows(lt_ctx *cx, lt_sparse_id id, lt_tensor *x, const lt_coding *how)
{
    return id == LT_SPARSE_F32 ? x : lt_code_rows(cx, id == LT_SPARSE_INT8 ? LT_PRODUCT_INT8 : LT_PRODUCT_BF16, x, how);
}

lt_tensor *lt_turn_rows(lt_ctx *cx, lt_sparse_id id, lt_tensor *x, const lt_coding *how)
{
    const lt_sparse *sparse = x ? sparse_of(cx, id) : NULL;
    if (!sparse) return NULL;
    if (is_turned(cx, id, x)) return x;
    if (!(x = code_rows(cx, id, x, how))) return NULL;
    if (x->rank != 2 || x->stride[1] != 1 || (id == LT_SPARSE_F32 && (x->dtype != LT_F32 || x->coded)))
        return lt_fail(cx, LT_ERR_USAGE, "sparse product: a matrix of f32 is expected, not %s of %s", lt_shape(cx, x), lt_dtype_name(x->dtype));
    const int64_t m = x->shape[0], k = x->shape[1];
    lt_tensor *y = lt_tensor_of(cx, x->dtype, x->rank, x->shape, x->data);
    lt_coded_rows *rows = y ? lt_alloc(cx, sizeof *rows) : NULL;
    void *panels = rows ? lt_alloc(cx, sparse->turned_bytes(m, k) + 1) : NULL;
    if (!panels) return NULL;
    y->stride[0] = x->stride[0];
    *rows = x->coded ? *x->coded : (lt_coded_rows){.data = x->data, .stride = x->stride[0] * (int64_t)lt_dtype_size(x->dtype)};
    rows->rows = m;
    rows->panels = panels;
    y->coded = rows;
    return lt_parallel(cx, (m + sparse->tokens - 1) / sparse->tokens, turn_panel, &(turning){sparse, rows, k}) ? y : NULL;
}

typedef struct product {
    const lt_sparse *sparse;
    const lt_coded_rows *rows;
    size_t c_elem;
    int64_t n, k, c_stride, tile_m, tiles_m, tile_n; /* rows of a tile, tiles over rows, outputs of a tile */
    const void *packed;
    char *c;
    const lt_gemm_epilogue *e;
} product;

static void run_tile(void *arg, lt_ctx *cx, int64_t i)
{
    const product *p = arg;
    const int64_t row = i % p->tiles_m * p->tile_m, column = i / p->tiles_m * p->tile_n;
    const int64_t m = p->rows->rows - row < p->tile_m ? p->rows->rows - row : p->tile_m, n = p->n - column < p->tile_n ? p->n - column : p->tile_n;
    lt_gemm_epilogue e = *p->e;
    if (e.bias) e.bias = (const float *)e.bias + column;
    if (e.residual) e.residual = (const float *)e.residual + row * e.residual_stride + column;
    p->sparse->gemm(m, n, p->k, p->rows, row, p->packed, column, p->c + (size_t)(row * p->c_stride + column) * p->c_elem, p->c_stride, &e);
}

/* Tiles of one panel of rows and some 20 µs: nothing tells how many blocks are left, so as if it were three tenths. */
static bool multiply(lt_ctx *cx, product *p, int64_t nr)
{
    const int64_t m = p->rows->rows;
    p->tile_m = m;
    p->tile_n = p->n;
    if (lt_threads(cx) > 1 && (double)m * (double)p->n * (double)p->k > 4e6) {
        p->tile_m = p->sparse->tokens;
        p->tile_n = ((int64_t)(4e6 / ((double)p->tile_m * (double)nr * (double)p->k)) + 1) * nr;
    }
    p->tiles_m = (m + p->tile_m - 1) / p->tile_m;
    const int64_t tiles = p->tiles_m * ((p->n + p->tile_n - 1) / p->tile_n);
    if (tiles > 1) return lt_parallel(cx, tiles, run_tile, p);
    run_tile(p, cx, 0);
    return true;
}

lt_tensor *lt_sparse_run(lt_ctx *cx, lt_sparse_id id, lt_tensor *x, const lt_coding *how, const void *packed, int64_t n, const lt_gemm_epilogue *e,
                         lt_tensor *out)
{
    static const lt_gemm_epilogue none;
    x = lt_turn_rows(cx, id, x, how);
    if (!x) return NULL;
    if (!e) e = &none;
    const lt_dtype dtype = e->to_bf16 ? LT_BF16 : LT_F32;
    const int64_t m = x->shape[0];
    if (out && (out->dtype != dtype || out->rank != 2 || out->shape[0] != m || out->shape[1] != n))
        return lt_fail(cx, LT_ERR_USAGE, "sparse product: [%" PRId64 ", %" PRId64 "] of %s does not fit into %s", m, n, lt_dtype_name(dtype), lt_shape(cx, out));
    if (!out) out = lt_tensor_2d(cx, dtype, m, n);
    if (!out || m == 0 || n == 0) return out;
    product p = {.sparse = sparse_of(cx, id), .rows = x->coded, .c_elem = lt_dtype_size(dtype), .n = n, .k = x->shape[1], .c_stride = out->stride[0],
                 .packed = packed, .c = out->data, .e = e};
    return multiply(cx, &p, lt_kernels_of(cx, LT_F32)->nr) ? out : NULL;
}
