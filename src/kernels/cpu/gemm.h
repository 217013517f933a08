/* A product with packed weights: panels outside, tiles of rows inside, so that a panel is read from memory once and stays in cache.
 * What follows the product happens while the tile is in registers, or, for activations and ragged right edges, in a
 * buffer of a tile's size in L1. */
#ifndef LATHE_KERNELS_GEMM_H
#define LATHE_KERNELS_GEMM_H

#include "kernels/cpu/finish.h"
#include "kernels/tables.h"

/* Columns j … of the result (at most `width` vectors), all rows. */
static void gemm_columns(int64_t m, int64_t cols, int64_t j, int width, tile_args t, const lt_gemm_epilogue *e)
{
    const int64_t span = (int64_t)width * LT_LANES, parts = tile_parts(LT_WORD_F32, m), c_stride = t.c_stride;
    const float *a = t.a;
    float *c = t.c, room[LT_ACCUMULATORS * LT_LANES] __attribute__((aligned(4 * LT_LANES)));
    const bool direct = e->act == LT_ACT_NONE && cols >= span;
    /* The first tiles call the next panels into L2: one tile all of them, if it is the only one, else two a half each. The widest
     * tiles read so many streams that hardware keeps up by itself. */
    const int halves = width == LT_WIDEST ? 0 : parts == 1 ? 2 : 1;
    for (int64_t i = 0; i < parts; i++) {
        const int64_t r = tile_start(LT_WORD_F32, m, i);
        const int rows = (int)(tile_start(LT_WORD_F32, m, i + 1) - r);
        sums s = {.tile = room, .tile_stride = span};
        sums_place(&s, r, j, cols < span ? cols : span, c, c_stride, e);
        t.a = a + r * t.a_stride;
        t.ahead = t.b + span * t.k * (2 + i) / 2;
        t.ahead_halves = i < 2 ? halves : 0;
        t.c = direct ? s.c : room;
        t.c_stride = direct ? c_stride : span;
        t.bias = direct ? s.bias : NULL;
        t.residual = direct ? s.residual : NULL;
        t.residual_stride = s.residual_stride;
        tile_run(LT_WORD_F32, rows, width, &t);
        if (!direct) finish_floats(e, rows, &s);
    }
}

static void gemm(int64_t m, int64_t n, int64_t k, const void *a, int64_t a_stride, const void *packed, void *c, int64_t c_stride,
                 const lt_gemm_epilogue *e)
{
    const int64_t vectors = (n + LT_LANES - 1) / LT_LANES;
    const int tallest = tile_tallest(LT_WORD_F32, m);
    for (int64_t v = 0, width; m > 0 && v < vectors; v += width) {
        width = tile_width(LT_WORD_F32, tallest, vectors - v);
        tile_args t = {.k = k,
                       .block = LT_CHAIN,
                       .a = a,
                       .a_stride = a_stride,
                       .b = (const float *)packed + v / LT_NV * LT_NR * k,
                       .panel_stride = LT_NR * k,
                       .c = c,
                       .c_stride = c_stride,
                       .scale = 1.0f};
        gemm_columns(m, n - v * LT_LANES, v * LT_LANES, (int)width, t, e ? e : &no_epilogue);
    }
}

#endif
