/* Panels: LT_NR columns side by side, k after k, so that a product reads its second operand as one stream. */
#ifndef LATHE_KERNELS_PACK_H
#define LATHE_KERNELS_PACK_H

#include "kernels/cpu/vec.h"

#define LT_NV 2                  /* vectors across a panel */
#define LT_NR (LT_NV * LT_LANES) /* columns of a panel */

/* A vector of which `cols` elements, if any, exist; the others are zero. */
LT_INLINE vf pack_load(const float *b, int64_t cols)
{
    return cols >= LT_LANES ? v_load(b) : cols > 0 ? v_load_n(b, cols, v_set(0.0f)) : v_set(0.0f);
}

/* LT_LANES rows of b become LT_LANES columns: a square at a time, transposed in registers. Rows may lie in a page each, where no
 * hardware looks ahead, so the next square's rows are asked for by hand. */
static void pack_transposed(int64_t cols, int64_t k, const float *b, int64_t stride, float *out)
{
    for (int64_t i = 0; i < k; i += LT_LANES) {
        const int64_t depth = k - i < LT_LANES ? k - i : LT_LANES;
        vf x[LT_LANES];
        LT_UNROLL
        for (int j = 0; j < LT_LANES; j++) {
            x[j] = j < cols ? pack_load(b + j * stride + i, depth) : v_set(0.0f);
            __builtin_prefetch(b + (j + LT_LANES) * stride + i);
        }
        v_transpose(x);
        LT_UNROLL
        for (int j = 0; j < LT_LANES; j++)
            if (j < depth) v_store(out + (i + j) * LT_NR, x[j]);
    }
}

/* Where a column of vector j starts in panels that stand panel_stride apart. */
LT_INLINE int64_t pack_place(int64_t j, int64_t panel_stride) { return j / LT_NR * panel_stride + j % LT_NR; }

/* Panels stand panel_stride elements apart. Whole vectors of columns are written, as far as column `end`. */
static void pack_panels(int64_t n, int64_t end, int64_t k, const float *b, int64_t stride_n, int64_t stride_k, float *out,
                        int64_t panel_stride)
{
    if (stride_k == 1) { /* rows of b are columns */
        for (int64_t j = 0; j < end; j += LT_LANES)
            pack_transposed(n - j, k, j < n ? b + j * stride_n : b, stride_n, out + pack_place(j, panel_stride));
    } else if (stride_n == 1) { /* rows of b are rows */
        for (int64_t i = 0; i < k; i++) {
            __builtin_prefetch(b + (i + 8) * stride_k);
            for (int64_t j = 0; j < end; j += LT_LANES)
                v_store(out + pack_place(j, panel_stride) + i * LT_NR, pack_load(b + i * stride_k + (j < n ? j : 0), n - j));
        }
    } else {
        for (int64_t j = 0; j < end; j++)
            for (int64_t i = 0; i < k; i++)
                out[pack_place(j, panel_stride) + i * LT_NR] = j < n ? b[j * stride_n + i * stride_k] : 0.0f;
    }
}

static void pack(int64_t n, int64_t k, const void *b, int64_t stride_n, int64_t stride_k, void *packed)
{
    pack_panels(n, (n + LT_NR - 1) / LT_NR * LT_NR, k, b, stride_n, stride_k, packed, LT_NR * k);
}

static void unpack_row(int64_t k, const void *packed, int64_t j, void *out)
{
    const float *p = (const float *)packed + j / LT_NR * LT_NR * k + j % LT_NR;
    for (int64_t i = 0; i < k; i++) ((float *)out)[i] = p[i * LT_NR];
}

#endif
