/* The reference: every kernel as plainly as it can be said, one source for float and double (-DLT_REAL=…). Products are the chains
 * of fused multiply-adds that the contract names; sums, norms, activations and softmax are computed in double and rounded once, so
 * other tables agree with them within a stated tolerance. f64 here is what gradients are checked in. */
#include <math.h>
#include <string.h>

#include "kernels/tables.h"

typedef LT_REAL real;
#define NAME_(type) lt_kernels_ref_##type
#define NAME(type) NAME_(type)
#define FMA(a, b, c) _Generic((real)0, float : fmaf, double : fma)(a, b, c)

#define PRODUCTS_float {&lt_product_ref_bf16, &lt_product_ref_int8, &lt_product_ref_int4}
#define PRODUCTS_double {NULL}
#define PRODUCTS_(type) PRODUCTS_##type
#define PRODUCTS_OF(type) PRODUCTS_(type)
#define PRODUCTS PRODUCTS_OF(LT_REAL)

enum { NR = LT_REF_NR, BLOCK = 32 };

/* ---- products ---------------------------------------------------------------------------------------------------- */

static void pack(int64_t n, int64_t k, const void *b, int64_t stride_n, int64_t stride_k, void *packed)
{
    real *out = packed;
    for (int64_t j0 = 0; j0 < n; j0 += NR)
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = j0; j < j0 + NR; j++) *out++ = j < n ? ((const real *)b)[j * stride_n + i * stride_k] : 0;
}

static const real *column(const void *packed, int64_t k, int64_t j) { return (const real *)packed + j / NR * NR * k + j % NR; }

static void unpack_row(int64_t k, const void *packed, int64_t j, void *out)
{
    const real *p = column(packed, k, j);
    for (int64_t i = 0; i < k; i++) ((real *)out)[i] = p[i * NR];
}

static double sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }

static double activate(lt_act act, double x)
{
    switch (act) {
    case LT_ACT_RELU:
        return x < 0 ? 0 : x;
    case LT_ACT_GELU:
        return x * 0.5 * erfc(-x * 0.70710678118654752440);
    case LT_ACT_GELU_TANH:
        return x * sigmoid(2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x));
    case LT_ACT_QUICK_GELU:
        return x * sigmoid(1.702 * x);
    case LT_ACT_SILU:
        return x * sigmoid(x);
    case LT_ACT_MISH:
        return x * tanh(x > 40 ? x : log1p(exp(x)));
    case LT_ACT_TANH:
        return tanh(x);
    case LT_ACT_SIGMOID:
        return sigmoid(x);
    case LT_ACT_RELU2:
        return x < 0 ? 0 : x * x;
    default:
        return x;
    }
}

static void gemm(int64_t m, int64_t n, int64_t k, const void *a, int64_t a_stride, const void *packed, void *c, int64_t c_stride,
                 const lt_gemm_epilogue *e)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            const real *x = (const real *)a + i * a_stride, *w = column(packed, k, j);
            real y = 0;
            for (int64_t block = 0; block < k; block += LT_CHAIN) {
                real chain = 0;
                for (int64_t l = block; l < k && l < block + LT_CHAIN; l++) chain = FMA(x[l], w[l * NR], chain);
                y = block ? y + chain : chain;
            }
            if (e && e->bias) y += ((const real *)e->bias)[j];
            if (e) y = (real)activate(e->act, y);
            if (e && e->residual) y += ((const real *)e->residual)[i * e->residual_stride + j];
            ((real *)c)[i * c_stride + j] = y;
        }
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void act(lt_act act, int64_t n, const void *x, void *y)
{
    for (int64_t i = 0; i < n; i++) ((real *)y)[i] = (real)activate(act, ((const real *)x)[i]);
}

static void add(int64_t n, const void *x, const void *z, void *y)
{
    for (int64_t i = 0; i < n; i++) ((real *)y)[i] = ((const real *)x)[i] + ((const real *)z)[i];
}

static void mul(int64_t n, const void *x, const void *z, void *y)
{
    for (int64_t i = 0; i < n; i++) ((real *)y)[i] = ((const real *)x)[i] * ((const real *)z)[i];
}

static void scale(int64_t n, double a, const void *x, void *y)
{
    for (int64_t i = 0; i < n; i++) ((real *)y)[i] = (real)a * ((const real *)x)[i];
}

static void add_row(int64_t rows, int64_t cols, const void *x, const void *row, void *y)
{
    for (int64_t r = 0; r < rows; r++) add(cols, (const real *)x + r * cols, row, (real *)y + r * cols);
}

/* Σ (x - shift)^power */
static double row_sum(int64_t n, const real *x, double shift, int power)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += power == 2 ? (x[i] - shift) * (x[i] - shift) : x[i] - shift;
    return s;
}

static void layer_norm(int64_t rows, int64_t cols, const void *x, const void *gamma, const void *beta, double eps, void *y)
{
    const real *g = gamma, *b = beta;
    for (int64_t r = 0; r < rows; r++) {
        const real *in = (const real *)x + r * cols;
        double mean = row_sum(cols, in, 0, 1) / (double)cols, factor = 1 / sqrt(row_sum(cols, in, mean, 2) / (double)cols + eps);
        for (int64_t j = 0; j < cols; j++)
            ((real *)y)[r * cols + j] = (real)((in[j] - mean) * factor * (g ? (double)g[j] : 1) + (b ? (double)b[j] : 0));
    }
}

static void rms_norm(int64_t rows, int64_t cols, const void *x, const void *gamma, double eps, void *y)
{
    const real *g = gamma;
    for (int64_t r = 0; r < rows; r++) {
        const real *in = (const real *)x + r * cols;
        double factor = 1 / sqrt(row_sum(cols, in, 0, 2) / (double)cols + eps);
        for (int64_t j = 0; j < cols; j++) ((real *)y)[r * cols + j] = (real)(in[j] * factor * (g ? (double)g[j] : 1));
    }
}

static void l2_normalize(int64_t rows, int64_t cols, const void *x, double eps, void *y)
{
    for (int64_t r = 0; r < rows; r++) {
        const real *in = (const real *)x + r * cols;
        double length = sqrt(row_sum(cols, in, 0, 2));
        for (int64_t j = 0; j < cols; j++) ((real *)y)[r * cols + j] = (real)(in[j] / (length < eps ? eps : length));
    }
}

/* A row of -inf becomes zeros; a NaN makes its whole row NaN. */
static void softmax_row(int64_t n, const real *x, real *y)
{
    double max = -INFINITY, sum = 0;
    bool nan = false;
    for (int64_t j = 0; j < n; j++) {
        nan |= isnan(x[j]);
        if (x[j] > max) max = x[j];
    }
    if (max == -INFINITY && !nan) max = 0;
    for (int64_t j = 0; j < n; j++) sum += exp(x[j] - max);
    for (int64_t j = 0; j < n; j++) y[j] = nan ? (real)NAN : sum == 0 ? 0 : (real)(exp(x[j] - max) / sum);
}

static void softmax(int64_t rows, int64_t cols, const void *x, void *y)
{
    for (int64_t r = 0; r < rows; r++) softmax_row(cols, (const real *)x + r * cols, (real *)y + r * cols);
}

static void col_sum(int64_t rows, int64_t cols, const void *x, int64_t stride, void *out)
{
    memcpy(out, x, (size_t)cols * sizeof(real));
    for (int64_t r = 1; r < rows; r++) add(cols, out, (const real *)x + r * stride, out);
}

static void col_max(int64_t rows, int64_t cols, const void *x, int64_t stride, void *out)
{
    real *m = out;
    memcpy(out, x, (size_t)cols * sizeof(real));
    for (int64_t r = 1; r < rows; r++)
        for (int64_t j = 0; j < cols; j++) {
            real v = ((const real *)x)[r * stride + j];
            if (v > m[j] || isnan(v)) m[j] = v;
        }
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

static size_t attend_scratch(int64_t nk, int64_t dim, int64_t value_dim) { return (size_t)nk * sizeof(real); }

static void attend_row(const lt_attend_args *a, int64_t i, real *scores)
{
    int64_t n = a->causal ? i + 1 + a->nk - a->nq_total : a->nk;
    n = n < 0 ? 0 : n > a->nk ? a->nk : n;
    const real *q = (const real *)a->q + i * a->q_stride;
    for (int64_t j = 0; j < n; j++) {
        const real *k = (const real *)a->k + j * a->k_stride;
        double s = 0;
        for (int64_t d = 0; d < a->dim; d++) s += (double)q[d] * (double)k[d];
        scores[j] = (real)(a->scale * s);
    }
    if (a->bias && n > 0) a->bias(a->bias_arg, a->head, i, 1, 0, n, scores, n);
    bool nothing = true; /* all of it -inf: zeros, whatever the values are */
    for (int64_t j = 0; j < n; j++) nothing = nothing && scores[j] == -(real)INFINITY;
    softmax_row(n, scores, scores);
    for (int64_t d = 0; d < a->value_dim; d++) {
        double s = 0;
        for (int64_t j = 0; j < n && !nothing; j++) s += (double)scores[j] * (double)((const real *)a->v)[j * a->v_stride + d];
        ((real *)a->out)[i * a->out_stride + d] = (real)s;
    }
}

static void attend(const lt_attend_args *a, int64_t q0, int64_t nq, void *scratch)
{
    for (int64_t i = q0; i < q0 + nq; i++) attend_row(a, i, scratch);
}

#include "kernels/ref/back.h"

const lt_kernels NAME(LT_REAL) = {
    .isa = sizeof(real) == sizeof(float) ? "ref" : "ref64",
    .elem = sizeof(real),
    .nr = NR,
    .pack = pack,
    .unpack_row = unpack_row,
    .gemm = gemm,
    .attend = attend,
    .attend_scratch = attend_scratch,
    .attend_block = BLOCK,
    .act = act,
    .add = add,
    .mul = mul,
    .scale = scale,
    .add_row = add_row,
    .layer_norm = layer_norm,
    .rms_norm = rms_norm,
    .softmax = softmax,
    .l2_normalize = l2_normalize,
    .col_sum = col_sum,
    .col_max = col_max,
    .transpose = transpose,
    .axpy = axpy,
    .adam = adam,
    .dropout = dropout,
    .sum_squares = sum_squares,
    .act_back = act_back,
    .layer_norm_back = layer_norm_back,
    .rms_norm_back = rms_norm_back,
    .softmax_back = softmax_back,
    .l2_normalize_back = l2_normalize_back,
    .cross_entropy = cross_entropy,
    .product = PRODUCTS,
};
