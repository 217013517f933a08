/* A drawing as SVG 1.1 (W3C). Coordinates are written in hundredths of a pixel, by integers, so that no locale changes a byte. */
#include "plot/plot.h"

#include <math.h>

static void put_number(lt_str *s, double x)
{
    if (!(fabs(x) < 1e12)) x = x < 0 ? -1e12 : 1e12; /* off any page */
    long long hundredths = llround(x * 100);
    if (hundredths < 0) lt_str_puts(s, "-");
    if (hundredths < 0) hundredths = -hundredths;
    lt_str_printf(s, "%lld", hundredths / 100);
    int rest = (int)(hundredths % 100);
    if (rest % 10) lt_str_printf(s, ".%02d", rest);
    else if (rest) lt_str_printf(s, ".%d", rest / 10);
}

static void put_attribute(lt_str *s, const char *name, double x)
{
    lt_str_printf(s, " %s=\"", name);
    put_number(s, x);
    lt_str_puts(s, "\"");
}

/* Text of a document; what XML has no character for becomes U+FFFD. */
static void put_text(lt_str *s, const char *text)
{
    const char *p = text;
    for (; *p; p++) {
    }
    for (const char *end = p, *q = text; q < end;) {
        uint32_t c;
        char bytes[4];
        q += lt_utf8_next(q, end, &c);
        if (c < 0x20 || c == 0x7F || c == 0xFFFE || c == 0xFFFF) c = 0xFFFD;
        if (c == '<') lt_str_puts(s, "&lt;");
        else if (c == '>') lt_str_puts(s, "&gt;");
        else if (c == '&') lt_str_puts(s, "&amp;");
        else lt_str_add(s, bytes, (size_t)lt_utf8_put(c, bytes));
    }
}

static void put_line(lt_str *s, const lt_draw *d)
{
    lt_str_printf(s, "<path fill=\"none\" stroke=\"#%06x\"", d->colour);
    put_attribute(s, "stroke-width", d->size);
    if (d->dash > 0) put_attribute(s, "stroke-dasharray", d->dash);
    if (d->opacity < 1) put_attribute(s, "stroke-opacity", d->opacity);
    lt_str_puts(s, " d=\"");
    for (int64_t i = 0; i < d->n; i++) {
        lt_str_puts(s, i == 0 ? "M" : i == 1 ? "L" : " ");
        put_number(s, d->points[2 * i]);
        lt_str_puts(s, ",");
        put_number(s, d->points[2 * i + 1]);
    }
    lt_str_puts(s, "\"/>\n");
}

static void put_item(lt_str *s, const lt_draw *d)
{
    switch (d->kind) {
    case LT_DRAW_LINE:
        put_line(s, d);
        return;
    case LT_DRAW_RECT:
        lt_str_printf(s, "<rect fill=\"#%06x\"", d->colour);
        put_attribute(s, "x", d->x);
        put_attribute(s, "y", d->y);
        put_attribute(s, "width", d->w);
        put_attribute(s, "height", d->h);
        break;
    case LT_DRAW_DISC:
        lt_str_printf(s, "<circle fill=\"#%06x\"", d->colour);
        put_attribute(s, "cx", d->x);
        put_attribute(s, "cy", d->y);
        put_attribute(s, "r", d->size);
        break;
    case LT_DRAW_TEXT:
        lt_str_printf(s, "<text fill=\"#%06x\"", d->colour);
        put_attribute(s, "x", d->x);
        put_attribute(s, "y", d->y);
        put_attribute(s, "font-size", d->size);
        if (d->anchor >= 0) lt_str_printf(s, " text-anchor=\"%s\"", d->anchor ? "end" : "middle");
        if (d->bold) lt_str_puts(s, " font-weight=\"bold\"");
        lt_str_puts(s, ">");
        put_text(s, d->text);
        lt_str_puts(s, "</text>\n");
        return;
    }
    if (d->opacity < 1) put_attribute(s, "fill-opacity", d->opacity);
    lt_str_puts(s, "/>\n");
}

bool lt_drawing_svg(lt_ctx *cx, const lt_drawing *d, lt_str *out)
{
    if (!d) return false;
    lt_str_printf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"Helvetica, Arial, "
                  "'Liberation Sans', 'DejaVu Sans', sans-serif\" stroke-linejoin=\"round\" stroke-linecap=\"butt\">\n"
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
                  d->width, d->height, d->width, d->height);
    for (int64_t i = 0; i < d->n; i++) put_item(out, &d->item[i]);
    lt_str_puts(out, "</svg>\n");
    return lt_fail_if(cx, out->failed, LT_ERR_MEMORY, "no memory for the picture");
}
