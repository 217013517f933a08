/* Attention of a block of queries over the keys of one sequence. Keys are transposed into panels and values copied into panels
 * once a block; then, for each tile of queries: scores = scale · q kᵀ, bias, softmax, and the product with the values, all
 * in a scratch that stays in L1 and L2. Up to LT_KEYS keys that is all. More keys come LT_KEYS at a time: each row keeps a running
 * maximum and sum, and what it has summed so far is scaled down when the maximum grows (Milakov & Gimelshein 2018;
 * Dao et al. 2022). Where the cuts lie depends on the number of keys alone, and each row's chains end at its own last visible
 * key, so neither its neighbours nor keys hidden from it (be they NaN) reach its bits. */
#ifndef LATHE_KERNELS_ATTEND_H
#define LATHE_KERNELS_ATTEND_H

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
    float *keys_packed;   /* panels of [dim][LT_NR] */
    float *values_packed; /* panels of [block][LT_NR] */
    float *scores;        /* [LT_MR][score_stride] */
    float *out;           /* [LT_QUERIES][value_stride], sums of e^score · value */
    float *sum;           /* [LT_QUERIES][LT_LANES], of e^score */
    float *max;           /* [LT_QUERIES] */
} attend_state;

LT_INLINE int64_t attend_keys_at_once(int64_t nk) { return nk < LT_KEYS ? nk : LT_KEYS; }

static size_t attend_scratch(int64_t nk, int64_t dim, int64_t value_dim)
{
    const int64_t block = attend_keys_at_once(nk), values = up_to(value_dim, LT_NR);
    return (size_t)(up_to(block, LT_NR) * (dim + LT_MR) + (block + LT_QUERIES) * values + LT_QUERIES * (LT_LANES + 1)) *
           sizeof(float);
}

static attend_state attend_layout(const lt_attend_args *a, int64_t q0, void *scratch)
{
    attend_state s = {.a = a, .q0 = q0, .block = attend_keys_at_once(a->nk)};
    s.score_stride = up_to(s.block, LT_NR);
    s.value_stride = up_to(a->value_dim, LT_NR);
    s.keys_packed = scratch;
    s.values_packed = s.keys_packed + s.score_stride * a->dim;
    s.scores = s.values_packed + s.block * s.value_stride;
    s.out = s.scores + LT_MR * s.score_stride;
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

LT_INLINE void attend_product(int rows, int64_t vectors, tile_args t)
{
    const float *b = t.b;
    float *c = t.c;
    for (int64_t v = 0, width; v < vectors; v += width) {
        width = tile_width(rows, vectors - v);
        t.b = b + v / LT_NV * t.panel_stride;
        t.c = c + v * LT_LANES;
        tile_run(rows, (int)width, &t);
    }
}

/* A new maximum of row r: what it has summed so far is scaled down to match. */
static void attend_rescale(const attend_state *s, int64_t r, float max)
{
    const float factor = v_exp(v_set(s->max[r] - max))[0];
    float *out = s->out + r * s->value_stride, *sum = s->sum + r * LT_LANES;
    for (int64_t j = 0; j < s->value_stride; j += LT_LANES) v_store(out + j, v_load(out + j) * factor);
    v_store(sum, v_load(sum) * factor);
}

/* Scores become e^(score - maximum). All maxima first: one row's chain of dependent steps then overlaps the next one's. */
static void attend_softmax(const attend_state *s, int64_t r0, int rows)
{
    float *scores = s->scores;
    for (int64_t r = r0; r < r0 + rows; r++, scores += s->score_stride) {
        const float max = row_max(attend_visible_here(s, r), scores, s->max[r]);
        if (max != s->max[r] && s->k0 > 0) attend_rescale(s, r, max);
        s->max[r] = max;
    }
    scores = s->scores;
    for (int64_t r = r0; r < r0 + rows; r++, scores += s->score_stride) {
        float *sum = s->sum + r * LT_LANES;
        v_store(sum, v_load(sum) + row_exp(attend_visible_here(s, r), scores, s->max[r], scores));
    }
}

static void attend_tile(const attend_state *s, int64_t r0, int rows)
{
    const lt_attend_args *a = s->a;
    const int64_t most = attend_visible_here(s, r0 + rows - 1), fewest = attend_visible_here(s, r0);
    if (most == 0 && s->k0 > 0) return;
    attend_product(rows, (most + LT_LANES - 1) / LT_LANES,
                   (tile_args){.k = a->dim,
                               .a = (const float *)a->q + (s->q0 + r0) * a->q_stride,
                               .a_stride = a->q_stride,
                               .b = s->keys_packed,
                               .panel_stride = a->dim * LT_NR,
                               .c = s->scores,
                               .c_stride = s->score_stride,
                               .scale = (float)a->scale});
    if (a->bias) a->bias(a->bias_arg, a->head, s->q0 + r0, rows, s->k0, most, s->scores, s->score_stride);
    attend_softmax(s, r0, rows);

    /* All rows over the keys that all of them see; then each over its own last few. */
    tile_args t = {.k = fewest,
                   .a = s->scores,
                   .a_stride = s->score_stride,
                   .b = s->values_packed,
                   .panel_stride = s->block * LT_NR,
                   .c = s->out + r0 * s->value_stride,
                   .c_stride = s->value_stride,
                   .scale = 1.0f,
                   .go_on = s->k0 > 0};
    const int64_t vectors = (a->value_dim + LT_LANES - 1) / LT_LANES;
    attend_product(rows, vectors, t);
    t.b += fewest * LT_NR;
    t.go_on = true;
    for (int64_t r = 0; r < rows; r++) {
        t.k = attend_visible_here(s, r0 + r) - fewest;
        t.a = s->scores + r * s->score_stride + fewest;
        t.c = s->out + (r0 + r) * s->value_stride;
        if (t.k > 0) attend_product(1, vectors, t);
    }
}

static void attend_block(const lt_attend_args *a, int64_t q0, int64_t nq, void *scratch)
{
    attend_state s = attend_layout(a, q0, scratch);
    for (int64_t r = 0; r < nq; r++) {
        s.max[r] = -FLT_MAX; /* not -inf: a row of -inf then sums to zero, not to NaN */
        v_store(s.sum + r * LT_LANES, v_set(0.0f));
    }
    const int64_t last = attend_visible(&s, nq - 1);
    for (; s.k0 < last; s.k0 += s.block) {
        s.keys = last - s.k0 < s.block ? last - s.k0 : s.block;
        pack_panels(s.keys, s.keys, a->dim, (const float *)a->k + s.k0 * a->k_stride, a->k_stride, 1, s.keys_packed,
                    a->dim * LT_NR);
        pack_panels(a->value_dim, a->value_dim, s.keys, (const float *)a->v + s.k0 * a->v_stride, 1, a->v_stride, s.values_packed,
                    s.block * LT_NR);
        for (int64_t i = 0; i < tile_parts(nq); i++)
            attend_tile(&s, tile_start(nq, i), (int)(tile_start(nq, i + 1) - tile_start(nq, i)));
    }
    for (int64_t r = 0; r < nq; r++) {
        float *out = (float *)a->out + (q0 + r) * a->out_stride;
        const float sum = v_sum(v_load(s.sum + r * LT_LANES));
        if (sum == 0.0f)
            memset(out, 0, (size_t)a->value_dim * sizeof(float));
        else
            row_affine(a->value_dim, s.out + r * s.value_stride, 0.0f, 1.0f / sum, NULL, NULL, out);
    }
}

static void attend(const lt_attend_args *a, int64_t q0, int64_t nq, void *scratch)
{
    for (int64_t i = 0; i < nq; i += LT_QUERIES) attend_block(a, q0 + i, nq - i < LT_QUERIES ? nq - i : LT_QUERIES, scratch);
}

#endif
