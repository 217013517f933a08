/* The reference of products with block-sparse weights: weights stay dense, and blocks of zeros are found while multiplying. int8, whose
 * sums are exact, is the reference of the dense product. */
#include <math.h>
#include <string.h>

#include "kernels/tables.h"

enum { BLOCK = LT_SPARSE_BLOCK };

static size_t turned_bytes(int64_t m, int64_t k) { return 0; }
static void turn(int64_t first, int64_t m, int64_t k, const lt_coded_rows *a) {}

/* ---- f32 ---- */

static int64_t padded(int64_t n) { return (n + LT_REF_NR - 1) / LT_REF_NR * LT_REF_NR; }
static size_t f32_bytes(int64_t n, int64_t k, const void *w) { return (size_t)(padded(n) * k) * sizeof(float); }

static void f32_pack(int64_t n, int64_t k, const void *w, const float *scale, void *packed)
{
    memcpy(packed, w, (size_t)(n * k) * sizeof(float));
    memset((float *)packed + n * k, 0, (size_t)((padded(n) - n) * k) * sizeof(float));
}

static void f32_unpack_row(int64_t k, const void *packed, int64_t j, void *out) { memcpy(out, (const float *)packed + j * k, (size_t)k * sizeof(float)); }

static bool is_left(const float *block, int64_t k)
{
    bool left = false;
    for (int i = 0; i < BLOCK; i++) left = left || block[i * k] != 0;
    return left;
}

static float dot(int64_t k, const float *x, const float *w, int64_t j)
{
    const float *block = w + j / BLOCK * BLOCK * k;
    float sum = 0, chain = 0;
    int64_t blocks = 0;
    for (int64_t i = 0; i < k; i++) {
        if (!is_left(block + i, k)) continue;
        if (blocks && blocks % LT_CHAIN == 0) {
            sum = blocks == LT_CHAIN ? chain : sum + chain;
            chain = 0;
        }
        chain = fmaf(x[i], w[j * k + i], chain);
        blocks++;
    }
    return blocks > LT_CHAIN ? sum + chain : chain;
}

static void finish(float y, int64_t i, int64_t j, void *c, int64_t c_stride, const lt_gemm_epilogue *e)
{
    if (e && e->bias) y += ((const float *)e->bias)[j];
    if (e) lt_kernels_ref_float.act(e->act, 1, &y, &y);
    if (e && e->residual) y += ((const float *)e->residual)[i * e->residual_stride + j];
    if (e && e->to_bf16) lt_f32_to_bf16(1, &y, (uint16_t *)c + i * c_stride + j);
    else ((float *)c)[i * c_stride + j] = y;
}

static void f32_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, int64_t column, void *c, int64_t c_stride,
                     const lt_gemm_epilogue *e)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            finish(dot(k, (const float *)((const char *)a->data + (first + i) * a->stride), packed, column + j), i, j, c, c_stride, e);
}

/* ---- bf16 ---- */

static void bf16_pack(int64_t n, int64_t k, const void *w, const float *scale, void *packed)
{
    f32_pack(n, k, w, scale, packed);
    lt_round_to_bf16(n * k, packed, packed);
}

static float bf16_dot(int64_t k, const char *x, const float *w, int64_t j)
{
    double sum = 0;
    for (int64_t i = 0; i < k; i++) {
        float xi;
        if (!is_left(w + j / BLOCK * BLOCK * k + i, k)) continue;
        lt_bf16_to_f32(1, x + 2 * i, &xi);
        sum += (double)xi * (double)w[j * k + i];
    }
    return (float)sum;
}

static void bf16_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, int64_t column, void *c, int64_t c_stride,
                      const lt_gemm_epilogue *e)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            finish(bf16_dot(k, (const char *)a->data + (first + i) * a->stride, packed, column + j), i, j, c, c_stride, e);
}

/* ---- int8 ---- */

static size_t int8_bytes(int64_t n, int64_t k, const void *w) { return (size_t)(padded(n) / LT_REF_NR) * lt_product_ref_int8.panel_bytes(k); }

static void int8_pack(int64_t n, int64_t k, const void *w, const float *scale, void *packed) { lt_product_ref_int8.pack(n, k, w, scale, packed); }

static void int8_unpack_row(int64_t k, const void *packed, int64_t j, void *out)
{
    for (int64_t i = 0; i < k; i++) ((int8_t *)out)[i] = (int8_t)((const float *)packed)[j * (k + 1) + 1 + i];
}

static void int8_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, int64_t column, void *c, int64_t c_stride,
                      const lt_gemm_epilogue *e)
{
    lt_product_ref_int8.gemm(m, n, k, a, first, (const char *)packed + (size_t)(column / LT_REF_NR) * lt_product_ref_int8.panel_bytes(k), c, c_stride, e);
}

const lt_sparse lt_sparse_ref_f32 = {
    .tokens = 1,
    .turned_bytes = turned_bytes,
    .turn = turn,
    .packed_bytes = f32_bytes,
    .pack = f32_pack,
    .unpack_row = f32_unpack_row,
    .gemm = f32_gemm,
};
const lt_sparse lt_sparse_ref_int8 = {
    .tokens = 1,
    .turned_bytes = turned_bytes,
    .turn = turn,
    .packed_bytes = int8_bytes,
    .pack = int8_pack,
    .unpack_row = int8_unpack_row,
    .gemm = int8_gemm,
};
const lt_sparse lt_sparse_ref_bf16 = {
    .tokens = 1,
    .turned_bytes = turned_bytes,
    .turn = turn,
    .packed_bytes = f32_bytes,
    .pack = bf16_pack,
    .unpack_row = f32_unpack_row,
    .gemm = bf16_gemm,
};
