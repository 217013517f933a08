/* SmoothQuant (Xiao et al. 2022, arXiv 2211.10438): inputs whose largest values differ by channel are hard to give 8 bits with one scale a
 * row, weights are not. So each channel is divided by a factor, and its weights are multiplied by it. All readers of one input share
 * factors, so the input still becomes codes once. */
#include <math.h>

#include "lathe/compress.h"

/* A channel that nothing is known of stays as it is; factors are kept where neither side leaves the range of f32. */
static float multiplier(const lt_noted *t, int64_t i, double alpha)
{
    if (t->most[i] < 1e-6f || t->weight[i] < 1e-9f) return 1;
    const double s = pow(t->most[i], alpha) / pow(t->weight[i], 1 - alpha);
    return (float)(s < 1e-4 ? 1e4 : s > 1e4 ? 1e-4 : 1 / s);
}

bool lt_smooth_int8(void *smoothing, lt_ctx *cx, lt_linear *l)
{
    const lt_smoothing *s = smoothing;
    const lt_noted *t = lt_calibration_of(s->of, l->name);
    if (!t || t->in != l->in) return lt_fail_if(cx, true, LT_ERR_USAGE, "%s: the calibration knows nothing of it", l->name);
    lt_scope scope = lt_open(cx, NULL);
    float *multiply = lt_alloc_array(cx, l->in, sizeof *multiply);
    for (int64_t i = 0; multiply && i < l->in; i++) multiply[i] = multiplier(t, i, s->alpha);
    const bool done = multiply && lt_linear_smooth_int8(cx, l, multiply);
    lt_end(cx, scope);
    return done;
}
