/* Protects: coverage of lines, rectangles and discs is their area, wherever they lie and however thin; nothing is painted outside; overlaps
 * are painted once; every character has strokes within its place; the painter takes whatever a drawing holds. */
#include "check.h"

#include "plot/raster.h"

#include <stdlib.h>

static lt_ctx *cx;

static int start(void **state) { return (cx = lt_ctx_new(&(lt_options){.threads = 1})) ? 0 : 1; }
static int stop(void **state) { return lt_ctx_free(cx), 0; }

/* Ink on a white canvas that was painted black: pixels. */
static double ink(const lt_canvas *c)
{
    double sum = 0;
    for (int64_t i = 0; i < (int64_t)c->width * c->height; i++) sum += 1 - c->rgb[3 * i] / 255.0;
    return sum;
}

static lt_canvas canvas(int width, int height)
{
    lt_canvas c;
    assert_true(lt_canvas_open(cx, &c, width, height));
    return c;
}

static void areas_are_right(void **state)
{
    for (int i = 0; i < 200; i++) {
        const double x = 40 + 20 * check_number(1, i), y = 40 + 20 * check_number(2, i), angle = 3.2 * check_number(3, i), length = 15, radius = 0.6 + 2 * fabs(check_number(4, i));
        lt_scope scope = lt_open(cx, NULL);
        lt_canvas c = canvas(80, 80);
        lt_canvas_line(&c, x, y, x + length * cos(angle), y + length * sin(angle), radius);
        lt_canvas_paint(&c, 0, 1);
        const double area = 2 * radius * length + 3.14159265 * radius * radius;
        assert_float_equal(ink(&c) / area, 1, 0.08); /* coverage by distance is not quite area where lines end */
        c = canvas(80, 80);
        lt_canvas_rect(&c, x, y, 3.3 * radius, 5.7);
        lt_canvas_paint(&c, 0, 1);
        assert_float_equal(ink(&c), 3.3 * radius * 5.7, 0.003 * 80);
        c = canvas(80, 80);
        lt_canvas_line(&c, x, y, x, y, 3 * radius);
        lt_canvas_paint(&c, 0, 1);
        assert_float_equal(ink(&c) / (3.14159265 * 9 * radius * radius), 1, 0.06);
        lt_end(cx, scope);
    }
    lt_canvas c = canvas(80, 80);
    lt_canvas_line(&c, 10, 20.5, 60, 20.5, 0.25); /* half a pixel thin */
    lt_canvas_paint(&c, 0, 1);
    assert_float_equal(ink(&c), 25, 1);
}

static void overlaps_are_painted_once(void **state)
{
    lt_canvas once = canvas(60, 60), twice = canvas(60, 60);
    lt_canvas_line(&once, 5, 7, 50, 40, 2);
    lt_canvas_paint(&once, 0x0072b2, 0.3);
    for (int i = 0; i < 2; i++) lt_canvas_line(&twice, 5, 7, 50, 40, 2);
    lt_canvas_paint(&twice, 0x0072b2, 0.3);
    assert_memory_equal(once.rgb, twice.rgb, 60 * 60 * 3);
    for (int i = 0; i < 60 * 60; i++) assert_int_equal(twice.mask[i], 0);
}

static void what_lies_outside_is_cut(void **state)
{
    static const double far[] = {-1e300, -1e9, -50, 10, 70, 1e9, 1e300, INFINITY, NAN};
    enum { N = sizeof far / sizeof *far };
    for (int i = 0; i < N * N; i++) {
        lt_scope scope = lt_open(cx, NULL);
        lt_canvas c = canvas(20, 20);
        lt_canvas_line(&c, far[i % N], far[i / N], far[(i + 3) % N], 5, 1);
        lt_canvas_rect(&c, far[i % N], far[i / N], far[(i + 4) % N], 7);
        lt_canvas_text(&c, "text", far[i % N], far[i / N], 12, true);
        lt_canvas_paint(&c, 0, 1);
        lt_end(cx, scope);
    }
    lt_canvas c = canvas(20, 20);
    lt_canvas_rect(&c, -10, -10, 100, 100);
    lt_canvas_paint(&c, 0, 1);
    assert_float_equal(ink(&c), 400, 1e-9);
}

static void characters_have_strokes_in_their_place(void **state)
{
    for (int code = 0x20; code < 0x250; code++) {
        if (code >= 0x7F && code < 0xA0) continue;
        char text[5] = {0};
        lt_utf8_put((uint32_t)code, text);
        lt_scope scope = lt_open(cx, NULL);
        lt_canvas c = canvas(80, 80);
        lt_canvas_text(&c, text, 20, 50, 30, false);
        lt_canvas_paint(&c, 0, 1);
        const bool blank = code == ' ' || code == 0xA0;
        if (blank != (ink(&c) == 0)) fail_msg("U+%04X has %g pixels of ink", (unsigned)code, ink(&c));
        const double right = 20 + 30 * lt_plot_text_width(text, false);
        for (int y = 0; y < 80; y++)
            for (int x = 0; x < 80; x++)
                if (c.rgb[3 * (y * 80 + x)] < 200 && (x + 1 < 20 || x > right || y < 15 || y > 62)) fail_msg("U+%04X has ink at %d, %d", (unsigned)code, x, y);
        lt_end(cx, scope);
    }
}

static void digits_differ(void **state)
{
    const char *all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    lt_canvas c[62];
    for (int i = 0; i < 62; i++) {
        c[i] = canvas(40, 40);
        lt_canvas_text(&c[i], (char[]){all[i], 0}, 5, 30, 24, false);
        lt_canvas_paint(&c[i], 0, 1);
        for (int k = 0; k < i; k++) {
            int64_t differ = 0;
            for (int p = 0; p < 1600; p++) differ += abs(c[i].rgb[3 * p] - c[k].rgb[3 * p]);
            if (differ < 1000 && !strchr("lI0O", all[i])) fail_msg("%c looks like %c", all[i], all[k]);
        }
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(areas_are_right), cmocka_unit_test(overlaps_are_painted_once), cmocka_unit_test(what_lies_outside_is_cut),
        cmocka_unit_test(characters_have_strokes_in_their_place), cmocka_unit_test(digits_differ),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
