/* Panels: LT_NR columns side by side, k after k, so that a product reads its second operand as one stream. */
#ifndef LATHE_KERNELS_PACK_H
#define LATHE_KERNELS_PACK_H

#include "kernels/cpu/vec.h"

#define LT_NV 2                  /* vectors across a panel */
#define LT_NR (LT_NV * LT_LANES) /* columns of a panel */

/* LT_LANES rows of b become LT_LANES columns: a square at a time, transposed in registers. */
static void pack_transposed(int64_t cols, int64_t k, const float *b, int64_t stride, float *out)
{
    const vf zero = v_set(0.0f);
    for (int64_t i = 0; i < k; i += LT_LANES) {
        int64_t depth = k - i < LT_LANES ? k - i : LT_LANES;
        vf x[LT_LANES];
        LT_UNROLL
        for (int j = 0; j < LT_LANES; j++)
            x[j] = j >= cols ? zero : depth == LT_LANES ? v_load(b + j * stride + i) : v_load_n(b + j * stride + i, depth, zero);
        v_transpose(x);
        LT_UNROLL
        for (int j = 0; j < LT_LANES; j++)
            if (j < depth) v_store(out + (i + j) * LT_NR, x[j]);
    }
}

/* Rows of b are rows of the panel. */
static void pack_copied(int64_t cols, int64_t k, const float *b, int64_t stride, float *out)
{
    const vf zero = v_set(0.0f);
    for (int64_t i = 0; i < k; i++)
        v_store(out + i * LT_NR, cols >= LT_LANES ? v_load(b + i * stride) : cols > 0 ? v_load_n(b + i * stride, cols, zero) : zero);
}

static void pack_strided(int64_t cols, int64_t k, const float *b, int64_t stride_n, int64_t stride_k, float *out)
{
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < LT_LANES; j++) out[i * LT_NR + j] = j < cols ? b[j * stride_n + i * stride_k] : 0.0f;
}

/* Panels stand panel_stride elements apart, at least LT_NR * k. */
static void pack_panels(int64_t n, int64_t k, const float *b, int64_t stride_n, int64_t stride_k, float *out, int64_t panel_stride)
{
    for (int64_t j = 0; j < n; j += LT_NR)
        for (int64_t v = 0; v < LT_NV; v++) {
            int64_t first = j + v * LT_LANES, cols = first < n ? n - first : 0;
            float *o = out + j / LT_NR * panel_stride + v * LT_LANES;
            const float *from = cols ? b + first * stride_n : b;
            if (stride_k == 1) pack_transposed(cols, k, from, stride_n, o);
            else if (stride_n == 1) pack_copied(cols, k, from, stride_k, o);
            else pack_strided(cols, k, from, stride_n, stride_k, o);
        }
}

static void pack(int64_t n, int64_t k, const void *b, int64_t stride_n, int64_t stride_k, void *packed)
{
    pack_panels(n, k, b, stride_n, stride_k, packed, LT_NR * k);
}

static void unpack_row(int64_t k, const void *packed, int64_t j, void *out)
{
    const float *p = (const float *)packed + j / LT_NR * LT_NR * k + j % LT_NR;
    for (int64_t i = 0; i < k; i++) ((float *)out)[i] = p[i * LT_NR];
}

#endif
