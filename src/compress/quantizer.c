/* Products of eight bits by the rules that LLM.int8() is compared with (Dettmers et al. 2022, arXiv 2208.07339, section 2 and 3): one scale for a
 * matrix, for its rows, or for rows and outputs; around zero or from the smallest value to the largest; and with what reaches a threshold
 * kept apart. Codes are whole numbers in floats, whose chains of 128 products f32 sums without error. */
#include <math.h>
#include <string.h>

#include "lathe/compress.h"

#define PAPER "Dettmers et al. 2022, arXiv 2208.07339"

/* ---- codes ---- */

typedef struct range {
    float low, high;
} range;

static bool is_apart(float x, float threshold) { return threshold > 0 && fabsf(x) >= threshold; }

static void widen(range *r, int64_t n, const float *x, float threshold)
{
    for (int64_t i = 0; i < n; i++) {
        if (is_apart(x[i], threshold)) continue;
        r->low = x[i] < r->low ? x[i] : r->low;
        r->high = x[i] > r->high ? x[i] : r->high;
    }
}

/* What one step of a code is worth; 0: all values are zero, or none is there. */
static double step_of(range r, bool zero)
{
    if (r.low > r.high) return 0;
    if (zero && r.low < r.high) return ((double)r.high - (double)r.low) / 254;
    const double most = fmax(fabs((double)r.low), fabs((double)r.high));
    return most / 127; /* values that are all the same are coded around zero */
}

/* Values in steps. Codes with a zero point stand for whole numbers from rint(low / step) on, 254 of them, and are written as these; so what a product
 * of codes needs for its zero points ((A + a) (B + b)) is in it already. */
static void code(int64_t n, const float *x, double step, double first, float threshold, float *codes)
{
    const double inverse = step > 0 ? 1 / step : 0;
    for (int64_t i = 0; i < n; i++) {
        const double q = rint((double)x[i] * inverse);
        codes[i] = is_apart(x[i], threshold) ? 0.0f : (float)fmin(fmax(q, first), first + 254);
    }
}

typedef struct coded {
    lt_tensor *codes; /* [rows, k] */
    double *step;     /* [rows] */
} coded;

static bool code_rows(lt_ctx *cx, const lt_tensor *x, bool each_row, bool zero, float threshold, coded *to)
{
    const int64_t m = x->shape[0], k = x->shape[1];
    const float *from = x->data;
    to->codes = lt_tensor_2d(cx, LT_F32, m, k);
    to->step = lt_alloc_array(cx, m, sizeof *to->step);
    if (!to->codes || !to->step) return false;
    range all = {INFINITY, -INFINITY};
    for (int64_t r = 0; !each_row && r < m; r++) widen(&all, k, from + r * k, threshold);
    for (int64_t r = 0; r < m; r++) {
        range own = each_row ? (range){INFINITY, -INFINITY} : all;
        if (each_row) widen(&own, k, from + r * k, threshold);
        const double step = to->step[r] = step_of(own, zero);
        const double first = zero && own.low < own.high && step > 0 ? rint((double)own.low / step) : -127;
        code(k, from + r * k, step, first, threshold, (float *)to->codes->data + r * k);
    }
    return true;
}

/* ---- what stays apart ---- */

static int64_t find_columns(const lt_tensor *x, float threshold, int32_t *column)
{
    const int64_t m = x->shape[0], k = x->shape[1];
    const float *from = x->data;
    int64_t n = 0;
    for (int64_t i = 0; threshold > 0 && i < k; i++)
        for (int64_t r = 0; r < m; r++) {
            if (!is_apart(from[r * k + i], threshold)) continue;
            column[n++] = (int32_t)i;
            break;
        }
    return n;
}

static lt_tensor *pick(lt_ctx *cx, const lt_tensor *x, const int32_t *column, int64_t n)
{
    lt_tensor *y = lt_tensor_2d(cx, LT_F32, x->shape[0], n);
    for (int64_t r = 0; y && r < x->shape[0]; r++)
        for (int64_t i = 0; i < n; i++) ((float *)y->data)[r * n + i] = ((const float *)x->data)[r * x->shape[1] + column[i]];
    return y;
}

static lt_tensor *product_apart(lt_ctx *cx, const lt_quantizer *q, float threshold, const lt_tensor *x, const lt_tensor *w, const coded *b, const int32_t *column,
                                int64_t n)
{
    lt_tensor *xs = pick(cx, x, column, n), *ws = pick(cx, q->exact ? w : b->codes, column, n);
    if (!xs || !ws) return NULL;
    float *values = xs->data, *weights = ws->data;
    for (int64_t i = 0; q->apart == LT_APART_VALUES && i < xs->shape[0] * n; i++)
        if (!is_apart(values[i], threshold)) values[i] = 0;
    for (int64_t i = 0; !q->exact && i < ws->shape[0] * n; i++) weights[i] = (float)(weights[i] * b->step[i / n]);
    return lt_matmul_t(cx, xs, ws);
}

/* ---- the product ---- */

static lt_tensor *multiply(lt_ctx *cx, const lt_quantizer *q, float threshold, lt_tensor *x, lt_tensor *w, int64_t *columns)
{
    coded a, b;
    int32_t *column = lt_alloc_array(cx, x->shape[1], sizeof *column);
    if (!column || !code_rows(cx, x, q->scales != LT_SCALE_TENSOR, q->zero_x, threshold, &a) || !code_rows(cx, w, q->scales == LT_SCALE_VECTOR, q->zero_w, 0, &b))
        return NULL;
    const int64_t n = *columns = find_columns(x, threshold, column), k = x->shape[1];
    float *codes = a.codes->data;
    for (int64_t r = 0; q->apart == LT_APART_COLUMNS && r < x->shape[0]; r++)
        for (int64_t i = 0; i < n; i++) codes[r * k + column[i]] = 0;
    lt_tensor *y = lt_matmul_t(cx, a.codes, b.codes);
    for (int64_t i = 0; y && i < y->shape[0] * y->shape[1]; i++) {
        float *at = (float *)y->data + i;
        *at = (float)(a.step[i / y->shape[1]] * b.step[i % y->shape[1]] * (double)*at);
    }
    return n ? lt_add(cx, y, product_apart(cx, q, threshold, x, w, &b, column, n)) : y;
}

lt_tensor *lt_quantized_product(lt_ctx *cx, const lt_quantizer *q, float threshold, lt_tensor *x, lt_tensor *w, int64_t *columns)
{
    *columns = 0;
    if (!x || !w) return NULL;
    if (x->dtype != LT_F32 || w->dtype != LT_F32 || x->rank != 2 || w->rank != 2 || x->shape[1] != w->shape[1])
        return lt_fail(cx, LT_ERR_USAGE, "quantized product: %s and %s do not fit, or are not of f32", lt_shape(cx, x), lt_shape(cx, w));
    if (!q->codes) return lt_matmul_t(cx, x, w);
    lt_scope scope = lt_open(cx, NULL);
    return lt_close(cx, scope, multiply(cx, q, q->apart == LT_APART_NONE ? 0 : threshold, lt_contiguous(cx, x), lt_contiguous(cx, w), columns));
}

/* ---- all of them ---- */

#define RULE(name, what) {"quantizer", name, "measured by `analyze`, int8: " what, PAPER}
const lt_quantizer *lt_quantizers(int *n)
{
    static const lt_quantizer all[] = {
        {.is = {"quantizer", "f32", "measured by `analyze`: none, to compare with", ""}},
        {.is = RULE("absmax", "one scale for inputs, one for weights"), .codes = true},
        {.is = RULE("zeropoint", "one range for inputs, one for weights"), .codes = true, .zero_x = true, .zero_w = true},
        {.is = RULE("absmax-row", "a scale for each row of inputs, one for weights"), .codes = true, .scales = LT_SCALE_ROW},
        {.is = RULE("absmax-vector", "a scale for each row of inputs and each output"), .codes = true, .scales = LT_SCALE_VECTOR},
        {.is = RULE("zeropoint-vector", "a range for each row of inputs and each output"), .codes = true, .scales = LT_SCALE_VECTOR, .zero_x = true, .zero_w = true},
        {.is = RULE("llm.int8", "absmax-vector, columns with outliers in f32"), .codes = true, .scales = LT_SCALE_VECTOR, .apart = LT_APART_COLUMNS, .exact = true},
        {.is = RULE("llm.int8-zeropoint", "zeropoint-vector, columns with outliers in f32"), .codes = true, .scales = LT_SCALE_VECTOR, .zero_x = true, .zero_w = true,
         .apart = LT_APART_COLUMNS, .exact = true},
        {.is = RULE("llm.int8-rounded", "llm.int8, whose outliers meet rounded weights"), .codes = true, .scales = LT_SCALE_VECTOR, .apart = LT_APART_COLUMNS},
        {.is = RULE("int8", "what --precision int8 does: outliers apart one by one"), .codes = true, .scales = LT_SCALE_VECTOR, .zero_x = true, .apart = LT_APART_VALUES},
    };
    *n = sizeof all / sizeof *all;
    return all;
}
