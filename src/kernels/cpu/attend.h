/* Attention of a block of queries over the keys of one sequence. Keys are transposed into panels and values copied into panels
 * once a block; then, for each tile of queries: scores = scale · q kᵀ, bias, softmax, and the product with the values, all
 * in a scratch that stays in L1 and L2. Up to LT_KEYS keys that is all. More keys come LT_KEYS at a time: each row keeps a running
 * maximum and sum, and what it has summed so far is scaled down when the maximum grows (Milakov & Gimelshein 2018;
 * Dao et al. 2022). Where the cuts lie depends on the number of keys alone, and each row's chains end at its own last visible
 * key, so neither its neighbours nor keys hidden from it (be they NaN) reach its bits.
 * With operands of bf16 (H below) words are pairs along the sum: two elements of a key, two values one under the other, two
 * exponentials; scores and all sums stay f32. A row that sees an odd number of keys then multiplies the next value by zero. */
#ifndef LATHE_KERNELS_ATTEND_H
#define LATHE_KERNELS_ATTEND_H

#include "kernels/cpu/encode.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/tile.h"

#define LT_KEYS 512
#define LT_QUERIES 192

LT_INLINE int64_t up_to(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

typedef struct attend_state { /* where things lie in the scratch, for queries q0 … of one block */
    const lt_attend_args *a;
    int64_t q0;
    int64_t block;    /* keys at a time */
    int64_t k0, keys; /* the keys at hand */
    int64_t score_stride, value_stride;
    float *keys_packed;   /* panels of [words of dim][LT_NR] */
    float *values_packed; /* panels of [words of block][LT_NR] */
    float *scores;        /* [LT_MR][score_stride] */
    float *weights;       /* [LT_MR][score_stride / elements of a word], e^score: for f32 the scores themselves */
    float *out;           /* [LT_QUERIES][value_stride], sums of e^score · value */
    float *sum;           /* [LT_QUERIES][LT_LANES], of e^score */
    float *max;           /* [LT_QUERIES] */
} attend_state;

LT_INLINE int64_t attend_keys_at_once(int64_t nk) { return nk < LT_KEYS ? nk : LT_KEYS; }

LT_INLINE lt_word word_of(const bool H) { return H ? LT_WORD_BF16 : LT_WORD_F32; }
LT_INLINE int64_t words_of(const bool H, int64_t n) { return H ? (n + 1) / 2 : n; }

LT_INLINE size_t attend_scratch_of(const bool H, int64_t nk, int64_t dim, int64_t value_dim)
{
    const int64_t block = attend_keys_at_once(nk), values = up_to(value_dim, LT_NR), stride = up_to(block, LT_NR);
    return (size_t)(stride * (words_of(H, dim) + LT_MR) + (H ? LT_MR * stride / 2 : 0) + (words_of(H, block) + LT_QUERIES) * values +
                    LT_QUERIES * (LT_LANES + 1)) *
           sizeof(float);
}

LT_INLINE attend_state attend_layout(const bool H, const lt_attend_args *a, int64_t q0, void *scratch)
{
    attend_state s = {.a = a, .q0 = q0, .block = attend_keys_at_once(a->nk)};
    s.score_stride = up_to(s.block, LT_NR);
    s.value_stride = up_to(a->value_dim, LT_NR);
    s.keys_packed = scratch;
    s.values_packed = s.keys_packed + s.score_stride * words_of(H, a->dim);
    s.scores = s.values_packed + words_of(H, s.block) * s.value_stride;
    s.weights = H ? s.scores + LT_MR * s.score_stride : s.scores;
    s.out = s.weights + LT_MR * s.score_stride / (H ? 2 : 1);
    s.sum = s.out + LT_QUERIES * s.value_stride;
    s.max = s.sum + LT_QUERIES * LT_LANES;
    return s;
}

/* How many keys, from the first, row r of the block sees. */
LT_INLINE int64_t attend_visible(const attend_state *s, int64_t r)
{
    const lt_attend_args *a = s->a;
    if (!a->causal) return a->nk;
    int64_t n = s->q0 + r + 1 + a->nk - a->nq_total;
    return n < 0 ? 0 : n > a->nk ? a->nk : n;
}

/* The same among the keys at hand. */
LT_INLINE int64_t attend_visible_here(const attend_state *s, int64_t r)
{
    int64_t n = attend_visible(s, r) - s->k0;
    return n < 0 ? 0 : n > s->keys ? s->keys : n;
}

LT_INLINE void attend_product(const bool H, int rows, int64_t vectors, tile_args t)
{
    const float *b = t.b;
    float *c = t.c;
    for (int64_t v = 0, width; v < vectors; v += width) {
        width = tile_width(word_of(H), rows, vectors - v);
        t.b = b + v / LT_NV * t.panel_stride;
        t.c = c + v * LT_LANES;
        tile_run(word_of(H), rows, (int)width, &t);
    }
}

/* A new maximum of row r: what it has summed so far is scaled down to match. */
LT_INLINE void attend_rescale(const attend_state *s, int64_t r, float max)
{
    const float factor = v_exp(v_set(s->max[r] - max))[0];
    float *out = s->out + r * s->value_stride, *sum = s->sum + r * LT_LANES;
    for (int64_t j = 0; j < s->value_stride; j += LT_LANES) v_store(out + j, v_load(out + j) * factor);
    v_store(sum, v_load(sum) * factor);
}

/* Scores become e^(score - maximum). All maxima first: one row's chain of dependent steps then overlaps the next one's. */
LT_INLINE void attend_softmax(const bool H, const attend_state *s, int64_t r0, int rows)
{
    float *scores = s->scores;
    for (int64_t r = r0; r < r0 + rows; r++, scores += s->score_stride) {
        const float max = row_max(attend_visible_here(s, r), scores, s->max[r]);
        if (max != s->max[r] && s->k0 > 0) attend_rescale(s, r, max);
        s->max[r] = max;
    }
    scores = s->scores;
    uint16_t *weights = (uint16_t *)s->weights;
    for (int64_t r = r0; r < r0 + rows; r++, scores += s->score_stride, weights += s->score_stride) {
        float *sum = s->sum + r * LT_LANES;
        const int64_t n = attend_visible_here(s, r);
        v_store(sum, v_load(sum) + row_exp(H, n, scores, s->max[r], H ? (void *)weights : scores));
    }
}

LT_INLINE void attend_tile(const bool H, const attend_state *s, int64_t r0, int rows)
{
    const lt_attend_args *a = s->a;
    const int64_t most = attend_visible_here(s, r0 + rows - 1), fewest = attend_visible_here(s, r0) / (H ? 2 : 1) * (H ? 2 : 1);
    const int64_t elem = H ? 2 : 4, elems = H ? 2 : 1; /* bytes of an element, elements of a word */
    if (most == 0 && s->k0 > 0) return;
    attend_product(H, rows, (most + LT_LANES - 1) / LT_LANES,
                   (tile_args){.k = words_of(H, a->dim),
                               .a = (const float *)((const char *)a->q + (s->q0 + r0) * a->q_stride * elem),
                               .a_stride = a->q_stride / elems,
                               .b = s->keys_packed,
                               .panel_stride = words_of(H, a->dim) * LT_NR,
                               .c = s->scores,
                               .c_stride = s->score_stride,
                               .scale = (float)a->scale});
    if (a->bias) a->bias(a->bias_arg, a->head, s->q0 + r0, rows, s->k0, most, s->scores, s->score_stride);
    attend_softmax(H, s, r0, rows);

    /* All rows over the keys that all of them see; then each over its own last few. */
    tile_args t = {.k = fewest / elems,
                   .a = s->weights,
                   .a_stride = s->score_stride / elems,
                   .b = s->values_packed,
                   .panel_stride = words_of(H, s->block) * LT_NR,
                   .c = s->out + r0 * s->value_stride,
                   .c_stride = s->value_stride,
                   .scale = 1.0f,
                   .go_on = s->k0 > 0};
    const int64_t vectors = (a->value_dim + LT_LANES - 1) / LT_LANES;
    attend_product(H, rows, vectors, t);
    t.b += fewest / elems * LT_NR;
    t.go_on = true;
    for (int64_t r = 0; r < rows; r++) {
        t.k = words_of(H, attend_visible_here(s, r0 + r) - fewest);
        t.a = s->weights + (r * s->score_stride + fewest) / elems;
        t.c = s->out + (r0 + r) * s->value_stride;
        if (t.k > 0) attend_product(H, 1, vectors, t);
    }
}

/* Keys k0 … and their values, from the caller's rows into panels. */
LT_INLINE void attend_pack(const bool H, const attend_state *s)
{
    const lt_attend_args *a = s->a;
    if (!H) {
        pack_panels(s->keys, s->keys, a->dim, (const float *)a->k + s->k0 * a->k_stride, a->k_stride, 1, s->keys_packed, a->dim * LT_NR);
        pack_panels(a->value_dim, a->value_dim, s->keys, (const float *)a->v + s->k0 * a->v_stride, 1, a->v_stride, s->values_packed,
                    s->block * LT_NR);
        return;
    }
    const uint16_t *k = (const uint16_t *)a->k + s->k0 * a->k_stride, *v = (const uint16_t *)a->v + s->k0 * a->v_stride;
    pack_panels(s->keys, s->keys, a->dim / 2, (const float *)k, a->k_stride / 2, 1, s->keys_packed, a->dim / 2 * LT_NR);
    for (int64_t i = 0; i < s->keys; i += 2)
        for (int64_t j = 0; j < a->value_dim; j += LT_LANES) {
            const uint16_t *low = v + i * a->v_stride + j, *high = low + a->v_stride;
            const int64_t left = a->value_dim - j;
            vi x = (vi)(left < LT_LANES ? v_from_bf16_n(low, left) : v_from_bf16(low)), y = {0};
            if (i + 1 < s->keys) y = (vi)(left < LT_LANES ? v_from_bf16_n(high, left) : v_from_bf16(high));
            v_store_words(s->values_packed + pack_place(j, words_of(H, s->block) * LT_NR) + i / 2 * LT_NR, (vi)((vu)x >> 16) | y);
        }
}

LT_INLINE void attend_result(const bool H, const lt_attend_args *a, int64_t row, const float *from, float sum)
{
    char *out = (char *)a->out + row * a->out_stride * (H ? 2 : 4);
    if (sum == 0.0f)
        memset(out, 0, (size_t)a->value_dim * (H ? 2 : 4));
    else if (!H)
        row_affine(a->value_dim, from, 0.0f, 1.0f / sum, NULL, NULL, (float *)out);
    else
        for (int64_t j = 0; j < a->value_dim; j += LT_LANES) {
            vf y = v_load(from + j) * (1.0f / sum); /* whole vectors are there */
            if (a->value_dim - j < LT_LANES)
                v_store_bf16_n((uint16_t *)out + j, a->value_dim - j, y);
            else
                v_store_bf16((uint16_t *)out + j, y);
        }
}

LT_INLINE void attend_block(const bool H, const lt_attend_args *a, int64_t q0, int64_t nq, void *scratch)
{
    attend_state s = attend_layout(H, a, q0, scratch);
    for (int64_t r = 0; r < nq; r++) {
        s.max[r] = -FLT_MAX; /* not -inf: a row of -inf then sums to zero, not to NaN */
        v_store(s.sum + r * LT_LANES, v_set(0.0f));
    }
    const int64_t last = attend_visible(&s, nq - 1);
    for (; s.k0 < last; s.k0 += s.block) {
        s.keys = last - s.k0 < s.block ? last - s.k0 : s.block;
        attend_pack(H, &s);
        for (int64_t i = 0; i < tile_parts(word_of(H), nq); i++)
            attend_tile(H, &s, tile_start(word_of(H), nq, i), (int)(tile_start(word_of(H), nq, i + 1) - tile_start(word_of(H), nq, i)));
    }
    for (int64_t r = 0; r < nq; r++) attend_result(H, a, q0 + r, s.out + r * s.value_stride, v_sum(v_load(s.sum + r * LT_LANES)));
}

LT_INLINE void attend_all(const bool H, const lt_attend_args *a, int64_t q0, int64_t nq, void *scratch)
{
    for (int64_t i = 0; i < nq; i += LT_QUERIES) attend_block(H, a, q0 + i, nq - i < LT_QUERIES ? nq - i : LT_QUERIES, scratch);
}

static size_t attend_scratch(int64_t nk, int64_t dim, int64_t value_dim) { return attend_scratch_of(false, nk, dim, value_dim); }
static void attend(const lt_attend_args *a, int64_t q0, int64_t nq, void *scratch) { attend_all(false, a, q0, nq, scratch); }

#if LT_HAS_BF16
static size_t attend_bf16_scratch(int64_t nk, int64_t dim, int64_t value_dim) { return attend_scratch_of(true, nk, dim, value_dim); }
static void attend_bf16(const lt_attend_args *a, int64_t q0, int64_t nq, void *scratch) { attend_all(true, a, q0, nq, scratch); }
#endif

#endif
