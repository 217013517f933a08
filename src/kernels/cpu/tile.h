/* The one loop in which products are made: a tile of rows × vectors of columns stays in registers while k runs, each element a chain
 * of multiply-adds a block of k, the blocks added in order. All row counts 1 … LT_MR and widths of 1, 2, 4 and 8 vectors exist, so that a
 * matrix is cut evenly and few rows take many columns at once (enough chains to hide the latency of an addition). */
#ifndef LATHE_KERNELS_TILE_H
#define LATHE_KERNELS_TILE_H

#include <stdbool.h>

#include "kernels/cpu/pack.h"

/* Rows a multiple of 4 KB apart share one set of an 8-way cache, so no more than eight, though registers would hold twelve
 * (Zen 4, 512 rows: 12 × 2 reaches 94 % of peak and 86 % at k = 1024; 8 × 2 reaches 98 % and 95 %). */
#if LT_VREGS == 32
#define LT_ACCUMULATORS 24
#define LT_MR 8
#else
#define LT_ACCUMULATORS 12
#define LT_MR 6
#endif
#define LT_WIDEST 8

typedef struct tile_args {
    int64_t k;
    int64_t block;  /* so many k make a chain; 0: all of them */
    const float *a; /* rows a_stride apart */
    int64_t a_stride;
    const float *b; /* packed panels, panel_stride apart */
    int64_t panel_stride;
    float *c; /* rows c_stride apart */
    int64_t c_stride;
    const float *bias;     /* NULL: none; else one row */
    const float *residual; /* NULL: none; else rows residual_stride apart */
    int64_t residual_stride;
    float scale;        /* of the product, before the bias */
    bool go_on;         /* the first chains continue from what is in c */
    const float *ahead; /* what is to be called into L2 meanwhile, … */
    int ahead_halves;   /* … in halves of what is read of b: 0, 1 or 2 */
} tile_args;

/* In what follows R rows and W vectors are constants; acc[r * W + v]. */
LT_INLINE void tile_store(const int R, const int W, vf acc[LT_ACCUMULATORS], const tile_args *t)
{
    if (t->scale != 1.0f) {
        LT_UNROLL
        for (int i = 0; i < R * W; i++) acc[i] *= t->scale;
    }
    if (t->bias) {
        LT_UNROLL
        for (int i = 0; i < R * W; i++) acc[i] += v_load(t->bias + i % W * LT_LANES);
    }
    if (t->residual) {
        LT_UNROLL
        for (int i = 0; i < R * W; i++) acc[i] += v_load(t->residual + i / W * t->residual_stride + i % W * LT_LANES);
    }
    float *c = t->c;
    const int64_t stride = t->c_stride;
    LT_UNROLL
    for (int i = 0; i < R * W; i++) v_store(c + i / W * stride + i % W * LT_LANES, acc[i]);
}

/* The chains. HALVES of as many bytes as each k reads of b are called into L2: weights then arrive from memory while others are in
 * use, which hardware, seeing one short stream after another, does not do in time. */
LT_INLINE void tile_chains(const int R, const int W, const int HALVES, vf acc[LT_ACCUMULATORS], tile_args *t, int64_t k)
{
    enum { LINE = 16 }; /* floats of a cache line */
    const int step = HALVES * W * LT_LANES / 2;
    const float *a = t->a, *b = t->b, *ahead = t->ahead;
    const int64_t a_stride = t->a_stride, panel = t->panel_stride;
    for (int64_t i = k; i > 0; i--) {
        vf bv[LT_WIDEST];
        LT_UNROLL
        for (int l = 0; l < step; l += LINE) __builtin_prefetch(ahead + l, 0, 2);
        LT_UNROLL
        for (int v = 0; v < W; v++) bv[v] = v_load(b + v / LT_NV * panel + v % LT_NV * LT_LANES);
        LT_UNROLL
        for (int r = 0; r < R; r++) {
            vf av = v_set(a[r * a_stride]);
            LT_UNROLL
            for (int v = 0; v < W; v++) acc[r * W + v] = v_fma(av, bv[v], acc[r * W + v]);
        }
        a++;
        b += LT_NR;
        ahead += step;
    }
    t->a = a;
    t->b = b;
    t->ahead = ahead;
}

LT_INLINE void tile_blocks(const int R, const int W, const int HALVES, vf acc[LT_ACCUMULATORS], const tile_args *given)
{
    tile_args t = *given;
    const int64_t block = t.block ? t.block : t.k;
    tile_chains(R, W, HALVES, acc, &t, t.k < block ? t.k : block);
    for (int64_t left = t.k - block; left > 0; left -= block) {
        vf sum[LT_ACCUMULATORS];
        LT_UNROLL
        for (int i = 0; i < R * W; i++) sum[i] = acc[i];
        LT_UNROLL
        for (int i = 0; i < R * W; i++) acc[i] = v_set(0.0f);
        tile_chains(R, W, HALVES, acc, &t, left < block ? left : block);
        LT_UNROLL
        for (int i = 0; i < R * W; i++) acc[i] = sum[i] + acc[i];
    }
}

LT_INLINE void tile_body(const int R, const int W, const tile_args *t)
{
    vf acc[LT_ACCUMULATORS];
    LT_UNROLL
    for (int i = 0; i < R * W; i++) acc[i] = v_set(0.0f);
    if (t->go_on) {
        LT_UNROLL
        for (int i = 0; i < R * W; i++) acc[i] = v_load(t->c + i / W * t->c_stride + i % W * LT_LANES);
    }
    if (t->ahead_halves == 2)
        tile_blocks(R, W, 2, acc, t);
    else if (t->ahead_halves == 1)
        tile_blocks(R, W, 1, acc, t);
    else
        tile_blocks(R, W, 0, acc, t);
    tile_store(R, W, acc, t);
}

/* clang-format off */
typedef void tile_fn(const tile_args *t);
#define TILE(R, W)                                                                                                               \
    static void tile_##R##_##W(const tile_args *t) { tile_body(R, W, t); }
TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1)
TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2)
TILE(1, 4) TILE(2, 4) TILE(3, 4)
TILE(1, 8)
#if LT_VREGS == 32
TILE(7, 1) TILE(8, 1)
TILE(7, 2) TILE(8, 2)
TILE(4, 4) TILE(5, 4) TILE(6, 4)
TILE(2, 8) TILE(3, 8)
#endif
#undef TILE

static tile_fn *const tiles[][LT_MR] = { /* [log2 width][rows - 1] */
#if LT_VREGS == 32
    {tile_1_1, tile_2_1, tile_3_1, tile_4_1, tile_5_1, tile_6_1, tile_7_1, tile_8_1},
    {tile_1_2, tile_2_2, tile_3_2, tile_4_2, tile_5_2, tile_6_2, tile_7_2, tile_8_2},
    {tile_1_4, tile_2_4, tile_3_4, tile_4_4, tile_5_4, tile_6_4},
    {tile_1_8, tile_2_8, tile_3_8},
#else
    {tile_1_1, tile_2_1, tile_3_1, tile_4_1, tile_5_1, tile_6_1},
    {tile_1_2, tile_2_2, tile_3_2, tile_4_2, tile_5_2, tile_6_2},
    {tile_1_4, tile_2_4, tile_3_4},
    {tile_1_8},
#endif
};
/* clang-format on */

/* How many vectors across to take with so many rows when so many remain: as many as there are accumulators for. */
LT_INLINE int tile_width(int rows, int64_t remaining)
{
    if (rows * 8 <= LT_ACCUMULATORS && remaining >= 8) return 8;
    if (rows * 4 <= LT_ACCUMULATORS && remaining >= 4) return 4;
    return remaining >= 2 ? 2 : 1;
}

LT_INLINE void tile_run(int rows, int width, const tile_args *t) { tiles[__builtin_ctz((unsigned)width)][rows - 1](t); }

/* The i-th of the fewest even parts of at most LT_MR rows begins here. */
LT_INLINE int64_t tile_parts(int64_t m) { return (m + LT_MR - 1) / LT_MR; }
LT_INLINE int64_t tile_start(int64_t m, int64_t i) { return m * i / tile_parts(m); }

#endif
