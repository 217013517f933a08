/* From a chart to drawing commands: where everything stands. Panels lie one below the other over one x axis, what y is stands above each, so
 * nothing is written sideways. Colours are those that people with any colour vision tell apart (Okabe and Ito 2008; Wong 2011, Nature
 * Methods 8:441), the darker ones first. */
#include "plot/plot.h"

#include <math.h>
#include <string.h>

enum { PALETTE = 7, INK = 0x222222, SOFT = 0x555555, GRID = 0xdddddd, FRAME = 0x888888 };
static const uint32_t palette[PALETTE] = {0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7, 0xe69f00, 0x56b4e9, 0x000000};
static const double title_size = 17, name_size = 13, label_size = 12, row_height = 19, edge = 14;

typedef struct layout {
    lt_ctx *cx;
    const lt_chart *chart;
    lt_drawing *d;
    lt_axis x;
    double left, right, top, bottom; /* of all panels */
} layout;

/* ---- commands ---- */

static void put(layout *l, const lt_draw *item)
{
    lt_drawing *d = l->d;
    if (d->n == d->room) { /* the old list stays in the scope until that ends */
        lt_draw *more = lt_alloc_array(l->cx, 2 * d->room + 64, sizeof *more);
        if (!more) return;
        if (d->n) memcpy(more, d->item, (size_t)d->n * sizeof *more);
        d->item = more;
        d->room = 2 * d->room + 64;
    }
    d->item[d->n++] = *item;
}

static void put_text(layout *l, double x, double y, double size, int anchor, uint32_t colour, bool bold, const char *text)
{
    put(l, &(lt_draw){.kind = LT_DRAW_TEXT, .colour = colour, .opacity = 1, .x = x, .y = y, .size = size, .anchor = anchor, .bold = bold, .text = text});
}

static void put_segment(layout *l, double x0, double y0, double x1, double y1, double width, double dash, uint32_t colour)
{
    double *p = lt_alloc_array(l->cx, 4, sizeof *p);
    if (!p) return;
    memcpy(p, (double[]){x0, y0, x1, y1}, 4 * sizeof *p);
    put(l, &(lt_draw){.kind = LT_DRAW_LINE, .colour = colour, .opacity = 1, .size = width, .dash = dash, .points = p, .n = 2});
}

static void put_disc(layout *l, double x, double y, double radius, uint32_t colour, double opacity)
{
    put(l, &(lt_draw){.kind = LT_DRAW_DISC, .colour = colour, .opacity = opacity, .x = x, .y = y, .size = radius});
}

static uint32_t colour_of(const lt_series *s) { return palette[(unsigned)s->colour % PALETTE]; }
static double dash_of(const lt_series *s) /* the palette's second round is dashed, as are validations */
{
    return s->mark == LT_MARK_DASHES ? 5 : (unsigned)s->colour / PALETTE % 2 ? 9 : 0;
}

/* ---- ranges ---- */

typedef struct range {
    double lo, hi;
    bool any;
} range;

static void cover(range *r, double value)
{
    r->lo = r->any ? fmin(r->lo, value) : value;
    r->hi = r->any ? fmax(r->hi, value) : value;
    r->any = true;
}

static bool is_shown(const lt_panel *p, const lt_series *s, int64_t i)
{
    const lt_axis x = {0}, y = {.log = p->log};
    return lt_axis_takes(&x, s->x[i]) && lt_axis_takes(&y, s->y[i]);
}

static void cover_panel(const lt_panel *p, range *x, range *y)
{
    const lt_axis scale = {.log = p->log};
    for (int k = 0; k < p->n; k++) {
        const lt_series *s = &p->series[k];
        for (int64_t i = 0; i < s->n; i++) {
            if (!is_shown(p, s, i)) continue;
            cover(x, s->x[i]);
            cover(y, s->y[i]);
            for (int side = -1; s->spread && side <= 1; side += 2)
                if (lt_axis_takes(&scale, s->y[i] + side * s->spread[i])) cover(y, s->y[i] + side * s->spread[i]);
            if (s->mark == LT_MARK_BARS && !p->log) cover(y, 0);
        }
    }
}

static lt_axis y_scale(const lt_panel *p, double top, double bottom)
{
    range x = {0}, y = {0};
    lt_axis s = {.from = bottom, .to = top};
    cover_panel(p, &x, &y);
    int wanted = (int)((bottom - top) / 34);
    lt_axis_set(&s, y.any ? y.lo : p->log ? 1 : 0, y.any ? y.hi : p->log ? 10 : 1, p->log, 0.04, wanted < 2 ? 2 : wanted > 10 ? 10 : wanted);
    return s;
}

static void set_x_scale(layout *l)
{
    const lt_chart *c = l->chart;
    range x = {0}, y = {0};
    bool bars = false;
    for (int i = 0; i < c->n; i++) {
        cover_panel(&c->panel[i], &x, &y);
        for (int k = 0; k < c->panel[i].n; k++) bars |= c->panel[i].series[k].mark == LT_MARK_BARS;
    }
    if (!x.any) x = (range){0, 1, true};
    if (c->categories) x = (range){-0.5, c->n_categories - 0.5, true};
    else if (bars) x = (range){x.lo - 0.5, x.hi + 0.5, true};
    int wanted = (int)((l->right - l->left) / 90);
    l->x.from = l->left;
    l->x.to = l->right;
    lt_axis_set(&l->x, x.lo, x.hi, false, bars || c->categories ? 0 : 0.015, wanted < 2 ? 2 : wanted > 12 ? 12 : wanted);
}

/* ---- series ---- */

static void put_run(layout *l, const lt_axis *sy, const lt_series *s, int64_t from, int64_t to)
{
    double *points = lt_alloc_array(l->cx, 2 * (to - from), sizeof *points);
    if (!points) return;
    int64_t n = lt_plot_thin(s->x + from, s->y + from, to - from, &l->x, sy, points);
    double opacity = s->faint ? 0.3 : 1;
    if (n == 1) { /* no line goes through one point */
        put_disc(l, points[0], points[1], 2, colour_of(s), opacity);
        return;
    }
    put(l, &(lt_draw){.kind = LT_DRAW_LINE, .colour = colour_of(s), .opacity = opacity, .size = s->faint ? 1 : 1.8, .dash = dash_of(s), .points = points, .n = n});
}

static void put_line(layout *l, const lt_panel *p, const lt_axis *sy, const lt_series *s)
{
    for (int64_t i = 0; i < s->n;) {
        int64_t from = i;
        while (i < s->n && is_shown(p, s, i)) i++;
        if (i > from) put_run(l, sy, s, from, i);
        else i++;
    }
}

/* Of the bars of series `which`, in units of x, and where they begin beside their x. */
static double bars_width(const lt_panel *p, int which, double *offset)
{
    int before = 0, bars = 0;
    for (int i = 0; i < p->n; i++) {
        if (p->series[i].mark != LT_MARK_BARS) continue;
        if (i < which) before++;
        bars++;
    }
    double width = 0.8 / (bars ? bars : 1);
    *offset = -0.4 + width * before;
    return width;
}

static void put_values(layout *l, const lt_panel *p, const lt_axis *sy, int which)
{
    const lt_series *s = &p->series[which];
    double offset, width = bars_width(p, which, &offset), opacity = s->faint ? 0.3 : 1;
    double floor_at = p->log ? sy->from : lt_axis_at(sy, 0);
    for (int64_t i = 0; i < s->n; i++) {
        if (!is_shown(p, s, i)) continue;
        double x = lt_axis_at(&l->x, s->x[i]), y = lt_axis_at(sy, s->y[i]);
        if (s->mark == LT_MARK_BARS) {
            double left = lt_axis_at(&l->x, s->x[i] + offset), right = lt_axis_at(&l->x, s->x[i] + offset + width);
            double gap = (right - left) * 0.06;
            put(l, &(lt_draw){.kind = LT_DRAW_RECT, .colour = colour_of(s), .opacity = opacity, .x = left + gap, .y = fmin(y, floor_at), .w = right - left - 2 * gap,
                              .h = fabs(y - floor_at)});
            x = (left + right) / 2;
        } else {
            put_disc(l, x, y, 3, colour_of(s), opacity);
        }
        if (!s->spread || !isfinite(s->spread[i])) continue;
        double low = s->y[i] - s->spread[i], high = s->y[i] + s->spread[i];
        if (!lt_axis_takes(sy, low) || !lt_axis_takes(sy, high)) continue;
        double y0 = lt_axis_at(sy, low), y1 = lt_axis_at(sy, high);
        put_segment(l, x, y0, x, y1, 1.3, 0, INK);
        put_segment(l, x - 4, y0, x + 4, y0, 1.3, 0, INK);
        put_segment(l, x - 4, y1, x + 4, y1, 1.3, 0, INK);
    }
}

/* ---- around them ---- */

static void put_grid(layout *l, const lt_axis *sy, double top, double bottom, bool labels)
{
    for (int i = 0; i < sy->ticks; i++) {
        double y = floor(lt_axis_at(sy, sy->tick[i].at)) + 0.5; /* sharp */
        put_segment(l, l->left, y, l->right, y, 1, 0, GRID);
        put_text(l, l->left - 7, y + label_size * 0.35, label_size, 1, SOFT, false, lt_sprintf(l->cx, "%s", sy->tick[i].label));
    }
    if (l->chart->categories) {
        for (int i = 0; labels && i < l->chart->n_categories; i++)
            put_text(l, lt_axis_at(&l->x, i), bottom + 17, label_size, 0, SOFT, false, l->chart->categories[i]);
    } else {
        for (int i = 0; i < l->x.ticks; i++) {
            double x = floor(lt_axis_at(&l->x, l->x.tick[i].at)) + 0.5;
            put_segment(l, x, top, x, bottom, 1, 0, GRID);
            if (labels) put_text(l, x, bottom + 17, label_size, 0, SOFT, false, lt_sprintf(l->cx, "%s", l->x.tick[i].label));
        }
    }
    put_segment(l, l->left, top, l->left, bottom, 1, 0, FRAME);
    put_segment(l, l->left, bottom, l->right, bottom, 1, 0, FRAME);
}

static void put_panel(layout *l, const lt_panel *p, double top, double bottom, bool last)
{
    lt_axis sy = y_scale(p, top, bottom);
    put_text(l, l->left, top - 8, name_size, -1, INK, true, p->name);
    put_grid(l, &sy, top, bottom, last);
    for (int i = 0; i < p->n; i++) {
        const lt_series *s = &p->series[i];
        if (s->mark == LT_MARK_LINE || s->mark == LT_MARK_DASHES) put_line(l, p, &sy, s);
        /* dots on a dashed line only as long as they can be told apart */
        if (s->mark != LT_MARK_LINE && (s->mark != LT_MARK_DASHES || s->n <= 100)) put_values(l, p, &sy, i);
    }
}

static bool is_named_before(const lt_chart *c, int panel, int series)
{
    const char *name = c->panel[panel].series[series].name;
    for (int i = 0; i <= panel; i++)
        for (int k = 0; k < (i == panel ? series : c->panel[i].n); k++)
            if (c->panel[i].series[k].name && !strcmp(c->panel[i].series[k].name, name)) return true;
    return false;
}

static void put_key(layout *l, const lt_series *s, double x, double y)
{
    uint32_t colour = colour_of(s);
    if (s->mark == LT_MARK_BARS) put(l, &(lt_draw){.kind = LT_DRAW_RECT, .colour = colour, .opacity = 1, .x = x + 6, .y = y - 10, .w = 12, .h = 12});
    if (s->mark == LT_MARK_LINE || s->mark == LT_MARK_DASHES) put_segment(l, x, y - 4, x + 24, y - 4, 2.2, dash_of(s), colour);
    if (s->mark == LT_MARK_POINTS || s->mark == LT_MARK_DASHES) put_disc(l, x + 12, y - 4, 3, colour, 1);
}

/* Rows of keys from `top` on, as many as are needed; returns where they end. */
static double put_legend(layout *l, double top)
{
    const lt_chart *c = l->chart;
    double x = edge, y = top;
    for (int i = 0; i < c->n; i++) {
        for (int k = 0; k < c->panel[i].n; k++) {
            const lt_series *s = &c->panel[i].series[k];
            if (!s->name || is_named_before(c, i, k)) continue;
            double width = 24 + 6 + lt_plot_text_width(s->name, false) * label_size;
            if (x > edge && x + width > c->width - edge) x = edge, y += row_height;
            put_key(l, s, x, y + 14);
            put_text(l, x + 30, y + 14, label_size, -1, INK, false, s->name);
            x += width + 20;
        }
    }
    return x > edge ? y + row_height : y;
}

static double widest_label(const layout *l, double height)
{
    double widest = 2;
    for (int i = 0; i < l->chart->n; i++) {
        lt_axis s = y_scale(&l->chart->panel[i], 0, height);
        for (int k = 0; k < s.ticks; k++) widest = fmax(widest, lt_plot_text_width(s.tick[k].label, false));
    }
    return widest * label_size;
}

static bool check(lt_ctx *cx, const lt_chart *c)
{
    bool good = c->width >= LT_PLOT_LEAST && c->width <= LT_PLOT_MOST && c->height >= LT_PLOT_LEAST && c->height <= LT_PLOT_MOST;
    return lt_fail_if(cx, !good, LT_ERR_USAGE, "a chart of %d by %d pixels: expected %d to %d each way", c->width, c->height, LT_PLOT_LEAST, LT_PLOT_MOST) &&
           lt_fail_if(cx, c->n < 1, LT_ERR_USAGE, "a chart without a panel: expected at least one");
}

lt_drawing *lt_chart_draw(lt_ctx *cx, const lt_chart *chart)
{
    layout l = {.cx = cx, .chart = chart};
    if (!lt_ok(cx) || !check(cx, chart) || !(l.d = lt_alloc(cx, sizeof *l.d))) return NULL;
    *l.d = (lt_drawing){.width = chart->width, .height = chart->height};
    double y = edge;
    if (chart->title) {
        put_text(&l, edge, y + title_size * 0.8, title_size, -1, INK, true, chart->title);
        y += title_size + 8;
    }
    l.top = put_legend(&l, y);
    l.bottom = chart->height - edge - 17 - (chart->x_name ? 20 : 0);
    const double head = 30, height = (l.bottom - l.top) / chart->n - head;
    if (!lt_fail_if(cx, height < 12, LT_ERR_USAGE, "%d pixels are too few for %d panels and the legend: expected more height", chart->height, chart->n)) return NULL;
    l.left = floor(edge + widest_label(&l, height) + 7) + 0.5;
    l.right = chart->width - edge - 10;
    if (!lt_fail_if(cx, l.right - l.left < 20, LT_ERR_USAGE, "%d pixels are too few for the labels: expected more width", chart->width)) return NULL;
    set_x_scale(&l);
    for (int i = 0; i < chart->n; i++) {
        double top = floor(l.top + i * (height + head) + head) + 0.5;
        put_panel(&l, &chart->panel[i], top, top + floor(height), i == chart->n - 1);
    }
    if (chart->x_name) put_text(&l, (l.left + l.right) / 2, l.bottom + 36, name_size, 0, INK, false, chart->x_name);
    return lt_ok(cx) ? l.d : NULL;
}
