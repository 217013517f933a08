/* Matrix products. Everything ends in the one packed kernel: weights that were packed at load go straight in, other operands are
 * packed into scratch first, and the bits are the same. Where the context computes in bf16, the ops round what they multiply (Micikevicius et al. 2018,
 * Kalamkar et al. 2019), and add up and store in f32. Work is cut into tiles of rows and panels, never by thread count. */
#include "base/ctx.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <string.h>

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

bool lt_compute_bf16(lt_ctx *cx, bool on)
{
    const lt_product *few = product_of(cx, LT_PRODUCT_BF16);
    cx->computes_bf16 = on && few && few->row_bytes;
    return few && few->row_bytes;
}

/* Row r of the left operand, column r of the right one, at k-index i: at[r * along + i * across]. One of the strides is 1. */
typedef struct operand {
    const void *at;
    int64_t along, across;
    bool is_weight; /* of a parameter: stays for a while */
} operand;

static operand as_rows(const lt_tensor *x) { return (operand){x->data, x->stride[0], 1, x->param != NULL}; }
static operand as_columns(const lt_tensor *x) { return (operand){x->data, 1, x->stride[0], x->param != NULL}; }

typedef struct packing {
    const lt_kernels *kn;
    const lt_product *few; /* NULL: panels of the table's own elements */
    int64_t n, k, panels;  /* panels of one job */
    operand b;
    char *packed;
} packing;

static void pack_some(void *arg, lt_ctx *cx, int64_t i)
{
    const packing *p = arg;
    const int64_t first = i * p->panels * p->kn->nr, n = p->n - first < p->panels * p->kn->nr ? p->n - first : p->panels * p->kn->nr;
    const void *b = offset(p->b.at, first * p->b.along, p->kn->elem);
    if (!p->few)
        p->kn->pack(n, p->k, b, p->b.along, p->b.across, (void *)offset(p->packed, first * p->k, p->kn->elem));
    else if (p->b.across == 1)
        p->few->pack(n, p->k, b, NULL, p->packed + (size_t)(i * p->panels) * p->few->panel_bytes(p->k));
    else
        p->few->pack_turned(n, p->k, b, p->b.across, p->packed + (size_t)(i * p->panels) * p->few->panel_bytes(p->k));
}

static char *packed_operand(lt_ctx *cx, const product *g, operand b)
{
    packing p = {.kn = g->kn, .few = g->few, .n = g->n, .k = g->k, .b = b};
    const size_t bytes = g->few ? lt_product_bytes(g->kn, LT_PRODUCT_BF16, g->n, g->k) : lt_packed_bytes(g->kn, g->n, g->k);
    bool filled = false;
    p.panels = (1 << 16) / (g->k * g->kn->nr + 1) + 1; /* some 20 µs a job */
    p.packed = b.is_weight ? lt_pack_room(cx, &(lt_pack_key){b.at, g->few ? (void *)g->few : g->kn, b.along, b.across, g->n, g->k}, bytes, &filled) : lt_alloc(cx, bytes);
    if (filled || !p.packed) return p.packed;
    return lt_parallel(cx, (lt_panels(g->kn, g->n) + p.panels - 1) / p.panels, pack_some, &p) ? p.packed : NULL;
}

typedef struct turning {
    const lt_kernels *kn;
    const lt_product *few;
    operand x;
    int64_t rows, k;
    lt_coded_rows y;
} turning;

enum { TURN = 64 };

static void turn_some(void *arg, lt_ctx *cx, int64_t i)
{
    const turning *t = arg;
    const int64_t first = i * TURN, n = t->rows - first < TURN ? t->rows - first : TURN;
    const void *x = offset(t->x.at, first * t->x.along, t->kn->elem);
    lt_coded_rows y = {.data = (char *)t->y.data + first * t->y.stride, .stride = t->y.stride};
    static const lt_coding plain;
    if (!t->few) t->kn->transpose(t->k, n, x, t->x.across, y.data, t->k);
    else if (t->x.across == 1) t->few->encode(n, t->k, x, false, t->x.along, &plain, &y);
    else t->few->encode_turned(n, t->k, x, t->x.across, &y);
}

/* The left operand as the product reads it: rows, of bf16 if that is what it multiplies. Scoped. */
static bool left_operand(lt_ctx *cx, product *g, operand a, lt_coded_rows *rows)
{
    g->a = a.at;
    g->a_stride = a.along;
    if (!g->few && a.across == 1) return true;
    turning t = {.kn = g->kn, .few = g->few, .x = a, .rows = g->m, .k = g->k, .y.stride = g->few ? g->few->row_bytes(g->k) : g->k * (int64_t)g->kn->elem};
    t.y.data = lt_alloc_array(cx, g->m, (size_t)t.y.stride);
    *rows = t.y;
    g->rows = rows;
    g->a = t.y.data;
    g->a_stride = g->k;
    return t.y.data && lt_parallel(cx, (g->m + TURN - 1) / TURN, turn_some, &t);
}

/* Packing to bf16 takes rows that stand close: those of a slice are moved together. */
static bool close_up(lt_ctx *cx, const product *g, operand *b)
{
    const size_t row = (size_t)g->k * g->kn->elem;
    char *to = lt_alloc_array(cx, g->n, row);
    for (int64_t j = 0; to && j < g->n; j++) memcpy(to + (size_t)j * row, offset(b->at, j * b->along, g->kn->elem), row);
    *b = (operand){.at = to, .along = g->k, .across = 1};
    return to != NULL;
}

/* c [m, n] = A [m, k] · B [k, n], added to what is in c where `add` says so. Rounds both to bf16 where the context computes so. */
static bool multiply_plain(lt_ctx *cx, product *g, operand a, operand b, bool add)
{
    const lt_product *few = cx->computes_bf16 ? g->kn->product[LT_PRODUCT_BF16] : NULL;
    g->few = few;
    lt_coded_rows rows;
    lt_scope scratch = lt_open(cx, NULL);
    if (few && b.across == 1 && b.along != g->k && !close_up(cx, g, &b)) return lt_end(cx, scratch), false;
    g->c_elem = g->kn->elem;
    g->e = &(lt_gemm_epilogue){.residual = add ? g->c : NULL, .residual_stride = g->c_stride};
    g->packed = packed_operand(cx, g, b);
    const bool done = g->packed && left_operand(cx, g, a, &rows) && multiply(cx, g);
    lt_end(cx, scratch);
    return done;
}

static lt_tensor *product_of_both(lt_ctx *cx, lt_tensor *a, operand b, int64_t n)
{
    const lt_kernels *kn = lt_kernels_of(cx, a->dtype);
    lt_tensor *out = kn ? lt_tensor_2d(cx, a->dtype, a->shape[0], n) : NULL;
    if (!out) return NULL;
    product g = {.kn = kn, .m = a->shape[0], .n = n, .k = a->shape[1], .c = out->data, .c_stride = n};
    return multiply_plain(cx, &g, as_rows(a), b, false) ? out : NULL;
}

/* The gradient of input i as a · b, straight into a leaf or into room of its own. */
static bool back_product(lt_ctx *cx, const lt_node *node, int i, lt_tensor **dx, operand a, operand b, int64_t k)
{
    if (!lt_wants(node, i)) return true;
    lt_tensor *leaf = lt_leaf(node, i), *to = leaf ? leaf : (dx[i] = lt_gradient(cx, node, i));
    const lt_kernels *kn = to ? lt_kernels_of(cx, to->dtype) : NULL;
    if (!kn) return false;
    product g = {.kn = kn, .m = to->shape[0], .n = to->shape[1], .k = k, .c = to->data, .c_stride = to->stride[0]};
    return multiply_plain(cx, &g, a, b, leaf != NULL);
}

/* y = a b: da = dy bᵀ, db = aᵀ dy. */
static bool back_matmul(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    const lt_tensor *a = node->in[0], *b = node->in[1];
    return back_product(cx, node, 0, dx, as_rows(dy), as_rows(b), dy->shape[1]) && back_product(cx, node, 1, dx, as_columns(a), as_columns(dy), a->shape[0]);
}

/* y = a bᵀ: da = dy b, db = dyᵀ a. */
static bool back_matmul_t(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    const lt_tensor *a = node->in[0], *b = node->in[1];
    return back_product(cx, node, 0, dx, as_rows(dy), as_columns(b), dy->shape[1]) && back_product(cx, node, 1, dx, as_columns(dy), as_columns(a), a->shape[0]);
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
    return lt_record(cx, &op_matmul, product_of_both(cx, a, as_columns(b), b->shape[1]), 2, (lt_tensor *[]){a, b}, NULL, 0);
}

lt_tensor *lt_matmul_t(lt_ctx *cx, lt_tensor *a, lt_tensor *b)
{
    if (!a || !b || !are_matrices(cx, "matmul_t", a, b, 1)) return NULL;
    return lt_record(cx, &op_matmul_t, product_of_both(cx, a, as_rows(b), b->shape[0]), 2, (lt_tensor *[]){a, b}, NULL, 0);
}
