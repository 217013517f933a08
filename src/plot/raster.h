/* A canvas of pixels: shapes are gathered in a mask of coverage, which is then painted in one colour, so that parts of one line that overlap
 * are not painted twice. */
#ifndef LT_PLOT_RASTER_H
#define LT_PLOT_RASTER_H

#include "plot/plot.h"

typedef struct lt_canvas {
    int width, height;
    uint8_t *rgb;  /* [height, width, 3] */
    uint8_t *mask; /* [height, width]; zero between shapes */
    int x0, y0, x1, y1; /* what of it is not zero; x0 >= x1: nothing */
} lt_canvas;

bool lt_canvas_open(lt_ctx *cx, lt_canvas *c, int width, int height); /* white; scoped */
/* Coverage: of all points within `radius` of the line from a to b; of a rectangle. */
void lt_canvas_line(lt_canvas *c, double ax, double ay, double bx, double by, double radius);
void lt_canvas_rect(lt_canvas *c, double x, double y, double w, double h);
void lt_canvas_paint(lt_canvas *c, uint32_t colour, double opacity); /* and clear the mask */

/* Adds a text's strokes to the mask: x is where it begins, y its base line. */
void lt_canvas_text(lt_canvas *c, const char *text, double x, double y, double size, bool bold);

#endif
