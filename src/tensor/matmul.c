/* Matrix products. Everything ends in the one packed kernel: weights that were packed at load go straight in, other operands are
 * packed into scratch first, and the bits are the same. Work is cut into tiles of rows and panels, never by thread count. */
#include "tensor/tensor.h"

#include <inttypes.h>

typedef struct product {
    const lt_kernels *kn;
    int64_t m, n, k, a_stride, c_stride;
    const char *a, *packed;
    char *c;
    const lt_gemm_epilogue *e;
    int64_t tile_m, tiles_m, panels, tile_p; /* rows of a tile, tiles over rows, panels in all, panels of a tile */
} product;

static const void *offset(const void *p, int64_t elements, size_t elem) { return p ? (const char *)p + (size_t)elements * elem : NULL; }

static void run_tile(void *arg, lt_ctx *cx, int64_t i)
{
    const product *g = arg;
    const size_t elem = g->kn->elem;
    int64_t row = i % g->tiles_m * g->tile_m, panel = i / g->tiles_m * g->tile_p, col = panel * g->kn->nr;
    int64_t m = g->m - row < g->tile_m ? g->m - row : g->tile_m, n = g->n - col < g->tile_p * g->kn->nr ? g->n - col : g->tile_p * g->kn->nr;
    lt_gemm_epilogue e = *g->e;
    e.bias = offset(e.bias, col, elem);
    e.residual = offset(e.residual, row * e.residual_stride + col, elem);
    g->kn->gemm(m, n, g->k, offset(g->a, row * g->a_stride, elem), g->a_stride, offset(g->packed, panel * g->kn->nr * g->k, elem),
                (char *)offset(g->c, row * g->c_stride + col, elem), g->c_stride, &e);
}

/* Tiles of about 4 Mflop: some 40 µs on one core, so that two to dozens of cores stay busy to the end. */
static bool multiply(lt_ctx *cx, product *g)
{
    if (g->m == 0 || g->n == 0) return true;
    g->panels = lt_panels(g->kn, g->n);
    double flop = 2.0 * (double)g->m * (double)g->n * (double)g->k;
    g->tile_m = g->m;
    g->tile_p = g->panels;
    if (lt_threads(cx) > 1 && flop > 4e6) {
        g->tile_m = g->m > 96 ? 96 : g->m;
        double panel_flop = 2.0 * (double)g->tile_m * g->kn->nr * (double)g->k;
        g->tile_p = (int64_t)(4e6 / panel_flop) + 1;
    }
    g->tiles_m = (g->m + g->tile_m - 1) / g->tile_m;
    int64_t tiles = g->tiles_m * ((g->panels + g->tile_p - 1) / g->tile_p);
    if (tiles > 1) return lt_parallel(cx, tiles, run_tile, g);
    run_tile(g, cx, 0);
    return true;
}

static const lt_op op_matmul = {.name = "matmul"}, op_matmul_t = {.name = "matmul_t"}, op_gemm = {.name = "gemm"};

lt_tensor *lt_gemm(lt_ctx *cx, lt_tensor *x, const void *packed, int64_t n, const lt_gemm_epilogue *e, lt_tensor *out)
{
    if (!x) return NULL;
    const lt_kernels *kn = lt_kernels_of(cx, x->dtype);
    if (!kn) return NULL;
    if (x->rank != 2) return lt_fail(cx, LT_ERR_USAGE, "gemm: a matrix is expected, not %s", lt_shape(cx, x));
    if (out && (out->dtype != x->dtype || out->rank != 2 || out->shape[0] != x->shape[0] || out->shape[1] != n))
        return lt_fail(cx, LT_ERR_USAGE, "gemm: [%" PRId64 ", %" PRId64 "] does not fit into %s", x->shape[0], n, lt_shape(cx, out));
    if (!out) out = lt_tensor_2d(cx, x->dtype, x->shape[0], n);
    if (!out) return NULL;
    static const lt_gemm_epilogue none;
    product g = {.kn = kn, .m = x->shape[0], .n = n, .k = x->shape[1], .a = x->data, .a_stride = x->stride[0], .packed = packed, .c = out->data,
                 .c_stride = out->stride[0], .e = e ? e : &none};
    return multiply(cx, &g) ? lt_record(cx, &op_gemm, out, 1, &x, NULL, 0) : NULL;
}

/* a [m, k] · B, B's element (column j, k-index i) at j*stride_n + i*stride_k. */
static lt_tensor *pack_and_multiply(lt_ctx *cx, lt_tensor *a, lt_tensor *b, int64_t n, int64_t stride_n, int64_t stride_k)
{
    const lt_kernels *kn = lt_kernels_of(cx, a->dtype);
    lt_tensor *out = kn ? lt_tensor_2d(cx, a->dtype, a->shape[0], n) : NULL;
    if (!out) return NULL;
    lt_scope scratch = lt_open(cx, NULL);
    int64_t k = a->shape[1];
    void *packed = lt_alloc(cx, lt_packed_bytes(kn, n, k));
    bool done = packed != NULL;
    if (done) {
        kn->pack(n, k, b->data, stride_n, stride_k, packed);
        product g = {.kn = kn, .m = a->shape[0], .n = n, .k = k, .a = a->data, .a_stride = a->stride[0], .packed = packed, .c = out->data, .c_stride = n,
                     .e = &(lt_gemm_epilogue){0}};
        done = multiply(cx, &g);
    }
    lt_end(cx, scratch);
    return done ? out : NULL;
}

static bool are_matrices(lt_ctx *cx, const char *op, const lt_tensor *a, const lt_tensor *b, int inner)
{
    bool fit = a->rank == 2 && b->rank == 2 && a->dtype == b->dtype && a->shape[1] == b->shape[inner];
    return fit || lt_fail_if(cx, true, LT_ERR_USAGE, "%s: %s %s and %s %s", op, lt_dtype_name(a->dtype), lt_shape(cx, a), lt_dtype_name(b->dtype),
                             lt_shape(cx, b));
}

lt_tensor *lt_matmul(lt_ctx *cx, lt_tensor *a, lt_tensor *b)
{
    if (!a || !b || !are_matrices(cx, "matmul", a, b, 0)) return NULL;
    return lt_record(cx, &op_matmul, pack_and_multiply(cx, a, b, b->shape[1], 1, b->stride[0]), 2, (lt_tensor *[]){a, b}, NULL, 0);
}

lt_tensor *lt_matmul_t(lt_ctx *cx, lt_tensor *a, lt_tensor *b)
{
    if (!a || !b || !are_matrices(cx, "matmul_t", a, b, 1)) return NULL;
    return lt_record(cx, &op_matmul_t, pack_and_multiply(cx, a, b, b->shape[0], b->stride[0], 1), 2, (lt_tensor *[]){a, b}, NULL, 0);
}
