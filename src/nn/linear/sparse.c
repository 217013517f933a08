/* Block-sparse weights (Shen et al. 2023, arXiv 2306.16601): dense, bf16, int8 or int4 ones, stored as such, of which most blocks of 4 outputs × 1 input are
 * zero. Preparing a linear finds that out and makes it one of these kinds, which multiply only the blocks that are left. Codes of 4 bits do so as
 * the floats that they mean. */
#include "nn/linear/sparse.h"

#include "nn/linear/few.h"

#include <string.h>

/* Of all blocks, so many percent must be zero. Measured (Zen 4, one thread, products of 768 to 3072, AVX2 to AVX-512), times as fast as dense in f32 /
 * int8: 0 %: 0.9 to 1 / 0.8 to 1, 50 %: 1.7 to 1.9 / 1.5 to 1.9, 70 %: 2.8 to 3.2 / 2.2 to 3.1, 80 %: 4.2 to 4.9 / 3.3 to 4.6, 90 %: 8.2 to 9.5 / 5.8 to
 * 8.6; bf16 (AVX512-BF16): 0 %: 1, 50 %: 1.8 to 2, 70 %: 2.8 to 3.3, 80 %: 3.8 to 4.9, 90 %: 6 to 9.2. Of 16 tokens, the worst case, on AVX-512: int8
 * 50 %: 0.9, 70 %: 1.5, bf16 1.3 and 2.1. So that no input runs slower than dense, as the paper has it. Tiles of AMX multiply seven times as fast as
 * the units that these kernels use, by their peaks: nobody measured it. A block of floats is 20 bytes, one of 4-bit codes with its share of scales
 * 2.5: from 90 % on the floats are smaller as well. */
enum { LEAST_PERCENT = 70, LEAST_PERCENT_AMX = 90, LEAST_PERCENT_INT4 = 90 };

static int least_percent(const lt_kernels *kn, const lt_linear *l)
{
    if (l->kind == &lt_linear_int4) return LEAST_PERCENT_INT4;
    const lt_product *dense = l->kind == &lt_linear_int8 ? kn->product[LT_PRODUCT_INT8] : l->kind == &lt_linear_bf16 ? kn->product[LT_PRODUCT_BF16] : NULL;
    return dense && strncmp(dense->name, "amx", 3) == 0 ? LEAST_PERCENT_AMX : LEAST_PERCENT;
}

/* Blocks that are not zero among four rows: bits other than a sign's. */
static int64_t blocks_left(const lt_linear *l, const void *w, int64_t j)
{
    const int64_t k = l->in, rows = l->out - j < LT_SPARSE_BLOCK ? l->out - j : LT_SPARSE_BLOCK;
    const bool codes = l->kind == &lt_linear_int8;
    int64_t left = 0;
    for (int64_t i = 0; i < k; i++) {
        bool any = false;
        for (int64_t r = j; r < j + rows; r++)
            any |= codes ? ((const int8_t *)w)[r * k + i] != 0 : ((const float *)w)[r * k + i] != 0.0f;
        left += any;
    }
    return left;
}

bool lt_sparse_pays(lt_ctx *cx, const lt_linear *l, const void *w)
{
    const lt_kernels *kn = lt_kernels_of(cx, l->dtype);
    if (!kn || !kn->sparse[0] || l->in > INT32_MAX || l->out == 0 || l->in == 0) return false;
    const int64_t quads = (l->out + LT_SPARSE_BLOCK - 1) / LT_SPARSE_BLOCK;
    const double most = (double)quads * (double)l->in * (100 - least_percent(kn, l)) / 100;
    int64_t left = 0;
    for (int64_t j = 0; j < l->out && (double)left <= most; j += LT_SPARSE_BLOCK) left += blocks_left(l, w, j); /* few rows tell of weights that are not */
    return (double)left <= most;
}

bool lt_sparse_prepare(lt_ctx *cx, lt_linear *l, const void *w, const float *scale)
{
    const lt_kernels *kn = lt_kernels_of(cx, l->dtype);
    const lt_sparse_id id = l->kind == &lt_linear_int8 ? LT_SPARSE_INT8 : l->kind == &lt_linear_bf16 ? LT_SPARSE_BF16 : LT_SPARSE_F32;
    const lt_sparse *sparse = kn->sparse[id];
    l->packed = lt_new(cx, (int64_t)sparse->packed_bytes(l->out, l->in, w), 1);
    if (!l->packed) return false;
    sparse->pack(l->out, l->in, w, scale, l->packed);
    lt_param_drop(&l->weight);
    l->kind = id == LT_SPARSE_INT8 ? &lt_linear_sparse_int8 : id == LT_SPARSE_BF16 ? &lt_linear_sparse_bf16 : l->kind == &lt_linear_int4 ? &lt_linear_sparse_int4 : &lt_linear_sparse;
    l->packed_for = kn;
    l->ready = true;
    return true;
}

static lt_tensor *run(lt_ctx *cx, const lt_linear *l, lt_sparse_id id, lt_tensor *x, const lt_epilogue *e)
{
    const lt_kernels *kn = lt_kernels_of(cx, l->dtype);
    if (kn != l->packed_for)
        return kn ? lt_fail(cx, LT_ERR_USAGE, "the weights were packed for \"%s\", this context runs \"%s\"", l->packed_for->isa, kn->isa) : NULL;
    lt_gemm_epilogue g = {.bias = l->has_bias ? l->bias.value.data : NULL};
    if (e) {
        g.act = e->act;
        g.to_bf16 = e->narrow && id != LT_SPARSE_F32; /* as their dense kinds */
        if (e->residual) {
            g.residual = e->residual->data;
            g.residual_stride = e->residual->stride[0];
        }
    }
    return lt_sparse_run(cx, id, x, &l->coding, l->packed, l->out, &g, e ? e->out : NULL);
}

static lt_tensor *f32_run(lt_ctx *cx, const lt_linear *l, lt_tensor *x, const lt_epilogue *e) { return run(cx, l, LT_SPARSE_F32, x, e); }
static lt_tensor *int8_run(lt_ctx *cx, const lt_linear *l, lt_tensor *x, const lt_epilogue *e) { return run(cx, l, LT_SPARSE_INT8, x, e); }
static lt_tensor *bf16_run(lt_ctx *cx, const lt_linear *l, lt_tensor *x, const lt_epilogue *e) { return run(cx, l, LT_SPARSE_BF16, x, e); }
static lt_tensor *f32_turn(lt_ctx *cx, const lt_linear *l, lt_tensor *x) { return lt_turn_rows(cx, LT_SPARSE_F32, x, NULL); }
static lt_tensor *int8_turn(lt_ctx *cx, const lt_linear *l, lt_tensor *x) { return lt_turn_rows(cx, LT_SPARSE_INT8, x, &l->coding); }
static lt_tensor *bf16_turn(lt_ctx *cx, const lt_linear *l, lt_tensor *x) { return lt_turn_rows(cx, LT_SPARSE_BF16, x, NULL); }

static bool f32_declare(lt_linear *l, lt_decl *d) { return lt_linear_dense.declare(l, d); }
static bool int8_declare(lt_linear *l, lt_decl *d) { return lt_linear_int8.declare(l, d); }
static bool bf16_declare(lt_linear *l, lt_decl *d) { return lt_linear_bf16.declare(l, d); }
static lt_tensor *f32_forward(lt_ctx *cx, const lt_linear *l, lt_tensor *x) { return lt_linear_dense.forward(cx, l, x); }

static bool f32_rows(lt_ctx *cx, const lt_linear *l, const int32_t *ids, int64_t n, void *out)
{
    for (int64_t i = 0; i < n; i++) l->packed_for->sparse[LT_SPARSE_F32]->unpack_row(l->in, l->packed, ids[i], (float *)out + i * l->in);
    return true;
}
static bool int8_rows(lt_ctx *cx, const lt_linear *l, const int32_t *ids, int64_t n, void *out) { return lt_linear_int8.rows(cx, l, ids, n, out); }

static bool f32_prepare(lt_ctx *cx, lt_linear *l) { return lt_linear_dense.prepare(cx, l); }
static bool int4_declare(lt_linear *l, lt_decl *d) { return lt_linear_int4.declare(l, d); }
static bool int4_prepare(lt_ctx *cx, lt_linear *l) { return lt_linear_int4.prepare(cx, l); }
static bool bf16_prepare(lt_ctx *cx, lt_linear *l) { return lt_linear_bf16.prepare(cx, l); }
static bool int8_prepare(lt_ctx *cx, lt_linear *l) { return lt_linear_int8.prepare(cx, l); }
static void f32_release(lt_linear *l) { lt_linear_dense.release(l); }

#define PAPER "Shen et al. 2023, arXiv 2306.16601"
const lt_linear_kind lt_linear_sparse = {
    .is = {"linear", "sparse", "dense weights of which 70 % of the blocks of 4 outputs are zero", PAPER},
    .declare = f32_declare,
    .forward = f32_forward,
    .run = f32_run,
    .encode = f32_turn,
    .rows = f32_rows,
    .prepare = f32_prepare,
    .release = f32_release,
};
const lt_linear_kind lt_linear_sparse_bf16 = {
    .is = {"linear", "sparse_bf16", "bf16 weights of which 70 % of the blocks of 4 outputs are zero", PAPER},
    .declare = bf16_declare,
    .run = bf16_run,
    .encode = bf16_turn,
    .reads_bf16 = true,
    .prepare = bf16_prepare,
    .release = lt_few_release,
};
const lt_linear_kind lt_linear_sparse_int4 = {
    .is = {"linear", "sparse_int4", "int4 weights of which 90 % of the blocks of 4 outputs are zero, run as floats", PAPER},
    .declare = int4_declare,
    .run = f32_run,
    .encode = f32_turn,
    .rows = f32_rows,
    .prepare = int4_prepare,
    .release = lt_few_release,
};
const lt_linear_kind lt_linear_sparse_int8 = {
    .is = {"linear", "sparse_int8", "int8 weights of which 70 % of the blocks of 4 outputs are zero", PAPER},
    .declare = int8_declare,
    .run = int8_run,
    .encode = int8_turn,
    .reads_bf16 = true,
    .rows = int8_rows,
    .prepare = int8_prepare,
    .release = lt_few_release,
};
