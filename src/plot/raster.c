/* Anti-aliased shapes: the coverage of a pixel is how far its centre lies within the shape's edge, up to half a pixel to both sides. */
#include "plot/raster.h"

#include <math.h>
#include <string.h>

bool lt_canvas_open(lt_ctx *cx, lt_canvas *c, int width, int height)
{
    const int64_t n = (int64_t)width * height;
    *c = (lt_canvas){width, height, lt_alloc_array(cx, n, 3), lt_alloc_array(cx, n, 1), 0, 0, 0, 0};
    if (!c->rgb || !c->mask) return false;
    memset(c->rgb, 255, (size_t)n * 3);
    memset(c->mask, 0, (size_t)n);
    return true;
}

/* A number of pixels from 0 to most, whatever x is. */
static int clamp(double x, int most) { return x > 0 ? x < most ? (int)x : most : 0; }

/* The pixels that a shape may touch, added to what the mask holds; false: none. */
typedef struct box {
    int x0, y0, x1, y1;
} box;

static bool reach(lt_canvas *c, double x0, double y0, double x1, double y1, box *b)
{
    *b = (box){clamp(floor(x0 - 1), c->width), clamp(floor(y0 - 1), c->height), clamp(ceil(x1 + 1), c->width), clamp(ceil(y1 + 1), c->height)};
    if (b->x0 >= b->x1 || b->y0 >= b->y1) return false;
    const bool empty = c->x0 >= c->x1;
    if (empty || b->x0 < c->x0) c->x0 = b->x0;
    if (empty || b->y0 < c->y0) c->y0 = b->y0;
    if (empty || b->x1 > c->x1) c->x1 = b->x1;
    if (empty || b->y1 > c->y1) c->y1 = b->y1;
    return true;
}

static void cover(lt_canvas *c, int x, int y, double coverage)
{
    uint8_t *m = &c->mask[(int64_t)y * c->width + x], now = (uint8_t)lround(255 * fmin(1, coverage));
    if (now > *m) *m = now;
}

void lt_canvas_line(lt_canvas *c, double ax, double ay, double bx, double by, double radius)
{
    box b;
    if (!reach(c, fmin(ax, bx) - radius, fmin(ay, by) - radius, fmax(ax, bx) + radius, fmax(ay, by) + radius, &b)) return;
    const double dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy;
    for (int y = b.y0; y < b.y1; y++) {
        for (int x = b.x0; x < b.x1; x++) {
            double px = x + 0.5 - ax, py = y + 0.5 - ay, t = length > 0 ? (px * dx + py * dy) / length : 0;
            t = t < 0 ? 0 : t > 1 ? 1 : t;
            double away = hypot(px - t * dx, py - t * dy), coverage = radius + 0.5 - away;
            if (coverage > 0) cover(c, x, y, fmin(coverage, 2 * radius)); /* a line thinner than a pixel is fainter */
        }
    }
}

void lt_canvas_rect(lt_canvas *c, double x, double y, double w, double h)
{
    box b;
    if (!reach(c, x, y, x + w, y + h, &b)) return;
    for (int py = b.y0; py < b.y1; py++)
        for (int px = b.x0; px < b.x1; px++) {
            double across = fmin(px + 1, x + w) - fmax(px, x), down = fmin(py + 1, y + h) - fmax(py, y);
            if (across > 0 && down > 0) cover(c, px, py, across * down);
        }
}

void lt_canvas_paint(lt_canvas *c, uint32_t colour, double opacity)
{
    const int parts[3] = {(int)(colour >> 16 & 255), (int)(colour >> 8 & 255), (int)(colour & 255)};
    const int strength = (int)lround(256 * fmin(1, fmax(0, opacity)));
    for (int y = c->y0; y < c->y1; y++) {
        for (int x = c->x0; x < c->x1; x++) {
            const int64_t at = (int64_t)y * c->width + x;
            const int weight = c->mask[at] * strength; /* of 255 * 256 */
            if (!weight) continue;
            for (int k = 0; k < 3; k++) {
                uint8_t *p = &c->rgb[3 * at + k];
                *p = (uint8_t)((*p * (65280 - weight) + parts[k] * weight + 32640) / 65280);
            }
            c->mask[at] = 0;
        }
    }
    c->x0 = c->y0 = c->x1 = c->y1 = 0;
}
