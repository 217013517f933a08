/* The one loop in which products are made: a tile of rows × vectors of columns stays in registers while k runs, each element a chain
 * of multiply-adds a block of k, the blocks added in order. Operands are words of 32 bits: a float, two bf16, or four bytes. All row counts 1 … LT_MR and widths of 1, 2, 4 and 8 vectors exist, so that a
 * matrix is cut evenly and few rows take many columns at once (enough chains to hide the latency of an addition). */
#ifndef LATHE_KERNELS_TILE_H
#define LATHE_KERNELS_TILE_H

#include <stdbool.h>

#include "kernels/cpu/dot.h"
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
LT_INLINE void tile_chains(const lt_word KIND, const int R, const int W, const int HALVES, vf acc[LT_ACCUMULATORS], tile_args *t, int64_t k)
{
    enum { LINE = 16 }; /* floats of a cache line */
    const int step = (int)v_panel_step(KIND, HALVES * W * LT_LANES / 2);
    const float *a = t->a, *b = t->b, *ahead = t->ahead ? t->ahead : b;
    const int64_t a_stride = t->a_stride, panel = t->panel_stride;
    for (int64_t i = k; i > 0; i--) {
        vf bv[LT_WIDEST];
        LT_UNROLL
        for (int l = 0; l < step; l += LINE) __builtin_prefetch(ahead + l, 0, 2);
        LT_UNROLL
        for (int v = 0; v < W; v++) bv[v] = v_load_weights(KIND, b + v / LT_NV * panel + v_panel_step(KIND, v % LT_NV * LT_LANES));
        LT_UNROLL
        for (int r = 0; r < R; r++) {
            vf av = v_word(a + r * a_stride);
            LT_UNROLL
            for (int v = 0; v < W; v++) acc[r * W + v] = v_dot(KIND, av, bv[v], acc[r * W + v]);
        }
        a++;
        b += v_panel_step(KIND, LT_NR);
        ahead += step;
    }
    t->a = a;
    t->b = b;
    t->ahead = ahead;
}

LT_INLINE void tile_blocks(const lt_word KIND, const int R, const int W, const int HALVES, vf acc[LT_ACCUMULATORS], const tile_args *given)
{
    tile_args t = *given;
    const int64_t block = t.block ? t.block : t.k;
    tile_chains(KIND, R, W, HALVES, acc, &t, t.k < block ? t.k : block);
    if (t.k <= block) return;
    /* What is summed up waits in memory that the compiler cannot see through: kept in registers it would crowd out the accumulators. */
    float room[LT_ACCUMULATORS * LT_LANES] __attribute__((aligned(4 * LT_LANES))), *sum = room;
    for (int64_t left = t.k - block; left > 0; left -= block) {
        __asm__("" : "+r"(sum)::"memory");
        LT_UNROLL
        for (int i = 0; i < R * W; i++) v_store(sum + i * LT_LANES, acc[i]);
        LT_UNROLL
        for (int i = 0; i < R * W; i++) acc[i] = v_set(0.0f);
        tile_chains(KIND, R, W, HALVES, acc, &t, left < block ? left : block);
        __asm__("" : "+r"(sum)::"memory");
        LT_UNROLL
        for (int i = 0; i < R * W; i++) acc[i] = v_load(sum + i * LT_LANES) + acc[i];
    }
}

/* The chains of weights that are decoded, never cut into blocks. */
LT_INLINE void tile_decoded(const lt_word KIND, const int R, const int W, vf acc[LT_ACCUMULATORS], const tile_args *t)
{
    const int values = LT_WORD_VALUES(KIND), head = LT_GROUP_HEAD(KIND), words = LT_GROUP_WORDS(KIND);
    const float *a = t->a, *b = t->b;
    const int64_t a_stride = t->a_stride, panel = t->panel_stride;
#define STEP(I, A)                                                                                                                 \
    do {                                                                                                                           \
        vf bv[LT_WIDEST];                                                                                                          \
        LT_UNROLL                                                                                                                  \
        for (int v = 0; v < W; v++) bv[v] = v_decode(KIND, I, word[v], b + v / LT_NV * panel + v % LT_NV * LT_LANES);              \
        LT_UNROLL                                                                                                                  \
        for (int r = 0; r < R; r++) {                                                                                              \
            vf av = v_set(a[r * a_stride + (A)]);                                                                                  \
            LT_UNROLL                                                                                                              \
            for (int v = 0; v < W; v++) acc[r * W + v] = v_fma(av, bv[v], acc[r * W + v]);                                         \
        }                                                                                                                          \
    } while (0)
    for (int64_t left = t->k; left > 0; b += (head + words) * LT_NR)
        for (int w = 0; w < words && left > 0; w++, left -= values, a += values) {
            vi word[LT_WIDEST];
            LT_UNROLL
            for (int v = 0; v < W; v++) word[v] = v_load_words(b + v / LT_NV * panel + (head + w) * LT_NR + v % LT_NV * LT_LANES);
            if (left >= values) {
                LT_UNROLL
                for (int i = 0; i < values; i++) STEP(i, i);
            } else
                for (int64_t i = 0; i < left; i++) {
                    STEP(0, i);
                    LT_UNROLL
                    for (int v = 0; v < W; v++) word[v] >>= 32 / values;
                }
        }
#undef STEP
}

LT_INLINE void tile_body(const lt_word KIND, const int R, const int W, const tile_args *t)
{
    vf acc[LT_ACCUMULATORS];
    LT_UNROLL
    for (int i = 0; i < R * W; i++) acc[i] = v_set(0.0f);
    if (t->go_on) {
        LT_UNROLL
        for (int i = 0; i < R * W; i++) acc[i] = v_load(t->c + i / W * t->c_stride + i % W * LT_LANES);
    }
    if (LT_CODED(KIND))
        tile_decoded(KIND, R, W, acc, t);
    else if (t->ahead_halves == 2)
        tile_blocks(KIND, R, W, 2, acc, t);
    else if (t->ahead_halves == 1)
        tile_blocks(KIND, R, W, 1, acc, t);
    else
        tile_blocks(KIND, R, W, 0, acc, t);
    tile_store(R, W, acc, t);
}

/* clang-format off */
typedef void tile_fn(const tile_args *t);
#define TILE(K, R, W) static void tile_##K##_##R##_##W(const tile_args *t) { tile_body(LT_WORD_##K, R, W, t); }
#if LT_VREGS == 32
#define TILES_WIDE(K)                                                                                                              \
    TILE(K, 7, 1) TILE(K, 8, 1) TILE(K, 7, 2) TILE(K, 8, 2) TILE(K, 4, 4) TILE(K, 5, 4) TILE(K, 6, 4) TILE(K, 2, 8) TILE(K, 3, 8)
#define ROW(K, W, ...) {tile_##K##_1_##W, tile_##K##_2_##W, tile_##K##_3_##W, __VA_ARGS__}
#define TABLE(K)                                                                                                                   \
    ROW(K, 1, tile_##K##_4_1, tile_##K##_5_1, tile_##K##_6_1, tile_##K##_7_1, tile_##K##_8_1),                                     \
    ROW(K, 2, tile_##K##_4_2, tile_##K##_5_2, tile_##K##_6_2, tile_##K##_7_2, tile_##K##_8_2),                                     \
    ROW(K, 4, tile_##K##_4_4, tile_##K##_5_4, tile_##K##_6_4), ROW(K, 8, NULL)
#else
#define TILES_WIDE(K)
#define TABLE(K)                                                                                                                   \
    {tile_##K##_1_1, tile_##K##_2_1, tile_##K##_3_1, tile_##K##_4_1, tile_##K##_5_1, tile_##K##_6_1},                              \
    {tile_##K##_1_2, tile_##K##_2_2, tile_##K##_3_2, tile_##K##_4_2, tile_##K##_5_2, tile_##K##_6_2},                              \
    {tile_##K##_1_4, tile_##K##_2_4, tile_##K##_3_4}, {tile_##K##_1_8}
#endif
/* All tiles of words of kind K, and the table of them, [log2 width][rows - 1]. */
#define TILES(K)                                                                                                                   \
    TILE(K, 1, 1) TILE(K, 2, 1) TILE(K, 3, 1) TILE(K, 4, 1) TILE(K, 5, 1) TILE(K, 6, 1)                                            \
    TILE(K, 1, 2) TILE(K, 2, 2) TILE(K, 3, 2) TILE(K, 4, 2) TILE(K, 5, 2) TILE(K, 6, 2)                                            \
    TILE(K, 1, 4) TILE(K, 2, 4) TILE(K, 3, 4) TILE(K, 1, 8) TILES_WIDE(K)                                                          \
    static tile_fn *const tiles_##K[][LT_MR] = {TABLE(K)};

TILES(F32)
TILES(INT8)

/* Those of decoded kinds, of whole panels: [width 2 or 4][rows - 1]. */
#if LT_VREGS == 32
#define DECODED_MORE(K) TILE(K, 7, 2) TILE(K, 8, 2) TILE(K, 3, 4) TILE(K, 4, 4)
#define DECODED_TABLE(K) ROW(K, 2, tile_##K##_4_2, tile_##K##_5_2, tile_##K##_6_2, tile_##K##_7_2, tile_##K##_8_2), ROW(K, 4, tile_##K##_4_4)
#else
#define DECODED_MORE(K)
#define DECODED_TABLE(K)                                                                                                           \
    {tile_##K##_1_2, tile_##K##_2_2, tile_##K##_3_2, tile_##K##_4_2, tile_##K##_5_2, tile_##K##_6_2}, {tile_##K##_1_4, tile_##K##_2_4}
#endif
#define DECODED_TILES(K)                                                                                                           \
    TILE(K, 1, 2) TILE(K, 2, 2) TILE(K, 3, 2) TILE(K, 4, 2) TILE(K, 5, 2) TILE(K, 6, 2) TILE(K, 1, 4) TILE(K, 2, 4)                \
    DECODED_MORE(K) static tile_fn *const tiles_##K[][LT_MR] = {DECODED_TABLE(K)};

DECODED_TILES(INT4)
#if LT_HAS_BF16
TILES(BF16)
#else
DECODED_TILES(PAIR)
#endif
/* clang-format on */

/* How many vectors across to take with so many rows when so many remain: as many as there are accumulators for. Compilers spill them in tiles
 * of more than sixteen whose instructions are assembly. */
LT_INLINE int tile_width(const lt_word KIND, int rows, int64_t remaining)
{
    const int most = KIND == LT_WORD_F32 || LT_ACCUMULATORS < 16 ? LT_ACCUMULATORS : 16;
    if (LT_CODED(KIND)) return rows * 4 <= LT_VREGS / 2 && remaining > 2 ? 4 : 2;
    if (rows * 8 <= most && remaining >= 8) return 8;
    if (rows * 4 <= most && remaining >= 4) return 4;
    return remaining >= 2 ? 2 : 1;
}

LT_INLINE void tile_run(const lt_word KIND, int rows, int width, const tile_args *t)
{
    const int w = __builtin_ctz((unsigned)width);
    switch (KIND) {
    case LT_WORD_INT8:
        tiles_INT8[w][rows - 1](t);
        break;
    case LT_WORD_INT4:
        tiles_INT4[w - 1][rows - 1](t);
        break;
#if LT_HAS_BF16
    case LT_WORD_BF16:
        tiles_BF16[w][rows - 1](t);
        break;
#else
    case LT_WORD_PAIR:
        tiles_PAIR[w - 1][rows - 1](t);
        break;
#endif
    default:
        tiles_F32[w][rows - 1](t);
    }
}

/* The i-th of the fewest even parts of at most LT_MR rows begins here. Six of those whose instructions are assembly: at eight, compilers run
 * out of registers for addresses (Zen 4, bf16: 6 × 2 reaches 97 % of peak and 8 × 2 90 %). */
LT_INLINE int64_t tile_parts(const lt_word KIND, int64_t m)
{
    const int most = KIND == LT_WORD_F32 || LT_MR < 6 ? LT_MR : 6;
    return (m + most - 1) / most;
}
LT_INLINE int tile_tallest(const lt_word KIND, int64_t m) { return m ? (int)((m + tile_parts(KIND, m) - 1) / tile_parts(KIND, m)) : 0; }
LT_INLINE int64_t tile_start(const lt_word KIND, int64_t m, int64_t i) { return m * i / tile_parts(KIND, m); }

#endif
