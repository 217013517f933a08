/* Products of eight bits by the rules that LLM.int8() is compared with (Dettmers et al. 2022, arXiv 2208.07339, section 2 and 3): one scale for a
 * matrix, for its rows, or for rows and outputs; around zero or from the smallest value to the largest; and with what reaches a threshold
 * kept apart. They are measured, not run by: codes are whole numbers in floats, whose chains of 128 products f32 sums without error. */
#include <math.h>
#include <string.h>

#include "lathe/compress.h"

#define PAPER "Dettmers et al. 2022, arXiv 2208.07339"

/* ---- codes ---- */

typedef struct range {
    float low, high;
} range;

static void widen(range *r, int64_t n, const float *x, const bool *apart)
{
    for (int64_t i = 0; i < n; i++) {
        if (apart && apart[i]) continue;
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
static void code(int64_t n, const float *x, double step, double first, const bool *apart, float *codes)
{
    const double inverse = step > 0 ? 1 / step : 0;
    for (int64_t i = 0; i < n; i++) {
        const double q = rint((double)x[i] * inverse);
        codes[i] = apart && apart[i] ? 0.0f : (float)fmin(fmax(q, first), first + 254);
    }
}

typedef struct coded {
    lt_tensor *codes; /* [rows, k] */
    double *step;     /* [rows] */
} coded;

/* Columns that stay apart are codes of nothing, and no range has room for them. (The authors' library counts the smaller values there.) */
static bool code_rows(lt_ctx *cx, const lt_tensor *x, bool each_row, bool zero, const bool *apart, coded *to)
{
    const int64_t m = x->shape[0], k = x->shape[1];
    const float *from = x->data;
    to->codes = lt_tensor_2d(cx, LT_F32, m, k);
    to->step = lt_alloc_array(cx, m, sizeof *to->step);
    if (!to->codes || !to->step) return false;
    range all = {INFINITY, -INFINITY};
    for (int64_t r = 0; !each_row && r < m; r++) widen(&all, k, from + r * k, apart);
    for (int64_t r = 0; r < m; r++) {
        range own = each_row ? (range){INFINITY, -INFINITY} : all;
        if (each_row) widen(&own, k, from + r * k, apart);
        const double step = to->step[r] = step_of(own, zero);
        const double first = zero && own.low < own.high && step > 0 ? rint((double)own.low / step) : -127;
        code(k, from + r * k, step, first, apart, (float *)to->codes->data + r * k);
    }
    return true;
}

/* ---- what stays apart ---- */

typedef struct columns {
    bool *apart;   /* [k] */
    int32_t *list; /* those, in order */
    int64_t n;
} columns;

static bool find_columns(lt_ctx *cx, const lt_tensor *x, float threshold, columns *c)
{
    const int64_t m = x->shape[0], k = x->shape[1];
    const float *from = x->data;
    *c = (columns){lt_alloc_array(cx, k, 1), lt_alloc_array(cx, k, sizeof *c->list), 0};
    if (!c->apart || !c->list) return false;
    memset(c->apart, 0, (size_t)k);
    for (int64_t i = 0; threshold > 0 && i < m * k; i++) c->apart[i % k] |= fabsf(from[i]) >= threshold;
    for (int64_t i = 0; i < k; i++)
        if (c->apart[i]) c->list[c->n++] = (int32_t)i;
    return true;
}

static lt_tensor *pick(lt_ctx *cx, const lt_tensor *x, const columns *c)
{
    lt_tensor *y = lt_tensor_2d(cx, LT_F32, x->shape[0], c->n);
    for (int64_t r = 0; y && r < x->shape[0]; r++)
        for (int64_t i = 0; i < c->n; i++) ((float *)y->data)[r * c->n + i] = ((const float *)x->data)[r * x->shape[1] + c->list[i]];
    return y;
}

static lt_tensor *product_apart(lt_ctx *cx, const lt_quantizer *q, const lt_tensor *x, const lt_tensor *w, const coded *b, const columns *c)
{
    lt_tensor *xs = pick(cx, x, c), *ws = pick(cx, q->exact ? w : b->codes, c);
    if (!xs || !ws) return NULL;
    float *weights = ws->data;
    for (int64_t i = 0; !q->exact && i < ws->shape[0] * c->n; i++) weights[i] = (float)((double)weights[i] * b->step[i / c->n]);
    return lt_matmul_t(cx, xs, ws);
}

/* ---- the product ---- */

static lt_tensor *by_rule(lt_ctx *cx, const lt_quantizer *q, lt_tensor *x, lt_tensor *w, const columns *c)
{
    coded a, b;
    if (!code_rows(cx, x, q->scales != LT_SCALE_TENSOR, q->zero, c->apart, &a) || !code_rows(cx, w, q->scales == LT_SCALE_VECTOR, q->zero, NULL, &b)) return NULL;
    lt_tensor *y = lt_matmul_t(cx, a.codes, b.codes);
    for (int64_t i = 0; y && i < y->shape[0] * y->shape[1]; i++) {
        float *at = (float *)y->data + i;
        *at = (float)(a.step[i / y->shape[1]] * b.step[i % y->shape[1]] * (double)*at);
    }
    return c->n ? lt_add(cx, y, product_apart(cx, q, x, w, &b, c)) : y;
}

static lt_tensor *by_kernel(lt_ctx *cx, float threshold, lt_tensor *x, const lt_tensor *w)
{
    const int64_t n = w->shape[0], k = w->shape[1];
    const lt_kernels *kn = lt_kernels_of(cx, LT_F32);
    int8_t *codes = kn ? lt_alloc_array(cx, n * k, 1) : NULL;
    float *scale = lt_alloc_array(cx, n, sizeof *scale);
    void *packed = kn ? lt_alloc(cx, lt_product_bytes(kn, LT_PRODUCT_INT8, n, k) + 1) : NULL;
    if (!codes || !scale || !packed) return NULL;
    lt_quantize_int8(n, k, w->data, codes, scale);
    kn->product[LT_PRODUCT_INT8]->pack(n, k, codes, scale, packed);
    return lt_product_run(cx, LT_PRODUCT_INT8, x, &(lt_coding){.threshold = threshold}, packed, n, NULL, NULL);
}

static lt_tensor *multiply(lt_ctx *cx, const lt_quantizer *q, float threshold, lt_tensor *x, lt_tensor *w, int64_t *n)
{
    columns c;
    if (!x || !w || !find_columns(cx, x, threshold, &c)) return NULL;
    *n = c.n;
    return q->by == LT_BY_RULE ? by_rule(cx, q, x, w, &c) : by_kernel(cx, threshold, x, w);
}

lt_tensor *lt_quantized_product(lt_ctx *cx, const lt_quantizer *q, float threshold, lt_tensor *x, lt_tensor *w, int64_t *n)
{
    *n = 0;
    if (!x || !w) return NULL;
    if (x->dtype != LT_F32 || w->dtype != LT_F32 || x->rank != 2 || w->rank != 2 || x->shape[1] != w->shape[1])
        return lt_fail(cx, LT_ERR_USAGE, "quantized product: %s and %s do not fit, or are not of f32", lt_shape(cx, x), lt_shape(cx, w));
    if (q->by == LT_BY_F32) return lt_matmul_t(cx, x, w);
    const bool apart = q->apart || q->by == LT_BY_KERNEL;
    lt_scope scope = lt_open(cx, NULL);
    return lt_close(cx, scope, multiply(cx, q, apart ? threshold : 0, lt_contiguous(cx, x), lt_contiguous(cx, w), n));
}

/* ---- all of them ---- */

#define RULE(name, what) {"quantizer", name, "measured by `analyze`, int8: " what, PAPER}, .by = LT_BY_RULE
const lt_quantizer *lt_quantizers(int *n)
{
    static const lt_quantizer all[] = {
        {.is = {"quantizer", "f32", "measured by `analyze`: none, to compare with", ""}},
        {.is = RULE("absmax", "one scale for inputs, one for weights")},
        {.is = RULE("zeropoint", "one range for inputs, one for weights"), .zero = true},
        {.is = RULE("absmax-row", "a scale for each row of inputs, one for weights"), .scales = LT_SCALE_ROW},
        {.is = RULE("absmax-vector", "a scale for each row of inputs and each output"), .scales = LT_SCALE_VECTOR},
        {.is = RULE("zeropoint-vector", "a range for each row of inputs and each output"), .scales = LT_SCALE_VECTOR, .zero = true},
        {.is = RULE("llm.int8", "absmax-vector, columns with outliers in f32"), .scales = LT_SCALE_VECTOR, .apart = true, .exact = true},
        {.is = RULE("llm.int8-zeropoint", "zeropoint-vector, columns with outliers in f32"), .scales = LT_SCALE_VECTOR, .zero = true, .apart = true, .exact = true},
        {.is = RULE("llm.int8-rounded", "llm.int8, whose outliers meet rounded weights"), .scales = LT_SCALE_VECTOR, .apart = true},
        {.is = {"quantizer", "int8", "what --precision int8 runs: a range for each row, outliers apart one by one", PAPER}, .by = LT_BY_KERNEL},
    };
    *n = sizeof all / sizeof *all;
    return all;
}
