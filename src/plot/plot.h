/* What the files of this room share: scales with their ticks, text widths, and curves thinned to what can be seen. */
#ifndef LT_PLOT_PLOT_H
#define LT_PLOT_PLOT_H

#include "lathe/plot.h"

enum { LT_MOST_TICKS = 32 };

typedef struct lt_tick {
    double at;
    char label[32];
} lt_tick;

typedef struct lt_axis { /* from values to pixels: lo lies at pixel `from`, hi at `to` */
    double lo, hi;        /* lo < hi; of log scales the logarithms to base 10 */
    double from, to;
    bool log;
    lt_tick tick[LT_MOST_TICKS];
    int ticks;
} lt_axis;

/* A scale that shows all from lo to hi (values) with a margin of `pad` times the span on both sides and about `wanted` ticks. */
void lt_axis_set(lt_axis *s, double lo, double hi, bool log, double pad, int wanted);
bool lt_axis_takes(const lt_axis *s, double value); /* finite and of a size that anything can have; positive if need be */
double lt_axis_at(const lt_axis *s, double value);  /* in pixels */

/* Width of a text in units of its font's size. */
double lt_plot_char_width(uint32_t code_point);
double lt_plot_text_width(const char *text, bool bold);

/* Values to draw with, as pixels: of what falls into one column of pixels, only the first, the last, the lowest and the highest.
 * `points` has room for 2n numbers; returns how many points it got. */
int64_t lt_plot_thin(const double *x, const double *y, int64_t n, const lt_axis *sx, const lt_axis *sy, double *points);

#endif
