/* What a calibration says of the inputs themselves: dimensions of the hidden states that hold outliers throughout the model (Dettmers et al.
 * 2022, arXiv 2208.07339, section 4), and how heavy the tails of an input are. */
#include <math.h>

#include "lathe/compress.h"

/* Hidden states, as they enter attention and the feed-forward layer. */
static bool is_hidden(const lt_noted *t) { return t->at == LT_SITE_MIXER || t->at == LT_SITE_FFN; }

double lt_noted_kurtosis(const lt_noted *t)
{
    const double n = (double)t->in * (double)t->rows, mean = t->sum[0] / n, square = t->sum[1] / n, cube = t->sum[2] / n, fourth = t->sum[3] / n;
    const double variance = square - mean * mean;
    return (fourth - 4 * mean * cube + 6 * mean * mean * square - 3 * mean * mean * mean * mean) / (variance * variance);
}

static lt_outlier_dim look_at(const lt_calibration *c, int64_t feature)
{
    lt_outlier_dim d = {.feature = feature};
    int last = -1, layers = 0;
    double over = 0, seen = 0;
    for (int i = 0; i < c->n; i++) {
        const lt_noted *t = &c->noted[i];
        if (!is_hidden(t) || feature >= t->in) continue;
        over += (double)t->over[feature];
        seen += (double)t->rows;
        if (t->most[feature] > d.largest) d.largest = t->most[feature];
        if (!t->over[feature] || t->layer == last) continue;
        last = t->layer;
        layers++;
    }
    d.layers = c->layers ? (double)layers / c->layers : 0;
    d.positions = seen > 0 ? over / seen : 0;
    return d;
}

lt_outlier_dim *lt_outlier_dimensions(lt_ctx *cx, const lt_calibration *c, int *n)
{
    int64_t width = 0;
    for (int i = 0; i < c->n; i++)
        if (is_hidden(&c->noted[i]) && c->noted[i].in > width) width = c->noted[i].in;
    lt_outlier_dim *list = lt_alloc_array(cx, width, sizeof *list);
    *n = 0;
    for (int64_t j = 0; list && j < width; j++) {
        const lt_outlier_dim d = look_at(c, j);
        if (d.layers >= 0.25 && d.positions >= 0.06) list[(*n)++] = d;
    }
    return list;
}
