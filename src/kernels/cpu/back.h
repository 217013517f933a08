/* What gradients need beside products: derivatives of activations, of norms, of softmax and of cross-entropy, and transposition. Rows are
 * independent but for sums over them (gamma, beta), which run in row order, so cutting rows into fixed chunks fixes every bit. Values that the
 * forward kernels did not keep are computed again from the input. */
#ifndef LATHE_KERNELS_BACK_H
#define LATHE_KERNELS_BACK_H

#include "kernels/cpu/pack.h"
#include "kernels/cpu/rows.h"

/* The n < LT_LANES last elements, or a whole vector. */
LT_INLINE vf row_load(const float *x, int64_t n) { return n < LT_LANES ? v_load_n(x, n, v_set(0.0f)) : v_load(x); }
LT_INLINE void row_store(float *y, int64_t n, vf v)
{
    if (n < LT_LANES)
        v_store_n(y, n, v);
    else
        v_store(y, v);
}

/* ---- activations ---- */

/* d/dx of x sigmoid(a x) and its kin: s + x s (1 - s) u', u' the derivative of what the sigmoid is taken of. */
LT_INLINE vf v_gated_slope(vf x, vf s, vf slope) { return v_fma(x * s * (1.0f - s), slope, s); }

LT_INLINE vf v_mish_slope(vf x)
{
    vf e = v_exp(v_min(v_set(30.0f), x)), t = e * (e + 2.0f);
    t = t / (t + 2.0f);
    return v_fma(x * (1.0f - t * t), v_sigmoid(x), t);
}

LT_INLINE vf v_act_slope(lt_act act, vf x)
{
    switch (act) {
    case LT_ACT_RELU:
        return v_select(x > 0.0f, v_set(1.0f), x * 0.0f); /* a NaN stays one */
    case LT_ACT_GELU: /* Phi(x) + x phi(x) */
        return v_fma(x, v_exp_negative(x * x * -0.5f) * 0.398942280f, v_normal(x));
    case LT_ACT_GELU_TANH:
        return v_gated_slope(x, v_sigmoid(1.59576912f * v_fma(x * 0.044715f, x * x, x)), 1.59576912f * v_fma(v_set(0.134145f), x * x, v_set(1.0f)));
    case LT_ACT_QUICK_GELU:
        return v_gated_slope(x, v_sigmoid(x * 1.702f), v_set(1.702f));
    case LT_ACT_SILU:
        return v_gated_slope(x, v_sigmoid(x), v_set(1.0f));
    case LT_ACT_MISH:
        return v_mish_slope(x);
    case LT_ACT_TANH: {
        vf t = v_tanh(x);
        return 1.0f - t * t;
    }
    case LT_ACT_SIGMOID: {
        vf s = v_sigmoid(x);
        return s * (1.0f - s);
    }
    case LT_ACT_RELU2:
        return 2.0f * v_relu(x);
    default:
        return v_set(1.0f);
    }
}

LT_INLINE void act_back_loop(lt_act act, int64_t n, const float *x, const float *dy, float *dx)
{
    for (int64_t i = 0; i < n; i += LT_LANES) row_store(dx + i, n - i, row_load(dy + i, n - i) * v_act_slope(act, row_load(x + i, n - i)));
}

static void act_back(lt_act act, int64_t n, const void *x, const void *dy, void *dx)
{
#define CALL(A) act_back_loop(A, n, x, dy, dx)
    V_EACH_ACT(act, CALL)
#undef CALL
}

/* ---- rows ---- */

/* Sums over a row of g and of g · (x + shift), g = dy · gamma. */
LT_INLINE void row_moments(int64_t n, const float *x, float shift, const float *gamma, const float *dy, float *of_g, float *of_gx)
{
    vf s[2] = {{0}}, t[2] = {{0}};
    int u = 0;
    for (int64_t i = 0; i < n; i += LT_LANES, u ^= 1) {
        vf g = row_load(dy + i, n - i);
        if (gamma) g *= row_load(gamma + i, n - i);
        s[u] += g;
        t[u] = v_fma(g, row_load(x + i, n - i) + shift, t[u]);
    }
    *of_g = v_sum(s[0] + s[1]);
    *of_gx = v_sum(t[0] + t[1]);
}

/* dx = factor · (g - a - x̂ b), x̂ = (x + shift) · factor; dgamma += dy x̂; dbeta += dy. */
LT_INLINE void norm_back_row(int64_t n, const float *x, float shift, float factor, const float *gamma, const float *dy, float a, float b, float *dx,
                             float *dgamma, float *dbeta)
{
    for (int64_t i = 0; i < n; i += LT_LANES) {
        const int64_t left = n - i;
        vf d = row_load(dy + i, left), g = gamma ? d * row_load(gamma + i, left) : d, hat = (row_load(x + i, left) + shift) * factor;
        if (dgamma) row_store(dgamma + i, left, v_fma(d, hat, row_load(dgamma + i, left)));
        if (dbeta) row_store(dbeta + i, left, row_load(dbeta + i, left) + d);
        if (dx) row_store(dx + i, left, (g - a - hat * b) * factor);
    }
}

static void layer_norm_back(int64_t rows, int64_t cols, const void *x, const void *gamma, double eps, const void *dy, void *dx, void *dgamma, void *dbeta)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *in = (const float *)x + r * cols, *d = (const float *)dy + r * cols, n = (float)cols;
        const float mean = row_sum(cols, in, 0.0f, false) / n, variance = row_sum(cols, in, -mean, true) / n;
        const float factor = 1.0f / __builtin_sqrtf(variance + (float)eps);
        float of_g, of_gx;
        row_moments(cols, in, -mean, gamma, d, &of_g, &of_gx);
        norm_back_row(cols, in, -mean, factor, gamma, d, of_g / n, of_gx * factor / n, dx ? (float *)dx + r * cols : NULL, dgamma, dbeta);
    }
}

static void rms_norm_back(int64_t rows, int64_t cols, const void *x, const void *gamma, double eps, const void *dy, void *dx, void *dgamma)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *in = (const float *)x + r * cols, *d = (const float *)dy + r * cols, n = (float)cols;
        const float factor = 1.0f / __builtin_sqrtf(row_sum(cols, in, 0.0f, true) / n + (float)eps);
        float of_g, of_gx;
        row_moments(cols, in, 0.0f, gamma, d, &of_g, &of_gx);
        norm_back_row(cols, in, 0.0f, factor, gamma, d, 0.0f, of_gx * factor / n, dx ? (float *)dx + r * cols : NULL, dgamma, NULL);
    }
}

/* Of x / length: (dy - y (y · dy)) / length; where the length is below eps it is a constant. */
static void l2_normalize_back(int64_t rows, int64_t cols, const void *x, double eps, const void *dy, void *dx)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *in = (const float *)x + r * cols, *d = (const float *)dy + r * cols;
        const float length = __builtin_sqrtf(row_sum(cols, in, 0.0f, true));
        const bool small = length < (float)eps;
        const float factor = 1.0f / (small ? (float)eps : length);
        float of_g, of_gx;
        row_moments(cols, in, 0.0f, NULL, d, &of_g, &of_gx);
        norm_back_row(cols, in, 0.0f, factor, NULL, d, 0.0f, small ? 0.0f : of_gx * factor, (float *)dx + r * cols, NULL, NULL);
    }
}

/* dx = scale · y (dy - Σ y dy), y the softmax; dx may be dy. */
static void softmax_back(int64_t rows, int64_t cols, const void *y, const void *dy, double scale, void *dx)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *p = (const float *)y + r * cols, *d = (const float *)dy + r * cols;
        float *out = (float *)dx + r * cols, of_g, sum;
        row_moments(cols, p, 0.0f, NULL, d, &of_g, &sum);
        for (int64_t j = 0; j < cols; j += LT_LANES)
            row_store(out + j, cols - j, row_load(p + j, cols - j) * (row_load(d + j, cols - j) - sum) * (float)scale);
    }
}

static void cross_entropy(int64_t rows, int64_t cols, const void *x, const int32_t *label, void *loss, void *dx)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *in = (const float *)x + r * cols;
        float *out = (float *)dx + r * cols;
        if (label[r] < 0) {
            ((float *)loss)[r] = 0.0f;
            if (dx) memset(out, 0, (size_t)cols * sizeof *out);
            continue;
        }
        const float max = row_max(cols, in, -FLT_MAX), own = in[label[r]];
        float sum = 0.0f;
        if (dx) {
            sum = v_sum(row_exp(false, cols, in, max, out));
            row_affine(cols, out, 0.0f, 1.0f / sum, NULL, NULL, out);
            out[label[r]] -= 1.0f;
        } else { /* as row_exp does, in two lanes' worth of sums, without keeping the terms */
            vf s[2] = {{0}};
            int64_t j = 0;
            for (; j + 2 * LT_LANES <= cols; j += 2 * LT_LANES) {
                s[0] += v_exp_negative(v_load(in + j) - max);
                s[1] += v_exp_negative(v_load(in + j + LT_LANES) - max);
            }
            for (; j < cols; j += LT_LANES)
                s[0] += v_exp_negative((cols - j < LT_LANES ? v_load_n(in + j, cols - j, v_set(-__builtin_inff())) : v_load(in + j)) - max);
            sum = v_sum(s[0] + s[1]);
        }
        ((float *)loss)[r] = __builtin_logf(sum) + (max - own);
    }
}

/* ---- elements ---- */

LT_INLINE vf v_sqrt(vf x)
{
#if defined(__AVX512F__)
    return (vf)_mm512_sqrt_ps((__m512)x);
#elif LT_LANES == 8
    return (vf)_mm256_sqrt_ps((__m256)x);
#else
    for (int i = 0; i < LT_LANES; i++) x[i] = __builtin_sqrtf(x[i]);
    return x;
#endif
}

static void transpose(int64_t rows, int64_t cols, const void *x, int64_t x_stride, void *y, int64_t y_stride)
{
    for (int64_t r = 0; r < rows; r += LT_LANES)
        for (int64_t c = 0; c < cols; c += LT_LANES) {
            const float *from = (const float *)x + r * x_stride + c;
            float *to = (float *)y + c * y_stride + r;
            vf v[LT_LANES];
            LT_UNROLL
            for (int i = 0; i < LT_LANES; i++) v[i] = r + i < rows ? pack_load(from + i * x_stride, cols - c) : v_set(0.0f);
            v_transpose(v);
            LT_UNROLL
            for (int i = 0; i < LT_LANES; i++)
                if (c + i < cols) row_store(to + i * y_stride, rows - r, v[i]);
        }
}

static void axpy(int64_t n, double a, const void *x, void *y)
{
    for (int64_t i = 0; i < n; i += LT_LANES)
        row_store((float *)y + i, n - i, v_fma(v_set((float)a), row_load((const float *)x + i, n - i), row_load((float *)y + i, n - i)));
}

/* In pieces whose sums in floats are added in double: millions of squares lose nothing. */
static double sum_squares(int64_t n, const void *x)
{
    enum { PIECE = 1024 };
    double sum = 0;
    for (int64_t i = 0; i < n; i += PIECE) sum += (double)row_sum(n - i < PIECE ? n - i : PIECE, (const float *)x + i, 0.0f, true);
    return sum;
}

#endif
