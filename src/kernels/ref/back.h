/* The reference's gradients: ref.c includes this once for each element type. */
#ifndef LT_KERNELS_REF_BACK_H
#define LT_KERNELS_REF_BACK_H

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

static void adam(int64_t n, const lt_adam *h, void *w, const void *g, void *m, void *v)
{
    for (int64_t i = 0; i < n; i++) {
        real *x = (real *)w + i, *a = (real *)m + i, *b = (real *)v + i;
        const double d = h->scale * (double)((const real *)g)[i];
        *a = (real)(h->beta1 * (double)*a + (1 - h->beta1) * d);
        *b = (real)(h->beta2 * (double)*b + (1 - h->beta2) * d * d);
        *x = (real)((double)*x * (1 - h->lr * h->decay) - h->lr * ((double)*a / h->correct1) / (sqrt((double)*b / h->correct2) + h->eps));
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

#endif
