/* What walks over rows of numbers: sums and maxima, norms, softmax, and the elementwise operations. A row's reduction runs over
 * LT_LANES × 4 partial sums in an order that only the row's length decides. Sums are of the element type, so squares
 * of more than 1e38 in all overflow as they do in any float32 engine. NaN spreads over its row. */
#ifndef LATHE_KERNELS_ROWS_H
#define LATHE_KERNELS_ROWS_H

#include <stdbool.h>

#include "kernels/cpu/act.h"
#include "kernels/cpu/encode.h"

/* sum += f(x + shift) over a row; f(x) = x, or its square. Four sums hide the latency of an addition. */
LT_INLINE float row_sum(int64_t n, const float *x, float shift, bool square)
{
    vf s[4] = {{0}};
    const vf away = v_set(-shift); /* lanes past the end become zero by the shift */
    int64_t i = 0;
    for (; i + 4 * LT_LANES <= n; i += 4 * LT_LANES) {
        LT_UNROLL
        for (int u = 0; u < 4; u++) {
            vf d = v_load(x + i + u * LT_LANES) + shift;
            s[u] = square ? v_fma(d, d, s[u]) : s[u] + d;
        }
    }
    for (int u = 0; i < n; i += LT_LANES, u++) {
        vf d = (n - i < LT_LANES ? v_load_n(x + i, n - i, away) : v_load(x + i)) + shift;
        s[u] = square ? v_fma(d, d, s[u]) : s[u] + d;
    }
    return v_sum((s[0] + s[1]) + (s[2] + s[3]));
}

/* y = (x + shift) * factor, then * gamma and + beta where there are. */
LT_INLINE void row_affine(int64_t n, const float *x, float shift, float factor, const float *gamma, const float *beta, float *y)
{
    const vf zero = v_set(0.0f);
    int64_t i = 0;
    for (; i + LT_LANES <= n; i += LT_LANES) {
        vf v = (v_load(x + i) + shift) * factor;
        if (gamma) v *= v_load(gamma + i);
        if (beta) v += v_load(beta + i);
        v_store(y + i, v);
    }
    if (i == n) return;
    vf v = (v_load_n(x + i, n - i, zero) + shift) * factor;
    if (gamma) v *= v_load_n(gamma + i, n - i, zero);
    if (beta) v += v_load_n(beta + i, n - i, zero);
    v_store_n(y + i, n - i, v);
}

static void layer_norm(int64_t rows, int64_t cols, const void *x, const void *gamma, const void *beta, double eps, void *y)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *in = (const float *)x + r * cols;
        float mean = row_sum(cols, in, 0.0f, false) / (float)cols;
        float variance = row_sum(cols, in, -mean, true) / (float)cols;
        row_affine(cols, in, -mean, 1.0f / __builtin_sqrtf(variance + (float)eps), gamma, beta, (float *)y + r * cols);
    }
}

static void rms_norm(int64_t rows, int64_t cols, const void *x, const void *gamma, double eps, void *y)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *in = (const float *)x + r * cols;
        float square = row_sum(cols, in, 0.0f, true) / (float)cols;
        row_affine(cols, in, 0.0f, 1.0f / __builtin_sqrtf(square + (float)eps), gamma, NULL, (float *)y + r * cols);
    }
}

static void l2_normalize(int64_t rows, int64_t cols, const void *x, double eps, void *y)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *in = (const float *)x + r * cols;
        float length = __builtin_sqrtf(row_sum(cols, in, 0.0f, true));
        row_affine(cols, in, 0.0f, 1.0f / (length < (float)eps ? (float)eps : length), NULL, NULL, (float *)y + r * cols);
    }
}

/* The largest element, `floor` at least. A NaN may be passed over: the sum of exponentials will find it. */
LT_INLINE float row_max(int64_t n, const float *x, float floor)
{
    vf m[4];
    for (int u = 0; u < 4; u++) m[u] = v_set(floor);
    int64_t i = 0;
    for (; i + 4 * LT_LANES <= n; i += 4 * LT_LANES) {
        LT_UNROLL
        for (int u = 0; u < 4; u++) m[u] = v_max(m[u], v_load(x + i + u * LT_LANES));
    }
    for (; i < n; i += LT_LANES) m[0] = v_max(m[0], n - i < LT_LANES ? v_load_n(x + i, n - i, v_set(floor)) : v_load(x + i));
    return v_largest(v_max(v_max(m[0], m[1]), v_max(m[2], m[3])));
}

/* y = e^(x - max), in f32, or (H) rounded to bf16 with the last pair filled up with zero. Returns the exact ones' sum, in lanes. */
LT_INLINE vf row_exp(const bool H, int64_t n, const float *x, float max, void *y)
{
    float *f = y;
    uint16_t *h = y;
    vf s[2] = {{0}};
    int64_t i = 0;
    for (; i + 2 * LT_LANES <= n; i += 2 * LT_LANES) {
        LT_UNROLL
        for (int u = 0; u < 2; u++) {
            vf e = v_exp_negative(v_load(x + i + u * LT_LANES) - max);
            if (H)
                v_store_bf16(h + i + u * LT_LANES, e);
            else
                v_store(f + i + u * LT_LANES, e);
            s[u] += e;
        }
    }
    for (; i < n; i += LT_LANES) { /* what lies past the end becomes e^-inf = 0 */
        const int64_t left = n - i < LT_LANES ? n - i : LT_LANES;
        vf e = v_exp_negative((left == LT_LANES ? v_load(x + i) : v_load_n(x + i, left, v_set(-__builtin_inff()))) - max);
        if (H)
            v_store_bf16_n(h + i, left + left % 2, e);
        else if (left == LT_LANES)
            v_store(f + i, e);
        else
            v_store_n(f + i, left, e);
        s[0] += e;
    }
    return s[0] + s[1];
}

/* The maximum starts above -inf, so that a row of nothing but -inf sums to zero, not NaN. */
static void softmax(int64_t rows, int64_t cols, const void *x, void *y)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *in = (const float *)x + r * cols;
        float *out = (float *)y + r * cols, sum = v_sum(row_exp(false, cols, in, row_max(cols, in, -FLT_MAX), out));
        row_affine(cols, out, 0.0f, sum == 0.0f ? 0.0f : 1.0f / sum, NULL, NULL, out);
    }
}

/* ---- elementwise ------------------------------------------------------------------------------------------------- */

static void add_n(int64_t n, const float *x, const float *z, float *y)
{
    int64_t i = 0;
    for (; i + LT_LANES <= n; i += LT_LANES) v_store(y + i, v_load(x + i) + v_load(z + i));
    for (; i < n; i++) y[i] = x[i] + z[i];
}

static void add(int64_t n, const void *x, const void *z, void *y) { add_n(n, x, z, y); }

static void add_row(int64_t rows, int64_t cols, const void *x, const void *row, void *y)
{
    for (int64_t r = 0; r < rows; r++) add_n(cols, (const float *)x + r * cols, row, (float *)y + r * cols);
}

static void mul(int64_t n, const void *x, const void *z, void *y)
{
    const float *a = x, *b = z;
    float *out = y;
    int64_t i = 0;
    for (; i + LT_LANES <= n; i += LT_LANES) v_store(out + i, v_load(a + i) * v_load(b + i));
    for (; i < n; i++) out[i] = a[i] * b[i];
}

static void scale(int64_t n, double a, const void *x, void *y)
{
    const float *in = x, by = (float)a;
    float *out = y;
    int64_t i = 0;
    for (; i + LT_LANES <= n; i += LT_LANES) v_store(out + i, v_load(in + i) * by);
    for (; i < n; i++) out[i] = in[i] * by;
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */

/* A NaN, once met, stays: neither side of a comparison with it is true, so it is asked for by name. */
LT_INLINE vf v_max_or_nan(vf m, vf x) { return v_select((x > m) | (x != x), x, m); }

LT_INLINE void col_fold(int64_t rows, int64_t cols, const float *x, int64_t stride, float *out, bool max)
{
    const vf zero = v_set(0.0f);
    int64_t j = 0;
    for (; j + 4 * LT_LANES <= cols; j += 4 * LT_LANES) {
        vf s[4];
        LT_UNROLL
        for (int u = 0; u < 4; u++) s[u] = v_load(x + j + u * LT_LANES);
        for (int64_t r = 1; r < rows; r++) {
            LT_UNROLL
            for (int u = 0; u < 4; u++) {
                vf v = v_load(x + r * stride + j + u * LT_LANES);
                s[u] = max ? v_max_or_nan(s[u], v) : s[u] + v;
            }
        }
        LT_UNROLL
        for (int u = 0; u < 4; u++) v_store(out + j + u * LT_LANES, s[u]);
    }
    for (; j < cols; j += LT_LANES) {
        const int64_t n = cols - j < LT_LANES ? cols - j : LT_LANES;
        vf s = n < LT_LANES ? v_load_n(x + j, n, zero) : v_load(x + j);
        for (int64_t r = 1; r < rows; r++) {
            vf v = n < LT_LANES ? v_load_n(x + r * stride + j, n, zero) : v_load(x + r * stride + j);
            s = max ? v_max_or_nan(s, v) : s + v;
        }
        if (n < LT_LANES)
            v_store_n(out + j, n, s);
        else
            v_store(out + j, s);
    }
}

static void col_sum(int64_t rows, int64_t cols, const void *x, int64_t stride, void *out)
{
    col_fold(rows, cols, x, stride, out, false);
}

static void col_max(int64_t rows, int64_t cols, const void *x, int64_t stride, void *out)
{
    col_fold(rows, cols, x, stride, out, true);
}

#endif
