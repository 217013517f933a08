/* Fuzzes the reader of training logs and what becomes of its numbers: whatever the bytes, either an error, or curves of which a chart, an SVG
 * and a PNG can be made, the chart within its frame. For clang's -fsanitize=fuzzer. */
#include <math.h>
#include <stdlib.h>

#include "lathe/plot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void draw(lt_ctx *cx, const lt_points *points, int n, unsigned how)
{
    lt_series series[3];
    lt_str svg = {0}, png = {0};
    for (int i = 0; i < n; i++)
        series[i] = (lt_series){.name = "s", .mark = (lt_mark)((how + (unsigned)i) % 4), .colour = i, .x = points[i].x, .y = points[i].y, .n = points[i].n};
    const lt_panel panel = {.name = "p", .log = how & 4, .series = series, .n = n};
    lt_drawing *d = lt_chart_draw(cx, &(lt_chart){.title = "t", .x_name = "x", .panel = &panel, .n = 1, .width = 320, .height = 240});
    if (!d || !lt_drawing_svg(cx, d, &svg) || !lt_drawing_png(cx, d, &png)) {
        if (lt_ctx_status(cx) != LT_ERR_MEMORY) abort();
    }
    for (int64_t i = 0; d && i < d->n; i++)
        for (int64_t k = 0; d->item[i].kind == LT_DRAW_LINE && k < 2 * d->item[i].n; k++)
            if (!(fabs(d->item[i].points[k]) < 400)) abort();
    lt_str_free(&svg);
    lt_str_free(&png);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"loss", "valid.loss", "lr"};
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .memory_limit = (size_t)64 << 20});
    lt_points points[3];
    lt_log_names known = {0};
    const unsigned how = size ? data[0] : 0;
    if (!cx) return 0;
    if (size && lt_log_parse(cx, (const char *)data + 1, size - 1, "fuzz", (lt_log_x)(how / 8 % 3), names, 3, points, &known)) draw(cx, points, 3, how);
    lt_ctx_free(cx);
    return 0;
}
