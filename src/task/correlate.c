/* Correlation of two lists of numbers: Pearson's of the values, Spearman's of their ranks (ties get their mean rank). */
#include "lathe/task.h"

#include <math.h>
#include <stdlib.h>

/* What brings numbers up to `big` near 1, so that nothing overflows: a power of two, so that none is rounded. */
static double scale_of(double big)
{
    int exponent;
    frexp(big, &exponent);
    return ldexp(1, exponent < -1000 ? 1000 : -exponent);
}

double lt_pearson(const double *x, const double *y, int64_t n)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0, big_x = 0, big_y = 0, rest_x = 0, rest_y = 0;
    if (n < 2) return NAN;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i]) || !isfinite(y[i])) return NAN;
        big_x = fmax(big_x, fabs(x[i]));
        big_y = fmax(big_y, fabs(y[i]));
    }
    if (big_x == 0 || big_y == 0) return NAN;
    const double by_x = scale_of(big_x), by_y = scale_of(big_y);
    for (int64_t i = 0; i < n; i++) {
        mx += x[i] * by_x / (double)n;
        my += y[i] * by_y / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        double dx = x[i] * by_x - mx, dy = y[i] * by_y - my;
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
        rest_x += dx;
        rest_y += dy;
    }
    xx -= rest_x * rest_x / (double)n; /* what rounding of the means left (Chan, Golub & LeVeque 1983) */
    yy -= rest_y * rest_y / (double)n;
    xy -= rest_x * rest_y / (double)n;
    /* A constant list is not constant in floating point when its mean is rounded: what is left then is far below this. */
    double least = 1e-13 * sqrt((double)n);
    if (!(xx > 0 && yy > 0) || sqrt(xx) <= least * fabs(mx) || sqrt(yy) <= least * fabs(my)) return NAN;
    double r = xy / sqrt(xx * yy);
    return r > 1 ? 1 : r < -1 ? -1 : r;
}

struct item {
    double value;
    int64_t index;
};

static int ascending(const void *a, const void *b)
{
    double p = ((const struct item *)a)->value, q = ((const struct item *)b)->value;
    return (p > q) - (p < q);
}

static bool ranks(lt_ctx *cx, const double *x, int64_t n, double *rank)
{
    struct item *item = lt_alloc_array(cx, n, sizeof *item);
    if (!item) return false;
    for (int64_t i = 0; i < n; i++) item[i] = (struct item){x[i], i};
    qsort(item, (size_t)n, sizeof *item, ascending);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && item[j].value == item[i].value;) j++;
        for (int64_t k = i; k < j; k++) rank[item[k].index] = (double)(i + j + 1) / 2;
    }
    return true;
}

double lt_spearman(lt_ctx *cx, const double *x, const double *y, int64_t n)
{
    double r = NAN;
    for (int64_t i = 0; i < n; i++)
        if (isnan(x[i]) || isnan(y[i])) return NAN;
    if (n < 2) return NAN;
    lt_scope scope = lt_open(cx, NULL);
    double *a = lt_alloc_array(cx, n, sizeof *a), *b = lt_alloc_array(cx, n, sizeof *b);
    if (a && b && ranks(cx, x, n, a) && ranks(cx, y, n, b)) r = lt_pearson(a, b, n);
    lt_end(cx, scope);
    return r;
}
