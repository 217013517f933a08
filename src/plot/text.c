/* How wide text is. An SVG's reader picks the font, so widths are those that the usual sans-serif faces have, by classes of characters,
 * rather a little too wide; the PNG's own font is drawn to the same widths. */
#include "plot/plot.h"

#include <string.h>

double lt_plot_char_width(uint32_t c)
{
    if (c >= 0x1100) return 1; /* East Asian and symbols: as wide as high */
    if (c > 0x7E) return 0.6;
    if (c && strchr("ijl.,:;'|!I", (int)c)) return 0.29;
    if (c && strchr(" ()[]{}ftr/\\-`\"*", (int)c)) return 0.36;
    if (c && strchr("mMWw%@", (int)c)) return 0.88;
    return c >= 'A' && c <= 'Z' ? 0.69 : 0.57;
}

double lt_plot_text_width(const char *text, bool bold)
{
    double width = 0;
    for (const char *p = text, *end = text + strlen(text); p < end;) {
        uint32_t c;
        p += lt_utf8_next(p, end, &c);
        width += lt_plot_char_width(c);
    }
    return bold ? width * 1.06 : width;
}
