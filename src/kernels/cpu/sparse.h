/* Products with weights of which most blocks of 4 outputs × 1 input are zero (Shen et al. 2023, arXiv 2306.16601): a tile of 4 outputs × vectors
 * of tokens stays in registers while the blocks that are left run by, each multiplying one line of inputs, which stand turned, [panel of
 * tokens][k][token]. int8 and bf16 take as many blocks at once as a word holds codes: their lines are interleaved in registers. Results are turned
 * back four outputs at a time, and what follows a product is what follows a dense one (finish.h). Where no unit multiplies bf16, weights rounded to
 * it run as floats. */
#ifndef LATHE_KERNELS_SPARSE_H
#define LATHE_KERNELS_SPARSE_H

#include "kernels/cpu/product.h"
#include "kernels/tables.h"

enum {
    SPARSE_ROWS = LT_SPARSE_BLOCK,
    SPARSE_VECTORS = LT_VREGS == 32 ? 4 : 2, /* of tokens across a tile */
    SPARSE_F32_TOKENS = SPARSE_VECTORS * LT_LANES,
    SPARSE_INT8_TOKENS = LT_CODES * LT_LANES, /* a line of codes is one vector */
    SPARSE_BF16_VECTORS = 4, /* a line of bf16 is half as many */
    SPARSE_BF16_TOKENS = SPARSE_BF16_VECTORS * LT_LANES,
    SPARSE_TOKENS = SPARSE_F32_TOKENS > SPARSE_INT8_TOKENS ? SPARSE_F32_TOKENS : SPARSE_INT8_TOKENS, /* bf16 has as many as f32 */
    SPARSE_ALIGN = 64,
    /* Blocks whose line of floats is asked for ahead: 5 to 8 % on AVX2, nothing where vectors are wider, nor in int8. */
    SPARSE_AHEAD = LT_LANES < 16 ? 8 : 0,
};

/* ---- shuffles within 16 bytes ---- */

#if defined(__AVX512F__)
#define V_IN_LANES(name, a, b) (vi) _mm512_##name((__m512i)(a), (__m512i)(b))
#elif defined(__AVX2__)
#define V_IN_LANES(name, a, b) (vi) _mm256_##name((__m256i)(a), (__m256i)(b))
#endif

/* Interleaves halves, or all words and pairs of words, of the lower or upper 8 of each 16 bytes. */
#ifdef V_IN_LANES
LT_INLINE vi v_low_16(vi a, vi b) { return V_IN_LANES(unpacklo_epi16, a, b); }
LT_INLINE vi v_high_16(vi a, vi b) { return V_IN_LANES(unpackhi_epi16, a, b); }
LT_INLINE vi v_low_32(vi a, vi b) { return V_IN_LANES(unpacklo_epi32, a, b); }
LT_INLINE vi v_high_32(vi a, vi b) { return V_IN_LANES(unpackhi_epi32, a, b); }
LT_INLINE vi v_low_64(vi a, vi b) { return V_IN_LANES(unpacklo_epi64, a, b); }
LT_INLINE vi v_high_64(vi a, vi b) { return V_IN_LANES(unpackhi_epi64, a, b); }
#else
typedef int16_t v_16 __attribute__((vector_size(4 * LT_LANES)));
LT_INLINE vi v_low_16(vi a, vi b) { return (vi)__builtin_shufflevector((v_16)a, (v_16)b, 0, 8, 1, 9, 2, 10, 3, 11); }
LT_INLINE vi v_high_16(vi a, vi b) { return (vi)__builtin_shufflevector((v_16)a, (v_16)b, 4, 12, 5, 13, 6, 14, 7, 15); }
LT_INLINE vi v_low_32(vi a, vi b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
LT_INLINE vi v_high_32(vi a, vi b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
LT_INLINE vi v_low_64(vi a, vi b) { return __builtin_shufflevector(a, b, 0, 1, 4, 5); }
LT_INLINE vi v_high_64(vi a, vi b) { return __builtin_shufflevector(a, b, 2, 3, 6, 7); }
#endif

/* Squares of 4 × 4 words, one in each 16 bytes of four vectors. */
LT_INLINE void v_turn_words(vi x[4])
{
    const vi a = v_low_32(x[0], x[1]), b = v_low_32(x[2], x[3]), c = v_high_32(x[0], x[1]), d = v_high_32(x[2], x[3]);
    x[0] = v_low_64(a, b);
    x[1] = v_high_64(a, b);
    x[2] = v_low_64(c, d);
    x[3] = v_high_64(c, d);
}

/* Stores the l-th 16 bytes at p + l · stride. */
LT_INLINE void v_scatter_16(float *p, int64_t stride, vi x)
{
#if defined(__AVX512F__)
    _mm_storeu_ps(p, _mm512_castps512_ps128((__m512)x));
    _mm_storeu_ps(p + stride, _mm512_extractf32x4_ps((__m512)x, 1));
    _mm_storeu_ps(p + 2 * stride, _mm512_extractf32x4_ps((__m512)x, 2));
    _mm_storeu_ps(p + 3 * stride, _mm512_extractf32x4_ps((__m512)x, 3));
#elif defined(__AVX2__)
    _mm_storeu_ps(p, _mm256_castps256_ps128((__m256)x));
    _mm_storeu_ps(p + stride, _mm256_extractf128_ps((__m256)x, 1));
#else
    v_store_words(p, x);
#endif
}

/* Numbers of 16 bits of the lines of two blocks become words, vector after vector of tokens, and the reverse. */
LT_INLINE vi sparse_pair_word(vi a, vi b, int v) { return v ? v_high_16(a, b) : v_low_16(a, b); }

LT_INLINE void sparse_pair_lines(vi x[2])
{
    const vi a = x[0], b = x[1];
#ifdef V_IN_LANES
    x[0] = V_IN_LANES(packs_epi32, (a << 16) >> 16, (b << 16) >> 16);
    x[1] = V_IN_LANES(packs_epi32, a >> 16, b >> 16);
#else
    x[0] = (vi)__builtin_shufflevector((v_16)a, (v_16)b, 0, 2, 4, 6, 8, 10, 12, 14);
    x[1] = (vi)__builtin_shufflevector((v_16)a, (v_16)b, 1, 3, 5, 7, 9, 11, 13, 15);
#endif
}

/* The same of codes, LT_CODES blocks. */
#if LT_CODES == 4
LT_INLINE vi sparse_word(const vi line[4], int v)
{
    const vi a = v < 2 ? V_IN_LANES(unpacklo_epi8, line[0], line[1]) : V_IN_LANES(unpackhi_epi8, line[0], line[1]);
    const vi b = v < 2 ? V_IN_LANES(unpacklo_epi8, line[2], line[3]) : V_IN_LANES(unpackhi_epi8, line[2], line[3]);
    return sparse_pair_word(a, b, v % 2);
}

LT_INLINE void sparse_lines(vi x[4])
{
    const __m128i bytes = _mm_setr_epi32(0x0c080400, 0x0d090501, 0x0e0a0602, 0x0f0b0703);
#if LT_LANES == 16
    const __m512i turn = _mm512_broadcast_i32x4(bytes);
#else
    const __m256i turn = _mm256_broadcastsi128_si256(bytes);
#endif
    LT_UNROLL
    for (int i = 0; i < 4; i++) x[i] = V_IN_LANES(shuffle_epi8, x[i], turn);
    v_turn_words(x);
}
#else
LT_INLINE vi sparse_word(const vi line[2], int v) { return sparse_pair_word(line[0], line[1], v); }
LT_INLINE void sparse_lines(vi x[2]) { sparse_pair_lines(x); }
#endif

/* Keeps GCC 12 from gathering all that the next rows of a tile need before this one is done, for which it gives up accumulators' registers. */
#if defined(__AVX512F__)
#define V_PIN(x) __asm__ volatile("" : "+v"(x))
#elif defined(__x86_64__)
#define V_PIN(x) __asm__ volatile("" : "+x"(x))
#elif defined(__aarch64__)
#define V_PIN(x) __asm__ volatile("" : "+w"(x))
#else
#define V_PIN(x) (void)(x)
#endif

/* ---- turned inputs ---- */

/* A panel of f32 or bf16 is only as wide as its tokens need, a panel of codes always LT_CODES vectors of words. */
LT_INLINE int sparse_vectors(const lt_word KIND, int64_t tokens)
{
    const int most = KIND == LT_WORD_F32 ? SPARSE_VECTORS : KIND == LT_WORD_BF16 ? SPARSE_BF16_VECTORS : LT_CODES;
    return tokens >= most * LT_LANES ? most : tokens > LT_LANES ? (int)((tokens + LT_LANES - 1) / LT_LANES) : 1;
}

static size_t f32_turned_bytes(int64_t m, int64_t k) { return (size_t)((m + LT_LANES - 1) / LT_LANES * LT_LANES * k) * sizeof(float); }
static size_t int8_turned_bytes(int64_t m, int64_t k) { return (size_t)((m + SPARSE_INT8_TOKENS - 1) / SPARSE_INT8_TOKENS * k) * sizeof(vi); }

/* Square after square: vectors of LT_LANES words of rows of up to LT_LANES tokens. */
LT_INLINE void sparse_square(const char *a, int64_t stride, int64_t rows, int64_t words, vf x[LT_LANES])
{
    LT_UNROLL
    for (int t = 0; t < LT_LANES; t++) x[t] = t < rows ? pack_load((const float *)(a + t * stride), words) : v_set(0.0f);
    v_transpose(x);
}

static void f32_turn(int64_t first, int64_t m, int64_t k, const lt_coded_rows *a)
{
    for (int64_t r = first; r < first + m; r += SPARSE_F32_TOKENS) {
        float *panel = (float *)a->panels + r * k;
        const int64_t tokens = first + m - r, width = sparse_vectors(LT_WORD_F32, tokens) * LT_LANES;
        for (int64_t t = 0; t < width; t += LT_LANES)
            for (int64_t i = 0; i < k; i += LT_LANES) {
                vf x[LT_LANES];
                sparse_square((const char *)a->data + (r + t) * a->stride + i * 4, a->stride, tokens - t, k - i, x);
                LT_UNROLL
                for (int l = 0; l < LT_LANES; l++)
                    if (i + l < k) v_store(panel + (i + l) * width + t, x[l]);
            }
    }
}

static void int8_turn(int64_t first, int64_t m, int64_t k, const lt_coded_rows *a)
{
    const int64_t words = a->stride / 4; /* rows end in zeros */
    for (int64_t r = first; r < first + m; r += SPARSE_INT8_TOKENS) {
        vi *panel = (vi *)a->panels + r / SPARSE_INT8_TOKENS * k;
        for (int64_t i = 0; i * LT_CODES < k; i += LT_LANES) {
            vf x[LT_CODES][LT_LANES];
            for (int q = 0; q < LT_CODES; q++)
                sparse_square((const char *)a->data + (r + q * LT_LANES) * a->stride + i * 4, a->stride, first + m - r - q * LT_LANES, words - i, x[q]);
            for (int64_t l = 0; l < LT_LANES && (i + l) * LT_CODES < k; l++) {
                vi line[LT_CODES];
                LT_UNROLL
                for (int q = 0; q < LT_CODES; q++) line[q] = (vi)x[q][l];
                sparse_lines(line);
                LT_UNROLL
                for (int q = 0; q < LT_CODES; q++)
                    if ((i + l) * LT_CODES + q < k) v_store_words(panel + (i + l) * LT_CODES + q, line[q]);
            }
        }
    }
}

#if LT_HAS_BF16
static size_t bf16_turned_bytes(int64_t m, int64_t k) { return (size_t)((m + 2 * LT_LANES - 1) / (2 * LT_LANES) * k) * sizeof(vi); }

static void bf16_turn(int64_t first, int64_t m, int64_t k, const lt_coded_rows *a)
{
    const int64_t words = bf16_words(k);
    for (int64_t r = first; r < first + m; r += SPARSE_BF16_TOKENS) {
        const int64_t wide = (sparse_vectors(LT_WORD_BF16, first + m - r) + 1) / 2; /* vectors of a line */
        vi *panel = (vi *)a->panels + r / (2 * LT_LANES) * k;
        for (int64_t p = 0; p < wide; p++)
            for (int64_t i = 0; i < words; i += LT_LANES) {
                vf x[2][LT_LANES];
                for (int q = 0; q < 2; q++) {
                    const int64_t t = r + (2 * p + q) * LT_LANES;
                    sparse_square((const char *)a->data + t * a->stride + i * 4, a->stride, first + m - t, words - i, x[q]);
                }
                for (int64_t l = 0; l < LT_LANES && i + l < words; l++) {
                    vi line[2] = {(vi)x[0][l], (vi)x[1][l]};
                    sparse_pair_lines(line);
                    for (int h = 0; h < 2; h++)
                        if (2 * (i + l) + h < k) v_store_words(panel + (2 * (i + l) + h) * wide + p, line[h]);
                }
            }
    }
}
#endif

/* ---- weights ---- */

typedef struct sparse_head { /* packed weights begin with it; offsets in bytes from there */
    int64_t values;  /* 16 bytes a group of blocks: four floats, or four words of codes or of two bf16 */
    int64_t index;   /* int32, the k of each block, ascending; a row's last group repeats its last one; SPARSE_AHEAD zeros at the end */
    int64_t dense;   /* int8: the dense product's panels: scales, sums of weights, and the codes that meet outliers */
    int64_t start[]; /* groups before each four outputs, and all of them */
} sparse_head;

LT_INLINE int sparse_group(const lt_word KIND) { return KIND == LT_WORD_F32 ? 1 : KIND == LT_WORD_BF16 ? 2 : LT_CODES; }
LT_INLINE int64_t sparse_quads(int64_t n) { return (n + LT_NR - 1) / LT_NR * (LT_NR / SPARSE_ROWS); }
LT_INLINE size_t sparse_round(size_t bytes) { return (bytes + SPARSE_ALIGN - 1) / SPARSE_ALIGN * SPARSE_ALIGN; }

LT_INLINE bool sparse_left(const lt_word KIND, int64_t n, int64_t k, const void *w, int64_t j, int64_t i)
{
    bool left = false;
    for (int64_t r = j; r < n && r < j + SPARSE_ROWS; r++)
        left |= KIND == LT_WORD_INT8 ? ((const int8_t *)w)[r * k + i] != 0 : ((const float *)w)[r * k + i] != 0.0f;
    return left;
}

/* Blocks of outputs j …; their groups are filled where `values` is not NULL. */
LT_INLINE int64_t sparse_quad(const lt_word KIND, int64_t n, int64_t k, const void *w, int64_t j, char *values, int32_t *index)
{
    const int group = sparse_group(KIND);
    int64_t blocks = 0;
    for (int64_t i = 0; i < k && j < n; i++) {
        if (!sparse_left(KIND, n, k, w, j, i)) continue;
        for (int64_t r = j; values && r < n && r < j + SPARSE_ROWS; r++) {
            char *word = values + blocks / group * 16 + (r - j) * 4;
            if (KIND == LT_WORD_F32) memcpy(word, (const float *)w + r * k + i, 4);
            else if (KIND == LT_WORD_BF16) lt_f32_to_bf16(1, (const float *)w + r * k + i, word + blocks % group * 2);
            else if (LT_CODES == 4) word[blocks % group] = ((const char *)w)[r * k + i];
            else ((int16_t *)word)[blocks % group] = ((const int8_t *)w)[r * k + i];
        }
        for (int64_t b = blocks; values && b < (blocks / group + 1) * group; b++) index[b] = (int32_t)i;
        blocks++;
    }
    return (blocks + group - 1) / group;
}

LT_INLINE size_t sparse_bytes(const lt_word KIND, int64_t n, int64_t k, const void *w, sparse_head *head)
{
    const int64_t quads = sparse_quads(n);
    int64_t groups = 0;
    for (int64_t q = 0; q < quads; q++) {
        if (head) head->start[q] = groups;
        groups += sparse_quad(KIND, n, k, w, q * SPARSE_ROWS, NULL, NULL);
    }
    const size_t values = sparse_round(sizeof *head + (size_t)(quads + 1) * sizeof(int64_t)), index = values + (size_t)groups * 16;
    const size_t dense = sparse_round(index + (size_t)(groups * sparse_group(KIND) + SPARSE_AHEAD) * sizeof(int32_t));
    if (head) {
        head->start[quads] = groups;
        head->values = (int64_t)values;
        head->index = (int64_t)index;
        head->dense = (int64_t)dense;
    }
    return dense + (KIND != LT_WORD_INT8 ? 0 : (size_t)((n + LT_NR - 1) / LT_NR) * int8_panel_bytes(k));
}

LT_INLINE void sparse_pack(const lt_word KIND, int64_t n, int64_t k, const void *w, const float *scale, void *packed)
{
    sparse_head *head = packed;
    sparse_bytes(KIND, n, k, w, head);
    char *values = (char *)packed + head->values;
    int32_t *index = (int32_t *)((char *)packed + head->index);
    memset(values, 0, (size_t)(head->index - head->values));
    memset(index + head->start[sparse_quads(n)] * sparse_group(KIND), 0, SPARSE_AHEAD * sizeof *index);
    for (int64_t q = 0; q < sparse_quads(n); q++)
        sparse_quad(KIND, n, k, w, q * SPARSE_ROWS, values + head->start[q] * 16, index + head->start[q] * sparse_group(KIND));
    if (KIND == LT_WORD_INT8) int8_pack(n, k, w, scale, (char *)packed + head->dense);
}

LT_INLINE void sparse_unpack_row(const lt_word KIND, int64_t k, const void *packed, int64_t j, void *out)
{
    const sparse_head *head = packed;
    const int group = sparse_group(KIND);
    const int32_t *index = (const int32_t *)((const char *)packed + head->index);
    memset(out, 0, (size_t)k * (KIND == LT_WORD_INT8 ? 1 : 4));
    for (int64_t b = head->start[j / SPARSE_ROWS + 1] * group - 1; b >= head->start[j / SPARSE_ROWS] * group; b--) { /* first of repeated ones last */
        const char *word = (const char *)packed + head->values + b / group * 16 + j % SPARSE_ROWS * 4;
        if (KIND == LT_WORD_F32) memcpy((float *)out + index[b], word, 4);
        else if (KIND == LT_WORD_BF16) lt_bf16_to_f32(1, word + b % group * 2, (float *)out + index[b]);
        else ((int8_t *)out)[index[b]] = LT_CODES == 4 ? (int8_t)word[b % group] : (int8_t)((const int16_t *)word)[b % group];
    }
}

static size_t f32_sparse_bytes(int64_t n, int64_t k, const void *w) { return sparse_bytes(LT_WORD_F32, n, k, w, NULL); }
static size_t int8_sparse_bytes(int64_t n, int64_t k, const void *w) { return sparse_bytes(LT_WORD_INT8, n, k, w, NULL); }
static void f32_sparse_pack(int64_t n, int64_t k, const void *w, const float *s, void *packed) { sparse_pack(LT_WORD_F32, n, k, w, s, packed); }
static void int8_sparse_pack(int64_t n, int64_t k, const void *w, const float *s, void *packed) { sparse_pack(LT_WORD_INT8, n, k, w, s, packed); }
static void f32_sparse_row(int64_t k, const void *packed, int64_t j, void *out) { sparse_unpack_row(LT_WORD_F32, k, packed, j, out); }
static void int8_sparse_row(int64_t k, const void *packed, int64_t j, void *out) { sparse_unpack_row(LT_WORD_INT8, k, packed, j, out); }
#if LT_HAS_BF16
static size_t bf16_sparse_bytes(int64_t n, int64_t k, const void *w) { return sparse_bytes(LT_WORD_BF16, n, k, w, NULL); }
static void bf16_sparse_pack(int64_t n, int64_t k, const void *w, const float *s, void *packed) { sparse_pack(LT_WORD_BF16, n, k, w, s, packed); }
static void bf16_sparse_row(int64_t k, const void *packed, int64_t j, void *out) { sparse_unpack_row(LT_WORD_BF16, k, packed, j, out); }
#else
static void bf16_sparse_pack(int64_t n, int64_t k, const void *w, const float *s, void *packed)
{
    const sparse_head *head = packed;
    f32_sparse_pack(n, k, w, s, packed);
    float *values = (float *)((char *)packed + head->values);
    lt_round_to_bf16((head->index - head->values) / 4, values, values);
}
#endif

/* ---- tiles ---- */

typedef struct sparse_tile {
    int64_t groups;
    const float *values;
    const int32_t *index;
    const void *panel;
    float *c; /* [token][LT_NR], of which this tile writes four */
} sparse_tile;

/* `groups` groups from t on, which moves behind them; vectors FIRST … FIRST+W-1 of the panel. */
LT_INLINE void sparse_chain(const lt_word KIND, const int FIRST, const int W, vf acc[SPARSE_ROWS * SPARSE_VECTORS], sparse_tile *t, int64_t groups)
{
    const float *values = t->values;
    const int32_t *index = t->index;
    const char *panel = t->panel;
    for (int64_t g = groups; g > 0; g--) {
        vf x[SPARSE_VECTORS];
        if (KIND == LT_WORD_F32) {
            const float *line = (const float *)panel + (int64_t)*index * (W * LT_LANES);
            if (SPARSE_AHEAD) __builtin_prefetch((const float *)panel + (int64_t)index[SPARSE_AHEAD] * (W * LT_LANES));
            LT_UNROLL
            for (int v = 0; v < W; v++) x[v] = v_load(line + v * LT_LANES);
        } else if (KIND == LT_WORD_BF16) {
            const char *line[2] = {panel + index[0] * ((W + 1) / 2 * (int64_t)sizeof(vi)), panel + index[1] * ((W + 1) / 2 * (int64_t)sizeof(vi))};
            LT_UNROLL
            for (int v = 0; v < W; v++)
                x[v] = (vf)sparse_pair_word(v_load_words(line[0] + v / 2 * sizeof(vi)), v_load_words(line[1] + v / 2 * sizeof(vi)), v % 2);
        } else {
            vi line[LT_CODES];
            LT_UNROLL
            for (int i = 0; i < LT_CODES; i++) line[i] = v_load_words(panel + (int64_t)index[i] * (int64_t)sizeof(vi));
            LT_UNROLL
            for (int v = 0; v < W; v++) x[v] = (vf)sparse_word(line, FIRST + v);
        }
        LT_UNROLL
        for (int r = 0; r < SPARSE_ROWS; r++) {
            const vf w = v_word(values + r);
            LT_UNROLL
            for (int v = 0; v < W; v++) {
                acc[r * W + v] = v_dot(KIND, x[v], w, acc[r * W + v]);
                V_PIN(acc[r * W + v]);
            }
        }
        values += 4;
        index += sparse_group(KIND);
    }
    t->values = values;
    t->index = index;
}

/* Chains of floats after the first, each added to what came before. */
LT_INLINE void sparse_more_chains(const int W, vf acc[SPARSE_ROWS * SPARSE_VECTORS], sparse_tile *t, int64_t left)
{
    float room[SPARSE_ROWS * SPARSE_VECTORS * LT_LANES] __attribute__((aligned(4 * LT_LANES))), *sum = room;
    for (; left > 0; left -= LT_CHAIN) {
        __asm__("" : "+r"(sum)::"memory"); /* as in tile.h, out of the compiler's sight */
        LT_UNROLL
        for (int i = 0; i < SPARSE_ROWS * W; i++) v_store(sum + i * LT_LANES, acc[i]);
        LT_UNROLL
        for (int i = 0; i < SPARSE_ROWS * W; i++) acc[i] = v_set(0.0f);
        sparse_chain(LT_WORD_F32, 0, W, acc, t, left < LT_CHAIN ? left : LT_CHAIN);
        __asm__("" : "+r"(sum)::"memory");
        LT_UNROLL
        for (int i = 0; i < SPARSE_ROWS * W; i++) acc[i] = v_load(sum + i * LT_LANES) + acc[i];
    }
}

LT_INLINE void sparse_body(const lt_word KIND, const int FIRST, const int W, const sparse_tile *given)
{
    sparse_tile t = *given;
    vf acc[SPARSE_ROWS * SPARSE_VECTORS];
    LT_UNROLL
    for (int i = 0; i < SPARSE_ROWS * W; i++) acc[i] = v_set(0.0f);
    if (KIND == LT_WORD_F32) {
        sparse_chain(KIND, FIRST, W, acc, &t, t.groups < LT_CHAIN ? t.groups : LT_CHAIN);
        sparse_more_chains(W, acc, &t, t.groups - LT_CHAIN);
    } else
        sparse_chain(KIND, FIRST, W, acc, &t, t.groups);
    LT_UNROLL
    for (int v = 0; v < W; v++) {
        vi x[SPARSE_ROWS];
        LT_UNROLL
        for (int r = 0; r < SPARSE_ROWS; r++) x[r] = (vi)acc[r * W + v];
        v_turn_words(x);
        LT_UNROLL
        for (int i = 0; i < 4; i++) v_scatter_16(t.c + ((FIRST + v) * LT_LANES + i) * LT_NR, 4 * LT_NR, x[i]);
    }
}

/* clang-format off */
typedef void sparse_fn(const sparse_tile *t); /* in tables by the number of vectors */
#define SPARSE_TILE(K, FIRST, W) static void sparse_##K##_##FIRST##_##W(const sparse_tile *t) { sparse_body(LT_WORD_##K, FIRST, W, t); }
SPARSE_TILE(F32, 0, 1) SPARSE_TILE(F32, 0, 2) SPARSE_TILE(INT8, 0, 1) SPARSE_TILE(INT8, 0, 2)
#if LT_VREGS == 32
SPARSE_TILE(F32, 0, 3) SPARSE_TILE(F32, 0, 4)
static sparse_fn *const sparse_tiles_F32[] = {NULL, sparse_F32_0_1, sparse_F32_0_2, sparse_F32_0_3, sparse_F32_0_4};
#else
static sparse_fn *const sparse_tiles_F32[] = {NULL, sparse_F32_0_1, sparse_F32_0_2};
#endif
#if LT_HAS_BF16
SPARSE_TILE(BF16, 0, 1) SPARSE_TILE(BF16, 0, 2) SPARSE_TILE(BF16, 0, 3) SPARSE_TILE(BF16, 0, 4)
static sparse_fn *const sparse_tiles_BF16[] = {NULL, sparse_BF16_0_1, sparse_BF16_0_2, sparse_BF16_0_3, sparse_BF16_0_4};
#else
#define sparse_tiles_BF16 sparse_tiles_F32 /* never asked for */
#endif
/* With sixteen registers, four vectors are two tiles. */
#if LT_CODES == 4 && LT_VREGS == 32
SPARSE_TILE(INT8, 0, 3) SPARSE_TILE(INT8, 0, 4)
static sparse_fn *const sparse_tiles_INT8[] = {NULL, sparse_INT8_0_1, sparse_INT8_0_2, sparse_INT8_0_3, sparse_INT8_0_4};
#elif LT_CODES == 4
SPARSE_TILE(INT8, 2, 1) SPARSE_TILE(INT8, 2, 2)
static void sparse_INT8_0_3(const sparse_tile *t) { sparse_INT8_0_2(t), sparse_INT8_2_1(t); }
static void sparse_INT8_0_4(const sparse_tile *t) { sparse_INT8_0_2(t), sparse_INT8_2_2(t); }
static sparse_fn *const sparse_tiles_INT8[] = {NULL, sparse_INT8_0_1, sparse_INT8_0_2, sparse_INT8_0_3, sparse_INT8_0_4};
#else
static sparse_fn *const sparse_tiles_INT8[] = {NULL, sparse_INT8_0_1, sparse_INT8_0_2};
#endif
/* clang-format on */

/* Outputs of one panel of weights, tokens of one panel of inputs. */
LT_INLINE void sparse_panel(const lt_word KIND, int vectors, int64_t cols, const sparse_head *head, int64_t column, const void *panel, float *room)
{
    sparse_fn *tile = (KIND == LT_WORD_F32 ? sparse_tiles_F32 : KIND == LT_WORD_BF16 ? sparse_tiles_BF16 : sparse_tiles_INT8)[vectors];
    const int group = sparse_group(KIND);
    for (int64_t j = 0; j < cols; j += SPARSE_ROWS) {
        const int64_t q = (column + j) / SPARSE_ROWS, start = head->start[q];
        tile(&(sparse_tile){.groups = head->start[q + 1] - start,
                            .values = (const float *)((const char *)head + head->values) + start * 4,
                            .index = (const int32_t *)((const char *)head + head->index) + start * group,
                            .panel = panel,
                            .c = room + j});
    }
}

/* The panel that row `at` of all begins. */
LT_INLINE const void *sparse_panel_at(const lt_word KIND, const lt_coded_rows *a, int64_t at, int64_t k)
{
    if (KIND == LT_WORD_F32) return (const float *)a->panels + at * k;
    return (const vi *)a->panels + at / (KIND == LT_WORD_BF16 ? 2 * LT_LANES : SPARSE_INT8_TOKENS) * k;
}

LT_INLINE void sparse_gemm(const lt_word KIND, int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const sparse_head *head, int64_t column,
                           void *c, int64_t c_stride, const lt_gemm_epilogue *e)
{
    const int64_t wide = KIND == LT_WORD_F32 ? SPARSE_F32_TOKENS : KIND == LT_WORD_BF16 ? SPARSE_BF16_TOKENS : SPARSE_INT8_TOKENS;
    float room[SPARSE_TOKENS * LT_NR] __attribute__((aligned(64)));
    for (int64_t r = 0; r < m; r += wide) {
        const int64_t at = first + r, tokens = m - r < wide ? m - r : wide;
        const void *panel = sparse_panel_at(KIND, a, at, k);
        for (int64_t j = 0; j < n; j += LT_NR) {
            const int64_t cols = n - j < LT_NR ? n - j : LT_NR;
            sparse_panel(KIND, sparse_vectors(KIND, KIND == LT_WORD_INT8 ? tokens : a->rows - at), cols, head, column + j, panel, room);
            sums s = {.tile = room, .tile_stride = LT_NR};
            sums_place(&s, r, j, cols, c, c_stride, e);
            if (KIND == LT_WORD_INT8) {
                s.code = a->code + at;
                s.outlier = a->outlier;
                s.scale = (const float *)((const char *)head + head->dense + (size_t)((column + j) / LT_NR) * int8_panel_bytes(k));
                s.words = s.scale + INT8_HEAD * LT_NR;
                finish_codes(e, (int)tokens, &s);
            } else
                finish_floats(e, (int)tokens, &s);
        }
    }
}

static void f32_sparse_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, int64_t column, void *c,
                            int64_t c_stride, const lt_gemm_epilogue *e)
{
    sparse_gemm(LT_WORD_F32, m, n, k, a, first, packed, column, c, c_stride, e ? e : &no_epilogue);
}

static void int8_sparse_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, int64_t column, void *c,
                             int64_t c_stride, const lt_gemm_epilogue *e)
{
    sparse_gemm(LT_WORD_INT8, m, n, k, a, first, packed, column, c, c_stride, e ? e : &no_epilogue);
}

#if LT_HAS_BF16
static void bf16_sparse_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, int64_t column, void *c,
                             int64_t c_stride, const lt_gemm_epilogue *e)
{
    sparse_gemm(LT_WORD_BF16, m, n, k, a, first, packed, column, c, c_stride, e ? e : &no_epilogue);
}
#endif

static const lt_sparse sparse_f32 = {
    .tokens = SPARSE_F32_TOKENS,
    .turned_bytes = f32_turned_bytes,
    .turn = f32_turn,
    .packed_bytes = f32_sparse_bytes,
    .pack = f32_sparse_pack,
    .unpack_row = f32_sparse_row,
    .gemm = f32_sparse_gemm,
};

static const lt_sparse sparse_bf16 = {
#if LT_HAS_BF16
    .tokens = SPARSE_BF16_TOKENS,
    .turned_bytes = bf16_turned_bytes,
    .turn = bf16_turn,
    .packed_bytes = bf16_sparse_bytes,
    .unpack_row = bf16_sparse_row,
    .gemm = bf16_sparse_gemm,
#else
    .tokens = SPARSE_F32_TOKENS,
    .turned_bytes = f32_turned_bytes,
    .turn = f32_turn,
    .packed_bytes = f32_sparse_bytes,
    .unpack_row = f32_sparse_row,
    .gemm = f32_sparse_gemm,
#endif
    .pack = bf16_sparse_pack,
};

static const lt_sparse sparse_int8 = {
    .tokens = SPARSE_INT8_TOKENS,
    .turned_bytes = int8_turned_bytes,
    .turn = int8_turn,
    .packed_bytes = int8_sparse_bytes,
    .pack = int8_sparse_pack,
    .unpack_row = int8_sparse_row,
    .gemm = int8_sparse_gemm,
};

#endif
