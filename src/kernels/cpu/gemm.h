/* A product with packed weights: panels outside, tiles of rows inside, so that a panel is read from memory once and stays in cache.
 * What follows the product happens while the tile is in registers, or, for activations and ragged right edges, in a
 * buffer of a tile's size in L1. */
#ifndef LATHE_KERNELS_GEMM_H
#define LATHE_KERNELS_GEMM_H

#include "kernels/cpu/act.h"
#include "kernels/cpu/tile.h"
#include "kernels/tables.h"

/* A tile's product, on its way to rows of c: + bias, activation, + residual, each rounded. */
typedef struct finish_args {
    const float *tile;
    int64_t tile_stride, cols;
    const float *bias, *residual;
    int64_t residual_stride;
    float *c;
    int64_t c_stride;
} finish_args;

LT_INLINE void finish_loop(lt_act act, int rows, const finish_args *f)
{
    const vf zero = v_set(0.0f);
    for (int r = 0; r < rows; r++) {
        const float *x = f->tile + r * f->tile_stride, *z = f->residual ? f->residual + r * f->residual_stride : NULL;
        float *c = f->c + r * f->c_stride;
        int64_t j = 0;
        for (; j + LT_LANES <= f->cols; j += LT_LANES) {
            vf y = v_load(x + j);
            if (f->bias) y += v_load(f->bias + j);
            y = v_act(act, y);
            if (z) y += v_load(z + j);
            v_store(c + j, y);
        }
        int64_t left = f->cols - j;
        if (left == 0) continue;
        vf y = v_load(x + j);
        if (f->bias) y += v_load_n(f->bias + j, left, zero);
        y = v_act(act, y);
        if (z) y += v_load_n(z + j, left, zero);
        v_store_n(c + j, left, y);
    }
}

static void finish(lt_act act, int rows, const finish_args *f)
{
#define CALL(A) finish_loop(A, rows, f)
    V_EACH_ACT(act, CALL)
#undef CALL
}

/* Columns j … of the result (at most `width` vectors), all rows. */
static void gemm_columns(int64_t m, int64_t cols, int64_t j, int width, tile_args t, const lt_gemm_epilogue *e)
{
    const float *a = t.a, *bias = e && e->bias ? (const float *)e->bias + j : NULL;
    const float *residual = e && e->residual ? (const float *)e->residual + j : NULL;
    const int64_t residual_stride = residual ? e->residual_stride : 0;
    const lt_act act = e ? e->act : LT_ACT_NONE;
    float *c = t.c + j, room[LT_ACCUMULATORS * LT_LANES] __attribute__((aligned(4 * LT_LANES)));
    const bool direct = act == LT_ACT_NONE && cols >= (int64_t)width * LT_LANES;
    const int64_t c_stride = t.c_stride;
    t.residual_stride = residual_stride;
    /* The first tiles call the next panels into L2: one tile all of them, if it is the only one, else two a half each. The widest
     * tiles read so many streams that hardware keeps up by itself. */
    const int halves = width == LT_WIDEST ? 0 : tile_parts(LT_WORD_F32, m) == 1 ? 2 : 1;
    for (int64_t i = 0, end; i < tile_parts(LT_WORD_F32, m); i++) {
        const int64_t r = tile_start(LT_WORD_F32, m, i);
        end = tile_start(LT_WORD_F32, m, i + 1);
        t.a = a + r * t.a_stride;
        t.ahead = t.b + width * LT_LANES * t.k * (2 + i) / 2;
        t.ahead_halves = i < 2 ? halves : 0;
        t.c = direct ? c + r * c_stride : room;
        t.c_stride = direct ? c_stride : width * LT_LANES;
        t.bias = direct ? bias : NULL;
        t.residual = direct && residual ? residual + r * residual_stride : NULL;
        tile_run(LT_WORD_F32, (int)(end - r), width, &t);
        if (direct) continue;
        finish_args f = {room,
                         width * LT_LANES,
                         cols < width * LT_LANES ? cols : width * LT_LANES,
                         bias,
                         residual ? residual + r * residual_stride : NULL,
                         residual_stride,
                         c + r * c_stride,
                         c_stride};
        finish(act, (int)(end - r), &f);
    }
}

static void gemm(int64_t m, int64_t n, int64_t k, const void *a, int64_t a_stride, const void *packed, void *c, int64_t c_stride,
                 const lt_gemm_epilogue *e)
{
    const int64_t vectors = (n + LT_LANES - 1) / LT_LANES;
    const int tallest = (int)((m + tile_parts(LT_WORD_F32, m) - 1) / (m ? tile_parts(LT_WORD_F32, m) : 1));
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
        gemm_columns(m, n - v * LT_LANES, v * LT_LANES, (int)width, t, e);
    }
}

#endif
