/* Matrix products. Everything ends in the one packed kernel: weights that were packed at load go straight in, other operands are
 * packed into scratch first, and the bits are the same. Work is cut into tiles of rows and panels, never by thread count. */
#include "tensor/tensor.h"

#include <inttypes.h>

typedef struct product {
    const lt_kernels *kn;
    const lt_product *few;  /* not NULL: weights of fewer bits, … */
    const lt_coded_rows *rows;    /* … these rows, … */
    size_t c_elem;          /* … and results of so many bytes */
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
    if (g->few) {
        g->few->gemm(m, n, g->k, g->rows, row, g->packed + (size_t)panel * g->few->panel_bytes(g->k), (char *)offset(g->c, row * g->c_stride + col, g->c_elem),
                     g->c_stride, &e);
        return;
    }
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

static const lt_op op_gemm = {.name = "gemm"};

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

/* ---- weights of fewer bits ---- */

typedef struct encoding {
    const lt_product *few;
    const lt_coding *how;
    const lt_tensor *x;
    lt_coded_rows *rows;
} encoding;

static void encode_rows(void *arg, lt_ctx *cx, int64_t begin, int64_t n)
{
    const encoding *c = arg;
    const lt_tensor *x = c->x;
    const int64_t k = x->shape[1], room = begin * k;
    lt_coded_rows to = {.data = (char *)c->rows->data + begin * c->rows->stride, .stride = c->rows->stride, .code = c->rows->code ? c->rows->code + begin : NULL,
                  .outlier = c->rows->outlier ? c->rows->outlier + room : NULL};
    c->few->encode(n, k, (const char *)x->data + (size_t)(begin * x->stride[0]) * lt_dtype_size(x->dtype), x->dtype == LT_BF16, x->stride[0], c->how, &to);
    for (int64_t i = 0; to.code && i < n; i++) to.code[i].outlier += room;
}

static const lt_product *product_of(lt_ctx *cx, lt_product_id id)
{
    const lt_kernels *kn = lt_kernels_of(cx, LT_F32);
    return kn ? kn->product[id] : NULL;
}

static bool is_plain_matrix(lt_ctx *cx, const char *op, const lt_tensor *x)
{
    bool fit = x->rank == 2 && x->stride[1] == 1 && (x->dtype == LT_F32 || x->dtype == LT_BF16);
    fit = fit && !x->coded;
    return fit || lt_fail_if(cx, true, LT_ERR_USAGE, "%s: a matrix of f32 or bf16 is expected, not %s of %s", op, lt_shape(cx, x), lt_dtype_name(x->dtype));
}

/* Plain bf16 is what bf16 products read, if pairs of it can be read as words. */
static bool is_coded(const lt_product *few, lt_product_id id, const lt_tensor *x)
{
    if (x->coded) return x->dtype == (id == LT_PRODUCT_INT8 ? LT_U8 : LT_BF16);
    return few->row_bytes && id == LT_PRODUCT_BF16 && x->dtype == LT_BF16 && x->rank == 2 && x->stride[1] == 1 && x->shape[1] % 2 == 0 &&
           x->stride[0] % 2 == 0;
}

lt_tensor *lt_code_rows(lt_ctx *cx, lt_product_id id, lt_tensor *x, const lt_coding *how)
{
    static const lt_coding plain;
    const lt_product *few = x ? product_of(cx, id) : NULL;
    if (!few || is_coded(few, id, x)) return few ? x : NULL;
    if (!is_plain_matrix(cx, "encode", x)) return NULL;
    if (!few->row_bytes) return lt_cast(cx, x, LT_F32);
    const int64_t m = x->shape[0], k = x->shape[1], bytes = few->row_bytes(k);
    if (!how) how = &plain;
    lt_tensor *y = lt_tensor_2d(cx, LT_U8, m, bytes);
    lt_coded_rows *rows = y ? lt_alloc(cx, sizeof *rows) : NULL;
    if (!rows) return NULL;
    *rows = (lt_coded_rows){.data = y->data, .stride = bytes};
    if (id == LT_PRODUCT_INT8 && !(rows->code = lt_alloc_array(cx, m, sizeof *rows->code))) return NULL;
    if (id == LT_PRODUCT_INT8 && how->threshold > 0 && !(rows->outlier = lt_alloc_array(cx, m * k, sizeof *rows->outlier))) return NULL;
    y->dtype = id == LT_PRODUCT_INT8 ? LT_U8 : LT_BF16;
    y->shape[1] = k;
    y->stride[0] = id == LT_PRODUCT_INT8 ? bytes : bytes / 2;
    y->coded = rows;
    return lt_over_rows(cx, m, (double)k, encode_rows, &(encoding){few, how, x, rows}) ? y : NULL;
}

lt_tensor *lt_product_run(lt_ctx *cx, lt_product_id id, lt_tensor *x, const lt_coding *how, const void *packed, int64_t n, const lt_gemm_epilogue *e,
                          lt_tensor *out)
{
    static const lt_gemm_epilogue none;
    x = lt_code_rows(cx, id, x, how);
    if (!x) return NULL;
    if (!e) e = &none;
    const lt_dtype dtype = e->to_bf16 ? LT_BF16 : LT_F32;
    if (out && (out->dtype != dtype || out->rank != 2 || out->shape[0] != x->shape[0] || out->shape[1] != n))
        return lt_fail(cx, LT_ERR_USAGE, "product: [%" PRId64 ", %" PRId64 "] of %s does not fit into %s", x->shape[0], n, lt_dtype_name(dtype), lt_shape(cx, out));
    if (!out) out = lt_tensor_2d(cx, dtype, x->shape[0], n);
    if (!out) return NULL;
    const lt_coded_rows as_they_are = {.data = x->data, .stride = x->stride[0] * (int64_t)lt_dtype_size(x->dtype)};
    const lt_kernels *kn = lt_kernels_of(cx, LT_F32);
    product g = {.kn = kn, .few = kn->product[id], .rows = x->coded ? x->coded : &as_they_are, .c_elem = lt_dtype_size(dtype), .m = x->shape[0], .n = n,
                 .k = x->shape[1], .packed = packed, .c = out->data, .c_stride = out->stride[0], .e = e};
    return multiply(cx, &g) ? out : NULL;
}

/* ---- both operands plain ---- */

typedef struct packing {
    const lt_kernels *kn;
    int64_t n, k, stride_n, stride_k, panels; /* panels of one job */
    const char *b;
    char *packed;
} packing;

static void pack_some(void *arg, lt_ctx *cx, int64_t i)
{
    const packing *p = arg;
    const int64_t first = i * p->panels * p->kn->nr, n = p->n - first < p->panels * p->kn->nr ? p->n - first : p->panels * p->kn->nr;
    p->kn->pack(n, p->k, offset(p->b, first * p->stride_n, p->kn->elem), p->stride_n, p->stride_k, (void *)offset(p->packed, first * p->k, p->kn->elem));
}

/* c [m, n] = a [m, k] · B, B's element (column j, k-index i) at j*stride_n + i*stride_k; added to what is in c where `add` says so. */
static bool multiply_plain(lt_ctx *cx, product *g, const void *b, int64_t stride_n, int64_t stride_k, bool add)
{
    packing p = {.kn = g->kn, .n = g->n, .k = g->k, .stride_n = stride_n, .stride_k = stride_k, .b = b};
    p.panels = (1 << 16) / (g->k * g->kn->nr + 1) + 1; /* some 20 µs a job */
    lt_scope scratch = lt_open(cx, NULL);
    g->packed = p.packed = lt_alloc(cx, lt_packed_bytes(g->kn, g->n, g->k));
    g->e = &(lt_gemm_epilogue){.residual = add ? g->c : NULL, .residual_stride = g->c_stride};
    const bool done = p.packed && lt_parallel(cx, (lt_panels(g->kn, g->n) + p.panels - 1) / p.panels, pack_some, &p) && multiply(cx, g);
    lt_end(cx, scratch);
    return done;
}

typedef struct turning {
    const lt_kernels *kn;
    const lt_tensor *x;
    char *y;
} turning;

enum { TURN_COLS = 64 };

static void turn_some(void *arg, lt_ctx *cx, int64_t i)
{
    const turning *t = arg;
    const int64_t rows = t->x->shape[0], first = i * TURN_COLS, n = t->x->shape[1] - first < TURN_COLS ? t->x->shape[1] - first : TURN_COLS;
    t->kn->transpose(rows, n, offset(t->x->data, first, t->kn->elem), t->x->stride[0], (void *)offset(t->y, first * rows, t->kn->elem), rows);
}

/* [rows, cols] → [cols, rows], scoped. */
static const void *turned(lt_ctx *cx, const lt_kernels *kn, const lt_tensor *x)
{
    turning t = {.kn = kn, .x = x, .y = lt_alloc_array(cx, lt_count(x), kn->elem)};
    return t.y && lt_parallel(cx, (x->shape[1] + TURN_COLS - 1) / TURN_COLS, turn_some, &t) ? t.y : NULL;
}

static lt_tensor *pack_and_multiply(lt_ctx *cx, lt_tensor *a, lt_tensor *b, int64_t n, int64_t stride_n, int64_t stride_k)
{
    const lt_kernels *kn = lt_kernels_of(cx, a->dtype);
    lt_tensor *out = kn ? lt_tensor_2d(cx, a->dtype, a->shape[0], n) : NULL;
    if (!out) return NULL;
    product g = {.kn = kn, .m = a->shape[0], .n = n, .k = a->shape[1], .a = a->data, .a_stride = a->stride[0], .c = out->data, .c_stride = n};
    return multiply_plain(cx, &g, b->data, stride_n, stride_k, false) ? out : NULL;
}

/* The gradient of input i as a · B, straight into a leaf or into room of its own. */
static bool back_product(lt_ctx *cx, const lt_node *node, int i, lt_tensor **dx, const void *a, int64_t a_stride, int64_t k, const lt_tensor *b,
                         int64_t stride_n, int64_t stride_k)
{
    lt_tensor *leaf = lt_leaf(node, i), *to = leaf ? leaf : (dx[i] = lt_gradient(cx, node, i));
    const lt_kernels *kn = lt_kernels_of(cx, b->dtype);
    if (!to || !kn || !a) return false;
    product g = {.kn = kn, .m = to->shape[0], .n = to->shape[1], .k = k, .a = a, .a_stride = a_stride, .c = to->data, .c_stride = to->stride[0]};
    return multiply_plain(cx, &g, b->data, stride_n, stride_k, leaf != NULL);
}

/* y = a b: da = dy bᵀ, db = aᵀ dy. */
static bool back_matmul(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    const lt_tensor *a = node->in[0], *b = node->in[1];
    const lt_kernels *kn = lt_kernels_of(cx, dy->dtype);
    return kn && (!lt_wants(node, 0) || back_product(cx, node, 0, dx, dy->data, dy->stride[0], dy->shape[1], b, b->stride[0], 1)) &&
           (!lt_wants(node, 1) || back_product(cx, node, 1, dx, turned(cx, kn, a), a->shape[0], a->shape[0], dy, 1, dy->stride[0]));
}

/* y = a bᵀ: da = dy b, db = dyᵀ a. */
static bool back_matmul_t(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    const lt_tensor *a = node->in[0], *b = node->in[1];
    const lt_kernels *kn = lt_kernels_of(cx, dy->dtype);
    return kn && (!lt_wants(node, 0) || back_product(cx, node, 0, dx, dy->data, dy->stride[0], dy->shape[1], b, 1, b->stride[0])) &&
           (!lt_wants(node, 1) || back_product(cx, node, 1, dx, turned(cx, kn, dy), dy->shape[0], dy->shape[0], a, 1, a->stride[0]));
}

static const lt_op op_matmul = {"matmul", back_matmul}, op_matmul_t = {"matmul_t", back_matmul_t};

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
