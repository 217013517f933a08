/* What follows a product: a tile's sums stand in a buffer in L1 and become rows of the result. Codes' integers are made floats; then bias,
 * activation, residual, each rounded; then perhaps bf16. */
#ifndef LATHE_KERNELS_FINISH_H
#define LATHE_KERNELS_FINISH_H

#include "kernels/cpu/act.h"
#include "kernels/cpu/encode.h"
#include "kernels/cpu/tile.h"

typedef struct sums { /* of a tile, and where they go */
    const float *tile;
    int64_t tile_stride, cols;
    const float *bias, *residual;
    int64_t residual_stride;
    void *c;
    int64_t c_stride;
    const lt_code *code;        /* of its first row; int8 only, as are: */
    const lt_outlier *outlier;
    const float *scale, *words; /* of its first column, a panel's first: int32 sums of weights stand LT_NR after the scales */
} sums;

/* Bias, residual and result of rows r … and columns j …, `cols` of them at most. */
LT_INLINE void sums_place(sums *s, int64_t r, int64_t j, int64_t cols, void *c, int64_t c_stride, const lt_gemm_epilogue *e)
{
    s->cols = cols;
    s->bias = e->bias ? (const float *)e->bias + j : NULL;
    s->residual = e->residual ? (const float *)e->residual + r * e->residual_stride + j : NULL;
    s->residual_stride = e->residual_stride;
    s->c = (char *)c + (r * c_stride + j) * (e->to_bf16 ? 2 : 4);
    s->c_stride = c_stride;
}

/* Weights k of columns j … of a panel. */
LT_INLINE vi int8_weights(const float *words, int64_t k, int64_t j)
{
    const char *p = (const char *)words + (k / LT_CODES * LT_NR + j) * LT_CODES;
    const int shift = 24 - (int)(k % LT_CODES) * 8;
    if (LT_CODES == 4) return (v_load_words(p) << shift) >> 24;
    return (__builtin_convertvector(*(const vh_mem *)p, vi) << shift) >> 24;
}

/* What belongs to V vectors of columns, read once for all rows: for all that a compiler knows, results are stored over it. */
typedef struct sums_columns {
    vf bias[LT_NV], scale[LT_NV];
    vi weights[LT_NV];
} sums_columns;

LT_INLINE sums_columns columns_load(const lt_word KIND, const int V, const sums *s, int64_t j, int64_t left)
{
    sums_columns c;
    LT_UNROLL
    for (int v = 0; v < V; v++) {
        c.bias[v] = !s->bias ? v_set(0.0f) : left >= LT_LANES ? v_load(s->bias + j + v * LT_LANES) : v_load_n(s->bias + j, left, v_set(0.0f));
        if (KIND != LT_WORD_INT8) continue;
        c.scale[v] = v_load(s->scale + j + v * LT_LANES);
        c.weights[v] = v_load_words(s->scale + LT_NR + j + v * LT_LANES);
    }
    return c;
}

/* V vectors of row r from column j on, side by side: one's chain of dependent steps then overlaps the other's. `left` elements of the last one
 * are there, which is not whole only where V is 1. Integers become floats: less zero · Σ w, times the row's scale, outliers added, times
 * the column's scale. */
LT_INLINE void finish_vectors(const lt_word KIND, const lt_act act, const bool to_bf16, const int V, const sums *s, const sums_columns *columns, int r,
                              int64_t j, int64_t left)
{
    const bool whole = left >= LT_LANES;
    const float *tile = s->tile + r * s->tile_stride + j, *z = s->residual ? s->residual + r * s->residual_stride + j : NULL;
    vf y[LT_NV];
    if (KIND == LT_WORD_INT8) {
        const lt_code *code = &s->code[r];
        LT_UNROLL
        for (int v = 0; v < V; v++)
            y[v] = __builtin_convertvector(v_load_words(tile + v * LT_LANES) - code->zero * columns->weights[v], vf) * code->scale;
        for (const lt_outlier *o = s->outlier + code->outlier, *end = o + code->outliers; o < end; o++) {
            LT_UNROLL
            for (int v = 0; v < V; v++)
                y[v] = v_fma(v_set(o->value), __builtin_convertvector(int8_weights(s->words, o->at, j + v * LT_LANES), vf), y[v]);
        }
        LT_UNROLL
        for (int v = 0; v < V; v++) y[v] = v_fma(y[v], columns->scale[v], columns->bias[v]);
    } else {
        LT_UNROLL
        for (int v = 0; v < V; v++) {
            y[v] = v_load(tile + v * LT_LANES);
            if (s->bias) y[v] += columns->bias[v];
        }
    }
    LT_UNROLL
    for (int v = 0; v < V; v++) y[v] = act == LT_ACT_GELU && to_bf16 ? v_gelu_short(y[v]) : v_act(act, y[v]);
    if (z) {
        LT_UNROLL
        for (int v = 0; v < V; v++) y[v] += whole ? v_load(z + v * LT_LANES) : v_load_n(z, left, v_set(0.0f));
    }
    float *c = (float *)s->c + r * s->c_stride + j;
    uint16_t *h = (uint16_t *)s->c + r * s->c_stride + j;
    LT_UNROLL
    for (int v = 0; v < V; v++) {
        if (to_bf16 && whole) v_store_bf16(h + v * LT_LANES, y[v]);
        if (to_bf16 && !whole) v_store_bf16_n(h, left, y[v]);
        if (!to_bf16 && whole) v_store(c + v * LT_LANES, y[v]);
        if (!to_bf16 && !whole) v_store_n(c, left, y[v]);
    }
}

LT_INLINE void finish_rows(const lt_word KIND, const lt_act act, const bool to_bf16, int rows, const sums *given)
{
    const sums s = *given;
    int64_t j = 0;
    for (; j + LT_NR <= s.cols; j += LT_NR) {
        const sums_columns columns = columns_load(KIND, LT_NV, &s, j, LT_NR);
        for (int r = 0; r < rows; r++) finish_vectors(KIND, act, to_bf16, LT_NV, &s, &columns, r, j, LT_NR);
    }
    for (; j < s.cols; j += LT_LANES) {
        const sums_columns columns = columns_load(KIND, 1, &s, j, s.cols - j);
        for (int r = 0; r < rows; r++) finish_vectors(KIND, act, to_bf16, 1, &s, &columns, r, j, s.cols - j);
    }
}

LT_INLINE void finish(const lt_word KIND, const lt_gemm_epilogue *e, int rows, const sums *s)
{
#define CALL(A)                                                                                                                    \
    if (e->to_bf16)                                                                                                                \
        finish_rows(KIND, A, true, rows, s);                                                                                       \
    else                                                                                                                           \
        finish_rows(KIND, A, false, rows, s)
    V_EACH_ACT(e->act, CALL)
#undef CALL
}

static void finish_floats(const lt_gemm_epilogue *e, int rows, const sums *s) { finish(LT_WORD_F32, e, rows, s); }
static void finish_codes(const lt_gemm_epilogue *e, int rows, const sums *s) { finish(LT_WORD_INT8, e, rows, s); }

static const lt_gemm_epilogue no_epilogue;

#endif
