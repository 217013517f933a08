/* What happens to values on their way to a line: smoothing, and leaving out what cannot be seen. A million steps need no million points:
 * of each column of pixels the first, last, lowest and highest value draw the same line (M4: Jugel et al. 2014, VLDB 7(10)). */
#include "plot/plot.h"

#include <math.h>

void lt_plot_smooth(const double *y, int64_t n, double weight, double *out)
{
    double mean = 0, seen = 0; /* seen: the sum of the weights so far */
    for (int64_t i = 0; i < n; i++) {
        out[i] = NAN;
        if (!isfinite(y[i])) continue;
        mean = weight * mean + (1 - weight) * y[i];
        seen = weight * seen + (1 - weight);
        out[i] = mean / seen;
    }
}

typedef struct column { /* values of one column of pixels: their numbers and heights */
    int64_t first, last, low, high;
    double low_at, high_at;
} column;

static int64_t put_column(const column *c, const double *x, const double *y, const lt_axis *sx, const lt_axis *sy, double *points)
{
    int64_t at[4] = {c->first, c->low < c->high ? c->low : c->high, c->low < c->high ? c->high : c->low, c->last}, n = 0;
    for (int i = 0; i < 4; i++) {
        if (i && at[i] == at[i - 1]) continue;
        points[2 * n] = lt_axis_at(sx, x[at[i]]);
        points[2 * n + 1] = lt_axis_at(sy, y[at[i]]);
        n++;
    }
    return n;
}

int64_t lt_plot_thin(const double *x, const double *y, int64_t n, const lt_axis *sx, const lt_axis *sy, double *points)
{
    column c = {0};
    double place = 0;
    int64_t out = 0;
    for (int64_t i = 0; i < n; i++) {
        double column_of = floor(lt_axis_at(sx, x[i])), height = lt_axis_at(sy, y[i]);
        if (i && column_of == place) {
            c.last = i;
            if (height < c.low_at) c.low_at = height, c.low = i;
            if (height > c.high_at) c.high_at = height, c.high = i;
            continue;
        }
        if (i) out += put_column(&c, x, y, sx, sy, points + 2 * out);
        c = (column){i, i, i, i, height, height};
        place = column_of;
    }
    return n ? out + put_column(&c, x, y, sx, sy, points + 2 * out) : 0;
}
