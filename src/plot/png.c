/* A drawing as PNG (W3C, second edition; ISO/IEC 15948): painted on a canvas, its rows compressed by zlib, 8 bits for each of red, green and blue. */
#include "plot/raster.h"

#include <math.h>
#include <string.h>
#include <zlib.h>

static void put_dashes(lt_canvas *c, const lt_draw *d, double radius)
{
    double at = 0; /* along the line */
    for (int64_t i = 0; i + 1 < d->n; i++) {
        const double *a = d->points + 2 * i, dx = a[2] - a[0], dy = a[3] - a[1], length = hypot(dx, dy);
        if (!(length > 0) || length > 1e5) continue;
        for (double from = 0; from < length;) {
            const double into = fmod(at + from, 2 * d->dash), left = (into < d->dash ? d->dash : 2 * d->dash) - into, to = fmin(length, from + fmax(left, 1e-3));
            const bool starts = into < 1e-6, ends = into + (to - from) > d->dash - 1e-6;
            /* ends are round here, so a dash is drawn as much shorter */
            const double b = (from + (starts ? radius : 0)) / length, e = (to - (ends ? radius : 0)) / length;
            if (into < d->dash && b <= e) lt_canvas_line(c, a[0] + b * dx, a[1] + b * dy, a[0] + e * dx, a[1] + e * dy, radius);
            from = to;
        }
        at += length;
    }
}

static void paint(lt_canvas *c, const lt_draw *d)
{
    const double *p = d->points;
    switch (d->kind) {
    case LT_DRAW_LINE:
        if (d->dash > 0) put_dashes(c, d, d->size / 2);
        for (int64_t i = 0; d->dash <= 0 && i + 1 < d->n; i++) lt_canvas_line(c, p[2 * i], p[2 * i + 1], p[2 * i + 2], p[2 * i + 3], d->size / 2);
        break;
    case LT_DRAW_RECT:
        lt_canvas_rect(c, d->x, d->y, d->w, d->h);
        break;
    case LT_DRAW_DISC:
        lt_canvas_line(c, d->x, d->y, d->x, d->y, d->size);
        break;
    case LT_DRAW_TEXT:
        lt_canvas_text(c, d->text, d->x - (d->anchor + 1) / 2.0 * lt_plot_text_width(d->text, d->bold) * d->size, d->y, d->size, d->bold);
        break;
    }
    lt_canvas_paint(c, d->colour, d->opacity);
}

static void put_u32(lt_str *s, uint32_t x)
{
    const uint8_t bytes[4] = {(uint8_t)(x >> 24), (uint8_t)(x >> 16), (uint8_t)(x >> 8), (uint8_t)x};
    lt_str_add(s, bytes, 4);
}

static void put_chunk(lt_str *s, const char type[4], const void *data, size_t n)
{
    put_u32(s, (uint32_t)n);
    lt_str_add(s, type, 4);
    lt_str_add(s, data, n);
    uLong sum = crc32(crc32(0, (const Bytef *)type, 4), n ? data : (const Bytef *)"", (uInt)n);
    put_u32(s, (uint32_t)sum);
}

/* Rows with the filter "none" before each, compressed. */
static bool put_rows(lt_ctx *cx, lt_str *s, const lt_canvas *c)
{
    const size_t row = 3 * (size_t)c->width, size = (row + 1) * (size_t)c->height;
    uint8_t *plain = lt_alloc(cx, size);
    uLongf n = compressBound(size);
    uint8_t *packed = plain ? lt_alloc(cx, n) : NULL;
    if (!packed) return false;
    for (int y = 0; y < c->height; y++) {
        plain[y * (row + 1)] = 0;
        memcpy(plain + y * (row + 1) + 1, c->rgb + y * row, row);
    }
    if (!lt_fail_if(cx, compress2(packed, &n, plain, size, 9) != Z_OK, LT_ERR_MEMORY, "no memory for the picture")) return false;
    put_chunk(s, "IDAT", packed, n);
    return true;
}

static bool write_png(lt_ctx *cx, const lt_drawing *d, lt_str *out)
{
    lt_canvas c;
    if (!lt_canvas_open(cx, &c, d->width, d->height)) return false;
    for (int64_t i = 0; i < d->n; i++) {
        if (i % 64 == 0 && !lt_ok(cx)) return false;
        paint(&c, &d->item[i]);
    }
    const uint8_t about[13] = {(uint8_t)(d->width >> 24), (uint8_t)(d->width >> 16), (uint8_t)(d->width >> 8), (uint8_t)d->width, (uint8_t)(d->height >> 24),
                               (uint8_t)(d->height >> 16), (uint8_t)(d->height >> 8), (uint8_t)d->height, 8, 2, 0, 0, 0};
    lt_str_add(out, "\x89PNG\r\n\x1a\n", 8);
    put_chunk(out, "IHDR", about, sizeof about);
    if (!put_rows(cx, out, &c)) return false;
    put_chunk(out, "IEND", NULL, 0);
    return lt_fail_if(cx, out->failed, LT_ERR_MEMORY, "no memory for the picture");
}

bool lt_drawing_png(lt_ctx *cx, const lt_drawing *d, lt_str *out)
{
    if (!d) return false;
    lt_scope scope = lt_open(cx, NULL);
    bool good = write_png(cx, d, out);
    lt_end(cx, scope);
    return good;
}
