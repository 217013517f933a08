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
#define SPARSES_float {&lt_sparse_ref_f32, &lt_sparse_ref_int8}
#define SPARSES_double {NULL}
#define PRODUCTS_(type) PRODUCTS_##type
#define PRODUCTS_OF(type) PRODUCTS_(type)
#define PRODUCTS PRODUCTS_OF(LT_REAL)
#define SPARSES_(type) SPARSES_##type
#define SPARSES_OF(type) SPARSES_(type)
#define SPARSES SPARSES_OF(LT_REAL)

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

/* ---- gradients and updates --------------------------------------------------------------------------------------- */

static double density(double x) { return 0.39894228040143267794 * exp(-0.5 * x * x); }

/* d/dx of x sigmoid(u), u' = slope. */
static double gated_slope(double x, double s, double slope) { return s + x * s * (1 - s) * slope; }

static double act_slope(lt_act act, double x)
{
    const double s = sigmoid(x), t = tanh(x), root = 2 * 0.79788456080286535588;
    switch (act) {
    case LT_ACT_RELU:
        return isnan(x) ? x : x > 0;
    case LT_ACT_GELU:
        return 0.5 * erfc(-x * 0.70710678118654752440) + x * density(x);
    case LT_ACT_GELU_TANH:
        return gated_slope(x, sigmoid(root * (x + 0.044715 * x * x * x)), root * (1 + 0.134145 * x * x));
    case LT_ACT_QUICK_GELU:
        return gated_slope(x, sigmoid(1.702 * x), 1.702);
    case LT_ACT_SILU:
        return gated_slope(x, s, 1);
    case LT_ACT_MISH: {
        const double m = tanh(x > 40 ? x : log1p(exp(x)));
        return m + x * (1 - m * m) * s;
    }
    case LT_ACT_TANH:
        return 1 - t * t;
    case LT_ACT_SIGMOID:
        return s * (1 - s);
    case LT_ACT_RELU2:
        return x < 0 ? 0 : 2 * x;
    default:
        return 1;
    }
}

static void act_back(lt_act which, int64_t n, const void *x, const void *dy, void *dx)
{
    for (int64_t i = 0; i < n; i++) ((real *)dx)[i] = (real)(((const real *)dy)[i] * act_slope(which, ((const real *)x)[i]));
}

/* One row of a norm with x̂ = (x - mean) · factor: dx = factor · (g - mean of g, if centred - x̂ · mean of g x̂). */
static void norm_back_row(int64_t n, const real *x, double mean, double factor, bool centred, const real *gamma, const real *dy, real *dx, real *dgamma,
                          real *dbeta)
{
    double a = 0, b = 0;
    for (int64_t j = 0; j < n; j++) {
        const double g = (double)dy[j] * (gamma ? (double)gamma[j] : 1);
        a += centred ? g / (double)n : 0;
        b += g * (x[j] - mean) * factor / (double)n;
    }
    for (int64_t j = 0; j < n; j++) {
        const double hat = (x[j] - mean) * factor, d = dy[j], g = d * (gamma ? (double)gamma[j] : 1);
        if (dgamma) dgamma[j] += (real)(d * hat);
        if (dbeta) dbeta[j] += (real)d;
        if (dx) dx[j] = (real)((g - a - hat * b) * factor);
    }
}

static void layer_norm_back(int64_t rows, int64_t cols, const void *x, const void *gamma, double eps, const void *dy, void *dx, void *dgamma, void *dbeta)
{
    for (int64_t r = 0; r < rows; r++) {
        const real *in = (const real *)x + r * cols;
        const double mean = row_sum(cols, in, 0, 1) / (double)cols, factor = 1 / sqrt(row_sum(cols, in, mean, 2) / (double)cols + eps);
        norm_back_row(cols, in, mean, factor, true, gamma, (const real *)dy + r * cols, dx ? (real *)dx + r * cols : NULL, dgamma, dbeta);
    }
}

static void rms_norm_back(int64_t rows, int64_t cols, const void *x, const void *gamma, double eps, const void *dy, void *dx, void *dgamma)
{
    for (int64_t r = 0; r < rows; r++) {
        const real *in = (const real *)x + r * cols;
        const double factor = 1 / sqrt(row_sum(cols, in, 0, 2) / (double)cols + eps);
        norm_back_row(cols, in, 0, factor, false, gamma, (const real *)dy + r * cols, dx ? (real *)dx + r * cols : NULL, dgamma, NULL);
    }
}

static void l2_normalize_back(int64_t rows, int64_t cols, const void *x, double eps, const void *dy, void *dx)
{
    for (int64_t r = 0; r < rows; r++) {
        const real *in = (const real *)x + r * cols, *d = (const real *)dy + r * cols;
        const double length = sqrt(row_sum(cols, in, 0, 2));
        double along = 0;
        for (int64_t j = 0; j < cols && length >= eps; j++) along += (double)d[j] * in[j] / length;
        for (int64_t j = 0; j < cols; j++)
            ((real *)dx)[r * cols + j] = length < eps ? (real)(d[j] / eps) : (real)((d[j] - along * in[j] / length) / length);
    }
}

static void softmax_back(int64_t rows, int64_t cols, const void *y, const void *dy, double factor, void *dx)
{
    for (int64_t r = 0; r < rows; r++) {
        const real *p = (const real *)y + r * cols, *d = (const real *)dy + r * cols;
        double sum = 0;
        for (int64_t j = 0; j < cols; j++) sum += (double)p[j] * d[j];
        for (int64_t j = 0; j < cols; j++) ((real *)dx)[r * cols + j] = (real)(factor * p[j] * (d[j] - sum));
    }
}

static void cross_entropy(int64_t rows, int64_t cols, const void *x, const int32_t *label, void *loss, void *dx)
{
    for (int64_t r = 0; r < rows; r++) {
        const real *in = (const real *)x + r * cols;
        real *out = dx ? (real *)dx + r * cols : NULL;
        double max = -INFINITY, sum = 0, own = label[r] < 0 ? 0 : in[label[r]];
        for (int64_t j = 0; j < cols; j++) max = in[j] > max ? in[j] : max;
        for (int64_t j = 0; j < cols; j++) sum += exp(in[j] - max);
        ((real *)loss)[r] = label[r] < 0 ? 0 : (real)(log(sum) + max - own);
        for (int64_t j = 0; out && j < cols; j++) out[j] = label[r] < 0 ? 0 : (real)(exp(in[j] - max) / sum - (j == label[r]));
    }
}

static void transpose(int64_t rows, int64_t cols, const void *x, int64_t x_stride, void *y, int64_t y_stride)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) ((real *)y)[c * y_stride + r] = ((const real *)x)[r * x_stride + c];
}

static void axpy(int64_t n, double a, const void *x, void *y)
{
    for (int64_t i = 0; i < n; i++) ((real *)y)[i] = FMA((real)a, ((const real *)x)[i], ((real *)y)[i]);
}

static double sum_squares(int64_t n, const void *x) { return row_sum(n, x, 0, 2); }

/* Moves both moments; gives Adam's direction, m̂ / (sqrt(v̂ + …) + eps). */
static double adam_ratio(const lt_adam *h, double g, real *m, real *v)
{
    const double d = h->scale * g;
    *m = (real)(h->beta1 * (double)*m + (1 - h->beta1) * d);
    *v = (real)(h->beta2 * (double)*v + (1 - h->beta2) * d * d);
    return (double)*m / h->correct1 / (sqrt(((double)*v + h->inside) / h->correct2) + h->eps);
}

static void adam(int64_t n, const lt_adam *h, void *w, const void *g, void *m, void *v)
{
    for (int64_t i = 0; i < n; i++) {
        real *x = (real *)w + i;
        const double u = adam_ratio(h, (double)((const real *)g)[i], (real *)m + i, (real *)v + i);
        *x = (real)((double)*x * (1 - h->lr * h->decay) - h->lr * u);
    }
}

static void adam_direction(int64_t n, const lt_adam *h, const void *w, void *g, void *m, void *v)
{
    for (int64_t i = 0; i < n; i++) {
        real *d = (real *)g + i;
        *d = (real)(adam_ratio(h, (double)*d, (real *)m + i, (real *)v + i) + h->decay * (double)((const real *)w)[i]);
    }
}

static void lion(int64_t n, const lt_adam *h, void *w, const void *g, void *m)
{
    for (int64_t i = 0; i < n; i++) {
        real *x = (real *)w + i, *a = (real *)m + i;
        const double d = h->scale * (double)((const real *)g)[i] - (double)*a, mean = (double)*a + (1 - h->beta1) * d;
        const double move = mean > 0 ? h->lr : mean < 0 ? -h->lr : mean; /* zero stays, and NaN is seen */
        *x = (real)((double)*x * (1 - h->lr * h->decay) - move);
        *a = (real)((double)*a + (1 - h->beta2) * d);
    }
}

static void dropout(int64_t n, double p, const uint32_t key[2], const uint32_t place[3], const void *x, void *y)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t word[4], counter[4] = {(uint32_t)(i / 64 * 16 + i % 16), place[0], place[1], place[2]};
        lt_philox(counter, key, word);
        ((real *)y)[i] = word[i % 64 / 16] >= (uint32_t)(p * 0x1p32) ? (real)(((const real *)x)[i] * (real)(1 / (1 - p))) : 0;
    }
}

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
    .adam_direction = adam_direction,
    .lion = lion,
    .dropout = dropout,
    .sum_squares = sum_squares,
    .act_back = act_back,
    .layer_norm_back = layer_norm_back,
    .rms_norm_back = rms_norm_back,
    .softmax_back = softmax_back,
    .l2_normalize_back = l2_normalize_back,
    .cross_entropy = cross_entropy,
    .product = PRODUCTS,
    .sparse = SPARSES,
};
