/* Charts: what is to be seen (panels of series over one x axis) becomes a list of a few kinds of drawing commands, and that list becomes
 * SVG or PNG. The same chart gives the same bytes. Also the reader of training logs, which is where most curves come from. */
#ifndef LATHE_PLOT_H
#define LATHE_PLOT_H

#include "lathe/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what is to be seen ---------------------------------------------------------------------------------------- */

typedef enum {
    LT_MARK_LINE,
    LT_MARK_DASHES,      /* a dashed line with a dot at each value */
    LT_MARK_POINTS,
    LT_MARK_BARS         /* from 0 up; beside the bars of the panel's other series */
} lt_mark;

typedef struct lt_series {
    const char *name;     /* in the legend, once for all panels; NULL: not there */
    lt_mark mark;
    int colour;           /* of the palette; taken modulo its size */
    bool faint;           /* stands behind: the raw values of a smoothed curve */
    const double *x, *y;  /* [n]; a value that is not finite is a gap */
    const double *spread; /* [n] half the height of a whisker; NULL: none */
    int64_t n;
} lt_series;

typedef struct lt_panel {
    const char *name; /* what y is */
    bool log;         /* logarithmic; values that are not positive are gaps */
    const lt_series *series;
    int n;
} lt_panel;

typedef struct lt_chart {
    const char *title;             /* NULL: none */
    const char *x_name;            /* what x is; NULL: not said */
    const char *const *categories; /* [n_categories] names of x = 0, 1, …; NULL: x is a number */
    int n_categories;
    const lt_panel *panel; /* one below the other */
    int n;
    int width, height; /* in pixels, LT_PLOT_LEAST to LT_PLOT_MOST */
} lt_chart;

enum { LT_PLOT_LEAST = 64, LT_PLOT_MOST = 8192 };

/* Exponential moving average with its start corrected, as Adam corrects its moments: out[i] is the mean of y[0…i] with weights that fall
 * by `weight` (0 <= weight < 1) with every value into the past. Gaps stay gaps. */
void lt_plot_smooth(const double *y, int64_t n, double weight, double *out);

/* ---- what is drawn --------------------------------------------------------------------------------------------- */

typedef enum { LT_DRAW_LINE, LT_DRAW_RECT, LT_DRAW_DISC, LT_DRAW_TEXT } lt_draw_kind;

typedef struct lt_draw { /* pixels, y downwards */
    lt_draw_kind kind;
    uint32_t colour; /* 0xRRGGBB */
    double opacity;
    double x, y;          /* RECT: a corner; DISC: the centre; TEXT: on the base line */
    double w, h;          /* RECT */
    double size;          /* LINE: width; DISC: radius; TEXT: of the font */
    double dash;          /* LINE: length of dashes and gaps; 0: none */
    const double *points; /* LINE: x, y, x, y, … */
    int64_t n;            /* LINE: number of points */
    const char *text;     /* TEXT */
    int anchor;           /* TEXT: x is where it begins (-1), its middle (0), its end (1) */
    bool bold;            /* TEXT */
} lt_draw;

typedef struct lt_drawing {
    int width, height;
    lt_draw *item;
    int64_t n, room;
} lt_drawing;

/* The commands of a chart, in the order of painting, on white; scoped. */
lt_drawing *lt_chart_draw(lt_ctx *cx, const lt_chart *chart);
/* Append the picture to `out`. */
bool lt_drawing_svg(lt_ctx *cx, const lt_drawing *d, lt_str *out);
bool lt_drawing_png(lt_ctx *cx, const lt_drawing *d, lt_str *out);

/* ---- training logs --------------------------------------------------------------------------------------------- */

typedef enum { LT_LOG_STEP, LT_LOG_TOKENS, LT_LOG_SECONDS } lt_log_x; /* tokens and seconds: summed up to the step */

typedef struct lt_points {
    double *x, *y; /* scoped */
    int64_t n;
} lt_points;

/* The curves of a log (JSON lines as lathe train writes them): points[i] are the values of names[i], "loss", "valid.loss", …; none where
 * the log has no such number. null is a gap. `known` (if not NULL) gets the names of all numbers there are, behind what it holds. */
typedef struct lt_log_names {
    const char *name[64]; /* scoped */
    int n;
} lt_log_names;
bool lt_log_read(lt_ctx *cx, const char *path, lt_log_x x, const char *const *names, int n, lt_points *points, lt_log_names *known);
/* The same of text that is there already; `path` stands in messages. */
bool lt_log_parse(lt_ctx *cx, const char *text, size_t size, const char *path, lt_log_x x, const char *const *names, int n, lt_points *points,
                  lt_log_names *known);

#ifdef __cplusplus
}
#endif
#endif
