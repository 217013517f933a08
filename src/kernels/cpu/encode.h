/* Rows of numbers in fewer bits: bf16, and bytes with a scale and a zero of each row. All of a row's bits depend on that row alone. */
#ifndef LATHE_KERNELS_ENCODE_H
#define LATHE_KERNELS_ENCODE_H

#include <stdbool.h>

#include "kernels/cpu/dot.h"
#include "kernels/cpu/pack.h"
#include "lathe/kernels.h"

typedef uint16_t vh __attribute__((vector_size(2 * LT_LANES)));
typedef vh vh_mem __attribute__((aligned(2), may_alias));
typedef uint8_t vb __attribute__((vector_size(LT_LANES)));
typedef vb vb_mem __attribute__((aligned(1), may_alias));

LT_INLINE vf v_from_bf16(const uint16_t *p) { return (vf)(__builtin_convertvector(*(const vh_mem *)p, vi) << 16); }

/* The low byte, the low half of each lane. GCC 12 converts vectors to narrower ones an element at a time. */
LT_INLINE vb v_bytes(vi x)
{
#if defined(__AVX512F__)
    return (vb)_mm512_cvtepi32_epi8((__m512i)x);
#elif defined(__AVX2__)
    const __m256i quads = _mm256_shuffle_epi8((__m256i)x, _mm256_set1_epi32(0x0c080400)), order = _mm256_set1_epi64x(0x400000000);
    const int64_t low = _mm_cvtsi128_si64(_mm256_castsi256_si128(_mm256_permutevar8x32_epi32(quads, order)));
    return (vb)low;
#else
    return __builtin_convertvector(x, vb);
#endif
}

LT_INLINE vh v_halves(vi x)
{
#if defined(__AVX512F__)
    return (vh)_mm512_cvtepi32_epi16((__m512i)x);
#elif defined(__AVX2__)
    const __m256i even = _mm256_set1_epi64x(0x0d0c090805040100);
    return (vh)_mm256_castsi256_si128(_mm256_permute4x64_epi64(_mm256_shuffle_epi8((__m256i)x, even), 0x08));
#else
    return __builtin_convertvector(x, vh);
#endif
}

LT_INLINE vh v_bf16(vf x)
{
#ifdef __AVX512BF16__
    return (vh)_mm512_cvtneps_pbh((__m512)x);
#else
    vi bits = (vi)x, even = bits + 0x7fff + ((bits >> 16) & 1);
    return v_halves(((x != x) & ((bits >> 16) | 0x40)) | (~(x != x) & (even >> 16)));
#endif
}

LT_INLINE void v_store_bf16(uint16_t *p, vf x) { *(vh_mem *)p = v_bf16(x); }

LT_INLINE void v_store_bf16_n(uint16_t *p, int64_t n, vf x)
{
    vh t = v_bf16(x);
    memcpy(p, &t, (size_t)n * sizeof *p);
}

LT_INLINE vf v_from_bf16_n(const uint16_t *p, int64_t n)
{
    uint16_t t[LT_LANES] = {0};
    memcpy(t, p, (size_t)n * sizeof *p);
    return v_from_bf16(t);
}

/* ---- bf16 ---- */

static void row_to_bf16(int64_t n, const float *x, uint16_t *y)
{
    int64_t i = 0;
    for (; i + LT_LANES <= n; i += LT_LANES) v_store_bf16(y + i, v_load(x + i));
    if (i < n) v_store_bf16_n(y + i, n - i, v_load_n(x + i, n - i, v_set(0.0f)));
}

#if LT_HAS_BF16
static int64_t bf16_row_bytes(int64_t k) { return (2 * k + 63) / 64 * 64; }

static void bf16_encode(int64_t rows, int64_t k, const void *x, bool x_bf16, int64_t x_stride, const lt_coding *how, lt_coded_rows *to)
{
    for (int64_t r = 0; r < rows; r++) {
        uint16_t *y = (uint16_t *)((char *)to->data + r * to->stride);
        if (x_bf16)
            memcpy(y, (const uint16_t *)x + r * x_stride, (size_t)k * sizeof *y);
        else
            row_to_bf16(k, (const float *)x + r * x_stride, y);
        memset(y + k, 0, (size_t)(bf16_row_bytes(k) - 2 * k));
    }
}

/* A square at a time, turned in registers. */
static void bf16_encode_turned(int64_t rows, int64_t k, const float *x, int64_t x_stride, lt_coded_rows *to)
{
    for (int64_t r = 0; r < rows; r += LT_LANES) {
        const int64_t n = rows - r < LT_LANES ? rows - r : LT_LANES;
        uint16_t *y[LT_LANES];
        for (int64_t j = 0; j < LT_LANES; j++) y[j] = (uint16_t *)((char *)to->data + (r + (j < n ? j : 0)) * to->stride);
        for (int64_t i = 0; i < k; i += LT_LANES) {
            const int64_t depth = k - i < LT_LANES ? k - i : LT_LANES;
            vf v[LT_LANES];
            LT_UNROLL
            for (int l = 0; l < LT_LANES; l++) {
                v[l] = l < depth ? pack_load(x + (i + l) * x_stride + r, n) : v_set(0.0f);
                __builtin_prefetch(x + (i + l + LT_LANES) * x_stride + r);
            }
            v_transpose(v);
            LT_UNROLL
            for (int j = 0; j < LT_LANES; j++) {
                if (j >= n) break;
                if (depth == LT_LANES) v_store_bf16(y[j] + i, v[j]);
                else v_store_bf16_n(y[j] + i, depth, v[j]);
            }
        }
        for (int64_t j = 0; j < n; j++) memset(y[j] + k, 0, (size_t)(bf16_row_bytes(k) - 2 * k));
    }
}

#endif

/* ---- int8 ---- */

typedef struct int8_source { /* one row as floats */
    const float *f;
    const uint16_t *h;
    const float *multiply;
} int8_source;

LT_INLINE vf int8_load(const int8_source *s, int64_t i, int64_t n)
{
    vf x = n >= LT_LANES ? (s->f ? v_load(s->f + i) : v_from_bf16(s->h + i)) : s->f ? v_load_n(s->f + i, n, v_set(0.0f)) : v_from_bf16_n(s->h + i, n);
    if (s->multiply) x *= n >= LT_LANES ? v_load(s->multiply + i) : v_load_n(s->multiply + i, n, v_set(0.0f));
    return x;
}

LT_INLINE bool v_any(vi mask)
{
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
    return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#else
    int32_t any = 0;
    for (int i = 0; i < LT_LANES; i++) any |= mask[i];
    return any != 0;
#endif
}

/* Outliers count as zero; a threshold of NaN has none. */
LT_INLINE vf int8_inlier(vf x, float threshold) { return v_select(v_abs(x) >= threshold, v_set(0.0f), x); }

typedef struct int8_range {
    float low, high; /* of inliers and zero; NaN where one is not finite */
    int32_t outliers;
} int8_range;

/* The largest magnitude's bits, as an integer: it tells outliers, infinities and NaN, which is larger still. */
LT_INLINE int32_t int8_largest(vi top)
{
    int32_t most = 0;
    for (int i = 0; i < LT_LANES; i++) most = top[i] > most ? top[i] : most;
    return most;
}

LT_INLINE vi v_larger(vi a, vi b)
{
#if defined(__AVX512F__)
    return (vi)_mm512_max_epi32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b);
#else
    return ((a > b) & a) | (~(a > b) & b);
#endif
}

/* Lists outliers, and finds the range of the others. */
static int8_range int8_sort_out(int64_t k, const int8_source *s, float threshold, lt_outlier *list)
{
    vf low = v_set(0.0f), high = low, poison = low;
    int32_t n = 0;
    for (int64_t i = 0; i < k; i += LT_LANES) {
        vf all = int8_load(s, i, k - i), x = int8_inlier(all, threshold);
        low = v_min(low, x);
        high = v_max(high, x);
        poison = v_fma(x, v_set(0.0f), poison);
        if (!v_any(v_abs(all) >= threshold)) continue;
        for (int l = 0; l < LT_LANES && i + l < k; l++)
            if (__builtin_fabsf(all[l]) >= threshold) list[n++] = (lt_outlier){(int32_t)(i + l), all[l]};
    }
    const float bad = v_sum(poison); /* NaN once an inlier is not finite */
    return (int8_range){-v_largest(-low) + bad, v_largest(high) + bad, n};
}

/* One pass is enough for most rows, which have no outliers. */
LT_INLINE int8_range int8_scan(int64_t k, const int8_source *s, float threshold, lt_outlier *list)
{
    vf low[2] = {v_set(0.0f), v_set(0.0f)}, high[2] = {low[0], low[0]};
    vi top[2] = {{0}, {0}};
    int64_t i = 0;
    for (; i + 2 * LT_LANES <= k; i += 2 * LT_LANES) {
        LT_UNROLL
        for (int u = 0; u < 2; u++) {
            vf x = int8_load(s, i + u * LT_LANES, LT_LANES);
            low[u] = v_min(low[u], x);
            high[u] = v_max(high[u], x);
            top[u] = v_larger(top[u], (vi)v_abs(x));
        }
    }
    for (; i < k; i += LT_LANES) {
        vf x = int8_load(s, i, k - i);
        low[0] = v_min(low[0], x);
        high[0] = v_max(high[0], x);
        top[0] = v_larger(top[0], (vi)v_abs(x));
    }
    const int32_t most = int8_largest(v_larger(top[0], top[1]));
    float largest;
    memcpy(&largest, &most, sizeof largest);
    if (!(largest < threshold) && !(threshold != threshold && largest <= FLT_MAX)) return int8_sort_out(k, s, threshold, list);
    return (int8_range){-v_largest(v_max(-low[0], -low[1])), v_largest(v_max(high[0], high[1])), 0};
}

LT_INLINE void int8_row(int64_t k, const int8_source *s, const lt_coding *how, float threshold, uint8_t *y, lt_code *code, lt_outlier *list)
{
    int8_range in = int8_scan(k, s, threshold, list);
    float steps = 255.0f;
    if (how->symmetric) {
        in.low = in.high > -in.low ? -in.high : in.low;
        in.high = -in.low;
        steps = 254.0f;
    }
    /* A range this small is zero for all purposes, and its inverse is still finite otherwise. */
    const float range = in.high - in.low;
    const bool normal = range >= 0x1p-100f && range <= FLT_MAX;
    const float inverse = normal ? steps / range : 0.0f, zero = !normal ? 0.0f : how->symmetric ? 128.0f : __builtin_rintf(-in.low * inverse);
    code->scale = normal ? range / steps : range < 0x1p-100f ? 0.0f : __builtin_nanf("");
    code->zero = LT_CODES == 4 ? (int32_t)zero : 0; /* wider codes have it taken off */
    code->outliers = in.outliers;
    const bool filter = in.outliers > 0;
    const vf magic = v_set(12582912.0f), shift = v_set(zero); /* 1.5 · 2^23: its last bits are a rounded integer's */
    for (int64_t i = 0; i < k; i += LT_LANES) {
        vf x = int8_load(s, i, k - i);
        if (filter) x = int8_inlier(x, threshold);
        vf t = v_min(v_set(255.0f), v_max(v_set(0.0f), v_fma(x, v_set(inverse), shift))) + magic;
        if (LT_CODES == 4)
            *(vb_mem *)(y + i) = v_bytes((vi)t);
        else
            *(vh_mem *)(y + 2 * i) = v_halves(((vi)t & 0x1ff) - (int32_t)zero);
    }
}

static int64_t int8_row_bytes(int64_t k) { return (k * 4 / LT_CODES + 63) / 64 * 64; }

static void int8_encode(int64_t rows, int64_t k, const void *x, bool x_bf16, int64_t x_stride, const lt_coding *how, lt_coded_rows *to)
{
    int64_t listed = 0;
    for (int64_t r = 0; r < rows; r++) {
        int8_source s = {.f = x_bf16 ? NULL : (const float *)x + r * x_stride,
                         .h = x_bf16 ? (const uint16_t *)x + r * x_stride : NULL,
                         .multiply = how->multiply};
        uint8_t *y = (uint8_t *)to->data + r * to->stride;
        to->code[r].outlier = listed;
        int8_row(k, &s, how, how->threshold > 0.0f ? how->threshold : __builtin_nanf(""), y, &to->code[r], to->outlier + listed);
        listed += to->code[r].outliers;
        memset(y + k * 4 / LT_CODES, 0, (size_t)(int8_row_bytes(k) - k * 4 / LT_CODES));
    }
}

#endif
