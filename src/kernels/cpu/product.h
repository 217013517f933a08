/* Products with weights of fewer bits, over the same panels and tiles as f32: only what a word of 32 bits holds differs. A tile's sums
 * pass through a buffer in L1, where they become floats and all that follows the product happens. Weights that the machine cannot
 * multiply as they are stored (int4; bf16 without its units) are decoded to floats: in registers for few rows, else a block of k of one
 * panel at a time, for all rows. */
#ifndef LATHE_KERNELS_PRODUCT_H
#define LATHE_KERNELS_PRODUCT_H

#include "kernels/cpu/finish.h"

/* ---- words as they are stored ---- */

/* Panels of `words` words a column, each met by one of k words of a row, behind `head` words of what belongs to the column. */
LT_INLINE void words_gemm(const lt_word KIND, int64_t m, int64_t n, int64_t k, int64_t words, int64_t head, const lt_coded_rows *a, int64_t first, const float *packed,
                          void *c, int64_t c_stride, const lt_gemm_epilogue *e)
{
    const int64_t vectors = (n + LT_LANES - 1) / LT_LANES, parts = tile_parts(KIND, m), panel = v_panel_step(KIND, words * LT_NR) + head * LT_NR;
    float room[LT_ACCUMULATORS * LT_LANES] __attribute__((aligned(4 * LT_LANES)));
    const int tallest = tile_tallest(KIND, m);
    for (int64_t v = 0, width; m > 0 && v < vectors; v += width) {
        width = tile_width(KIND, tallest, vectors - v);
        const float *columns = packed + v / LT_NV * panel;
        const int64_t left = n - v * LT_LANES, span = width * LT_LANES;
        tile_args t = {.k = k, .a_stride = a->stride / 4, .b = columns + head * LT_NR, .panel_stride = panel, .c = room, .c_stride = span, .scale = 1.0f};
        const int halves = width == LT_WIDEST ? 0 : parts == 1 ? 2 : 1;
        for (int64_t i = 0; i < parts; i++) {
            const int64_t r = tile_start(KIND, m, i);
            const int rows = (int)(tile_start(KIND, m, i + 1) - r);
            t.a = (const float *)((const char *)a->data + (first + r) * a->stride);
            t.ahead = t.b + v_panel_step(KIND, span * words) * (2 + i) / 2;
            t.ahead_halves = i < 2 ? halves : 0;
            tile_run(KIND, rows, (int)width, &t);
            for (int64_t p = 0; p < span && p < left; p += LT_NR) {
                sums s = {.tile = room + p, .tile_stride = span};
                sums_place(&s, r, v * LT_LANES + p, left - p < LT_NR ? left - p : span < LT_NR ? span : LT_NR, c, c_stride, e);
                if (KIND == LT_WORD_INT8) {
                    s.code = a->code + first + r;
                    s.outlier = a->outlier;
                    s.scale = columns + p / LT_NR * panel;
                    s.words = s.scale + head * LT_NR;
                    finish_codes(e, rows, &s);
                } else
                    finish_floats(e, rows, &s);
            }
        }
    }
}

/* ---- int8 ---- */

enum { INT8_HEAD = 2 }; /* the column's scale, and the sum of its weights */

LT_INLINE int64_t int8_words(int64_t k) { return (k + LT_CODES - 1) / LT_CODES; }
static size_t int8_panel_bytes(int64_t k) { return (size_t)(int8_words(k) * LT_CODES + INT8_HEAD * 4) * LT_NR; }

static void int8_pack(int64_t n, int64_t k, const void *w, const float *scale, void *packed)
{
    const int64_t words = int8_words(k), end = (n + LT_NR - 1) / LT_NR * LT_NR;
    for (int64_t j = 0; j < end; j++) {
        char *panel = (char *)packed + (size_t)(j / LT_NR) * int8_panel_bytes(k), *head = panel + j % LT_NR * 4, *out = panel + INT8_HEAD * LT_NR * 4;
        const int8_t *row = (const int8_t *)w + j * k;
        int32_t sum = 0;
        for (int64_t i = 0; j < n && i < k; i++) sum += row[i];
        const float s = j < n ? scale[j] : 0.0f;
        memcpy(head, &s, sizeof s);
        memcpy(head + LT_NR * 4, &sum, sizeof sum);
        if (LT_CODES == 4 && k % 4 == 0) continue;
        for (int64_t i = 0; i < words; i++) {
            int8_t word[LT_CODES] = {0};
            for (int64_t l = LT_CODES * i; j < n && l < k && l < LT_CODES * (i + 1); l++) word[l % LT_CODES] = row[l];
            memcpy(out + (i * LT_NR + j % LT_NR) * LT_CODES, word, LT_CODES);
        }
    }
    if (LT_CODES == 4 && k % 4 == 0) pack_panels(n, end, words, w, words, 1, (float *)packed + INT8_HEAD * LT_NR, (words + INT8_HEAD) * LT_NR);
}

static void int8_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, void *c, int64_t c_stride,
                      const lt_gemm_epilogue *e)
{
    words_gemm(LT_WORD_INT8, m, n, int8_words(k), int8_words(k), INT8_HEAD, a, first, packed, c, c_stride, e ? e : &no_epilogue);
}

/* ---- weights that are decoded to floats ---- */

enum { DECODE_K = 512, DECODE_ROWS = 256, DECODE_FEW = LT_MR };

LT_INLINE int64_t decoded_words(const lt_word KIND, int64_t k) /* of a column, scales among them */
{
    const int words = LT_GROUP_WORDS(KIND), group = words * LT_WORD_VALUES(KIND);
    return (k + group - 1) / group * (LT_GROUP_HEAD(KIND) + words);
}

/* k0 … k0+k-1 of one panel, from a group's first on, as floats [k][LT_NR]; the last word's all. */
LT_INLINE void decode(const lt_word KIND, int64_t k0, int64_t k, const float *panel, float *out)
{
    const int words = LT_GROUP_WORDS(KIND), values = LT_WORD_VALUES(KIND);
    const float *group = panel + decoded_words(KIND, k0) * LT_NR;
    for (int64_t i = 0; i < k; i += words * values, group += (LT_GROUP_HEAD(KIND) + words) * LT_NR)
        for (int w = 0; w < words && i + w * values < k; w++, out += values * LT_NR)
            for (int64_t j = 0; j < LT_NR; j += LT_LANES) {
                const vi word = v_load_words(group + (LT_GROUP_HEAD(KIND) + w) * LT_NR + j);
                LT_UNROLL
                for (int l = 0; l < values; l++) v_store(out + l * LT_NR + j, v_decode(KIND, l, word, group + j));
            }
}

LT_INLINE void decoded_gemm(const lt_word KIND, int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const float *packed, void *c,
                            int64_t c_stride, const lt_gemm_epilogue *e)
{
    const int64_t words = decoded_words(KIND, k);
    if (m <= DECODE_FEW) {
        words_gemm(KIND, m, n, k, words, 0, a, first, packed, c, c_stride, e);
        return;
    }
    float weights[DECODE_K * LT_NR] __attribute__((aligned(64))), result[DECODE_ROWS * LT_NR] __attribute__((aligned(64)));
    for (int64_t j = 0; j < n; j += LT_NR)
        for (int64_t r0 = 0; r0 < m; r0 += DECODE_ROWS) {
            const int64_t rows = m - r0 < DECODE_ROWS ? m - r0 : DECODE_ROWS, parts = tile_parts(LT_WORD_F32, rows);
            for (int64_t k0 = 0; k0 == 0 || k0 < k; k0 += DECODE_K) {
                const int64_t depth = k - k0 < DECODE_K ? k - k0 : DECODE_K;
                decode(KIND, k0, depth, packed + j * words, weights);
                for (int64_t i = 0; i < parts; i++) {
                    const int64_t r = tile_start(LT_WORD_F32, rows, i);
                    tile_args t = {.k = depth, .a_stride = a->stride / 4, .b = weights, .panel_stride = DECODE_K * LT_NR, .c = result + r * LT_NR,
                                   .c_stride = LT_NR, .scale = 1.0f, .go_on = k0 > 0};
                    t.a = (const float *)((const char *)a->data + (first + r0 + r) * a->stride) + k0;
                    tile_run(LT_WORD_F32, (int)(tile_start(LT_WORD_F32, rows, i + 1) - r), LT_NV, &t);
                }
            }
            sums s = {.tile = result, .tile_stride = LT_NR};
            sums_place(&s, r0, j, n - j < LT_NR ? n - j : LT_NR, c, c_stride, e);
            finish_floats(e, (int)rows, &s);
        }
}

/* ---- bf16 ---- */

LT_INLINE int64_t bf16_words(int64_t k) { return (k + 1) / 2; }
static size_t bf16_panel_bytes(int64_t k) { return (size_t)bf16_words(k) * LT_NR * 4; }

static void bf16_pack(int64_t n, int64_t k, const void *w, const float *scale, void *packed)
{
    enum { DEPTH = 128 };
    const int64_t panel = bf16_words(k) * LT_NR;
    uint16_t rows[LT_LANES * DEPTH] __attribute__((aligned(64)));
    for (int64_t j = 0; j < (n + LT_NR - 1) / LT_NR * LT_NR; j += LT_LANES)
        for (int64_t k0 = 0; k0 < k; k0 += DEPTH) {
            const int64_t depth = k - k0 < DEPTH ? k - k0 : DEPTH, cols = n - j < LT_LANES ? n - j : LT_LANES;
            for (int64_t l = 0; l < cols; l++) {
                row_to_bf16(depth, (const float *)w + (j + l) * k + k0, rows + l * DEPTH);
                if (depth % 2) rows[l * DEPTH + depth] = 0;
            }
            pack_transposed(cols, bf16_words(depth), (const float *)rows, DEPTH / 2, (float *)packed + pack_place(j, panel) + k0 / 2 * LT_NR);
        }
}

#if LT_HAS_BF16
static void bf16_pack_turned(int64_t n, int64_t k, const float *w, int64_t w_stride, void *packed)
{
    const int64_t panel = bf16_words(k) * LT_NR, end = (n + LT_NR - 1) / LT_NR * LT_NR;
    for (int64_t i = 0; i < k; i += 2) {
        __builtin_prefetch(w + (i + 8) * w_stride);
        for (int64_t j = 0; j < end; j += LT_LANES) {
            const float *at = w + i * w_stride + (j < n ? j : 0);
            const vh low = v_bf16(pack_load(at, n - j)), high = i + 1 < k ? v_bf16(pack_load(at + w_stride, n - j)) : (vh){0};
            v_store((float *)packed + pack_place(j, panel) + i / 2 * LT_NR, (vf)(__builtin_convertvector(low, vi) | __builtin_convertvector(high, vi) << 16));
        }
    }
}

static void bf16_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, void *c, int64_t c_stride,
                      const lt_gemm_epilogue *e)
{
    words_gemm(LT_WORD_BF16, m, n, bf16_words(k), bf16_words(k), 0, a, first, packed, c, c_stride, e ? e : &no_epilogue);
}
#else
static void bf16_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, void *c, int64_t c_stride,
                      const lt_gemm_epilogue *e)
{
    decoded_gemm(LT_WORD_PAIR, m, n, k, a, first, packed, c, c_stride, e ? e : &no_epilogue);
}
#endif

/* ---- int4 ---- */

/* A group of k: the columns' scales, then words of eight codes each, the first in the lowest bits. */
enum { INT4_WORDS = LT_INT4_GROUP / 8 };

LT_INLINE int64_t int4_groups(int64_t k) { return (k + LT_INT4_GROUP - 1) / LT_INT4_GROUP; }
static size_t int4_panel_bytes(int64_t k) { return (size_t)int4_groups(k) * (1 + INT4_WORDS) * LT_NR * 4; }

static void int4_pack(int64_t n, int64_t k, const void *w, const float *scale, void *packed)
{
    const int64_t groups = int4_groups(k), panel = groups * (1 + INT4_WORDS) * LT_NR;
    for (int64_t j = 0; j < (n + LT_NR - 1) / LT_NR * LT_NR; j++)
        for (int64_t g = 0; g < groups; g++) {
            float *out = (float *)packed + pack_place(j, panel) + g * (1 + INT4_WORDS) * LT_NR;
            uint32_t word[INT4_WORDS] = {0};
            for (int64_t l = 0; l < LT_INT4_GROUP; l++) {
                const int64_t i = g * LT_INT4_GROUP + l;
                word[l / 8] |= (uint32_t)(j < n && i < k ? ((const uint8_t *)w)[j * k + i] & 15 : 8) << (l % 8 * 4);
            }
            out[0] = j < n ? scale[j * groups + g] : 0.0f;
            for (int i = 0; i < INT4_WORDS; i++) memcpy(out + (1 + i) * LT_NR, &word[i], 4);
        }
}

static void int4_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, void *c, int64_t c_stride,
                      const lt_gemm_epilogue *e)
{
    decoded_gemm(LT_WORD_INT4, m, n, k, a, first, packed, c, c_stride, e ? e : &no_epilogue);
}

/* ---- the tables ---- */

#if defined(__AVX512VNNI__)
#define INT8_NAME "avx512-vnni"
#elif defined(__AVXVNNI__)
#define INT8_NAME "avx-vnni"
#elif defined(__AVX512BW__)
#define INT8_NAME "avx512bw"
#elif defined(__AVX2__)
#define INT8_NAME "avx2"
#else
#define INT8_NAME "plain"
#endif

static const lt_product product_bf16 = {
#if LT_HAS_BF16
    .name = "avx512-bf16",
    .row_bytes = bf16_row_bytes,
    .encode = bf16_encode,
    .encode_turned = bf16_encode_turned,
    .pack_turned = bf16_pack_turned,
#else
    .name = "bf16 weights, f32 arithmetic",
#endif
    .panel_bytes = bf16_panel_bytes,
    .pack = bf16_pack,
    .gemm = bf16_gemm,
};

static const lt_product product_int8 = {
    .name = INT8_NAME,
    .row_bytes = int8_row_bytes,
    .encode = int8_encode,
    .panel_bytes = int8_panel_bytes,
    .pack = int8_pack,
    .gemm = int8_gemm,
};

static const lt_product product_int4 = {
    .name = "int4 weights, f32 arithmetic",
    .panel_bytes = int4_panel_bytes,
    .pack = int4_pack,
    .gemm = int4_gemm,
};

#endif
