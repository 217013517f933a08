/* GPTQ (Frantar et al. 2022, arXiv 2210.17323): weights become codes one input after another, and what rounding one of them did to the
 * outputs is made up for by those still to come, as far as the inputs' second moments H say that they can. With H = R Rᵀ, R upper triangular,
 * rows of U = R⁻¹ say how: H⁻¹ = Uᵀ U. All in f64; a group's scale is chosen when its first weight's turn comes. */
#include <math.h>
#include <string.h>

#include "lathe/compress.h"

enum { ROWS = 8 }; /* outputs that share a reading of U */

/* Four partial sums in a fixed order. */
static double dot(int64_t n, const double *x, const double *y)
{
    double s[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int l = 0; l < 4; l++) s[l] += x[i + l] * y[i + l];
    for (; i < n; i++) s[0] += x[i] * y[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

static void subtract(int64_t n, double a, const double *x, double *y)
{
    for (int64_t i = 0; i < n; i++) y[i] -= a * x[i];
}

/* H, damped by 1 % of its mean diagonal; an input that was always zero has no say. */
static void damp(int64_t n, const double *gram, double *h)
{
    double mean = 0;
    memcpy(h, gram, (size_t)(n * n) * sizeof *h);
    for (int64_t i = 0; i < n; i++) mean += gram[i * n + i] / (double)n;
    for (int64_t i = 0; i < n; i++) h[i * n + i] += mean > 0 ? 0.01 * mean : 1;
}

/* The upper triangle of h becomes R. False: h is not positive definite. */
static bool factor(int64_t n, double *h)
{
    for (int64_t j = n - 1; j >= 0; j--) {
        const int64_t rest = n - 1 - j;
        double *row = h + j * n, pivot = row[j] - dot(rest, row + j + 1, row + j + 1);
        if (!(pivot > 0)) return false;
        row[j] = sqrt(pivot);
        for (int64_t i = 0; i < j; i++) h[i * n + j] = (h[i * n + j] - dot(rest, h + i * n + j + 1, row + j + 1)) / row[j];
    }
    return true;
}

/* The upper triangle R of h becomes its inverse, from the last row to the first. */
static void invert(int64_t n, double *h, double *line)
{
    for (int64_t i = n - 1; i >= 0; i--) {
        double *row = h + i * n;
        memset(line + i, 0, (size_t)(n - i) * sizeof *line);
        for (int64_t k = i + 1; k < n; k++) subtract(n - k, row[k], h + k * n + k, line + k);
        const double inverse = 1 / row[i];
        for (int64_t k = i + 1; k < n; k++) row[k] = line[k] * inverse;
        row[i] = inverse;
    }
}

typedef struct rounding {
    int64_t out, in, groups;
    const float *w;
    const double *u;
    uint8_t *codes;
    float *scale;
} rounding;

static float scale_of(const double *w, int64_t n)
{
    float group[LT_INT4_GROUP], scale;
    uint8_t codes[LT_INT4_GROUP];
    for (int64_t i = 0; i < n; i++) group[i] = (float)w[i];
    lt_quantize_int4(1, n, group, codes, &scale);
    return scale;
}

static double code_of(double w, double scale)
{
    const double q = scale == 0 ? 0 : rint(w / scale);
    return q < -8 ? -8 : q > 7 ? 7 : q;
}

static void round_rows(void *arg, lt_ctx *cx, int64_t block)
{
    const rounding *r = arg;
    const int64_t n = r->in, first = block * ROWS, rows = r->out - first < ROWS ? r->out - first : ROWS;
    lt_scope scope = lt_open(cx, NULL);
    double *w = lt_alloc_array(cx, rows * n, sizeof *w);
    for (int64_t i = 0; w && i < rows * n; i++) w[i] = (double)r->w[first * n + i];
    for (int64_t j = 0; w && j < n; j++)
        for (int64_t o = 0; o < rows; o++) {
            float *scale = &r->scale[(first + o) * r->groups + j / LT_INT4_GROUP];
            double *row = w + o * n;
            if (j % LT_INT4_GROUP == 0) *scale = scale_of(row + j, n - j < LT_INT4_GROUP ? n - j : LT_INT4_GROUP);
            const double q = code_of(row[j], (double)*scale);
            r->codes[(first + o) * n + j] = (uint8_t)(q + 8);
            subtract(n - j - 1, (row[j] - q * (double)*scale) / r->u[j * n + j], r->u + j * n + j + 1, row + j + 1);
        }
    lt_end(cx, scope);
}

bool lt_gptq_int4(void *calibration, lt_ctx *cx, lt_linear *l)
{
    const lt_noted *t = lt_calibration_of(calibration, l->name);
    if (!t || t->in != l->in || !t->gram) return lt_fail_if(cx, true, LT_ERR_USAGE, "%s: the calibration knows too little of it", l->name);
    rounding r = {.out = l->out, .in = l->in, .groups = (l->in + LT_INT4_GROUP - 1) / LT_INT4_GROUP, .w = l->weight.value.data};
    double *h = lt_new(cx, l->in * l->in, sizeof *h), *line = h ? lt_new(cx, l->in, sizeof *line) : NULL;
    r.codes = line ? lt_new(cx, l->out * l->in, 1) : NULL;
    r.scale = r.codes ? lt_new(cx, l->out * r.groups, sizeof *r.scale) : NULL;
    bool done = r.scale != NULL;
    if (done) damp(l->in, t->gram, h);
    done = done && lt_fail_if(cx, !factor(l->in, h), LT_ERR_INPUT, "%s: its inputs' second moments cannot be factored", l->name);
    if (done) invert(l->in, h, line);
    r.u = h;
    done = done && lt_parallel(cx, (l->out + ROWS - 1) / ROWS, round_rows, &r) && lt_linear_set_int4(cx, l, r.codes, r.scale);
    lt_free(h);
    lt_free(line);
    lt_free(r.codes);
    lt_free(r.scale);
    return done;
}
