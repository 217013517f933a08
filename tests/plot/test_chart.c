/* Protects: ticks are round numbers within the scale and say what they stand at; smoothing against its definition; thinning keeps the ends
 * and the extremes of every column; charts of hostile numbers are drawn within their frame or refused, the same each time. */
#include "check.h"

#include "plot/plot.h"

#include <stdlib.h>

static lt_ctx *cx;

static int start(void **state) { return (cx = lt_ctx_new(&(lt_options){.threads = 1})) ? 0 : 1; }
static int stop(void **state) { return lt_ctx_free(cx), 0; }

/* "2.5k", "3e-5": as a number. */
static double read_label(const char *label)
{
    char *end;
    double x = strtod(label, &end);
    return *end == 'k' ? x * 1e3 : *end == 'M' ? x * 1e6 : *end == 'G' ? x * 1e9 : *end ? NAN : x;
}

static void check_ticks(double lo, double hi, bool log, double pad)
{
    lt_axis s = {.from = 0, .to = 100};
    lt_axis_set(&s, lo, hi, log, pad, 6);
    assert_true(s.lo < s.hi && isfinite(s.lo) && isfinite(s.hi));
    assert_in_range(s.ticks, 1, LT_MOST_TICKS);
    for (int i = 0; i < s.ticks; i++) {
        double at = lt_axis_at(&s, s.tick[i].at), span = log ? 0 : s.hi - s.lo;
        if (!(at > -0.01 && at < 100.01)) fail_msg("tick %s of %g to %g lies at %g", s.tick[i].label, lo, hi, at);
        if (!(fabs(read_label(s.tick[i].label) - s.tick[i].at) <= 1e-9 * fmax(span, fabs(s.tick[i].at))))
            fail_msg("%g to %g: tick at %.17g says %s", lo, hi, s.tick[i].at, s.tick[i].label);
        if (i) assert_true(s.tick[i].at > s.tick[i - 1].at);
    }
}

static void ticks_are_round_and_within(void **state)
{
    static const double ends[][2] = {{0, 1}, {0, 10}, {1, 2000}, {0.31, 0.32}, {-3, 5}, {-1e-7, 3e-6}, {0, 4096000}, {1e9, 7e9}, {2, 2}, {0, 0}, {-5, -5},
                                     {1e15, 1e15 + 1}, {1e-99, 2e-99}, {-9e99, 9e99}, {9999, 10001}, {0.001, 0.0012}, {1e12, 3e13}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) check_ticks(ends[i][0], ends[i][1], false, 0.04);
    static const double positive[][2] = {{1, 10}, {0.5, 0.6}, {1e-5, 1e-3}, {1, 1e9}, {3, 3}, {1e-99, 1e99}, {2e-7, 9e-7}, {1e5, 2e6}};
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++) check_ticks(positive[i][0], positive[i][1], true, 0.04);
    for (int i = 0; i < 2000; i++) {
        double size = pow(10, 30 * check_number(1, i)), a = size * check_number(2, i), b = size * check_number(3, i);
        check_ticks(fmin(a, b), fmax(a, b), false, 0.04);
        check_ticks(fmin(fabs(a), fabs(b)) + 1e-90, fmax(fabs(a), fabs(b)) + 1e-90, true, 0.04);
    }
}

static void smoothing_is_a_weighted_mean(void **state)
{
    enum { N = 50 };
    double y[N], out[N];
    for (int i = 0; i < N; i++) y[i] = i == 7 ? NAN : check_number(4, i);
    lt_plot_smooth(y, N, 0.8, out);
    for (int i = 0; i < N; i++) {
        double sum = 0, weights = 0, w = 1;
        for (int k = i; k >= 0; k--) {
            if (k == 7) continue;
            sum += w * y[k];
            weights += w;
            w *= 0.8;
        }
        if (i == 7) assert_true(isnan(out[i]));
        else assert_float_equal(out[i], sum / weights, 1e-12);
    }
    lt_plot_smooth(y, N, 0, out);
    assert_true(out[3] == y[3]);
}

static void thinning_keeps_what_is_seen(void **state)
{
    enum { N = 20000, COLUMNS = 50 };
    double *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y), *points = malloc(2 * N * sizeof *points);
    assert_true(x && y && points);
    for (int i = 0; i < N; i++) x[i] = i, y[i] = check_number(5, i);
    lt_axis sx = {.from = 0, .to = COLUMNS}, sy = {.from = 0, .to = 100};
    lt_axis_set(&sx, 0, N, false, 0, 5);
    lt_axis_set(&sy, -1, 1, false, 0, 5);
    int64_t n = lt_plot_thin(x, y, N, &sx, &sy, points);
    assert_in_range(n, 2 * COLUMNS, 4 * COLUMNS);
    assert_true(points[0] == lt_axis_at(&sx, 0) && points[2 * n - 1] == lt_axis_at(&sy, y[N - 1]));
    double low[COLUMNS], high[COLUMNS], seen_low[COLUMNS], seen_high[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) low[i] = seen_low[i] = 1e9, high[i] = seen_high[i] = -1e9;
    for (int i = 0; i < N; i++) {
        int at = (int)floor(lt_axis_at(&sx, x[i]));
        low[at] = fmin(low[at], lt_axis_at(&sy, y[i]));
        high[at] = fmax(high[at], lt_axis_at(&sy, y[i]));
    }
    for (int64_t i = 0; i < n; i++) {
        int at = (int)floor(points[2 * i]);
        seen_low[at] = fmin(seen_low[at], points[2 * i + 1]);
        seen_high[at] = fmax(seen_high[at], points[2 * i + 1]);
        if (i) assert_true(points[2 * i] >= points[2 * i - 2]);
    }
    assert_memory_equal(low, seen_low, sizeof low);
    assert_memory_equal(high, seen_high, sizeof high);
    free(x), free(y), free(points);
}

static void hostile_numbers_stay_in_the_frame(void **state)
{
    static const double odd[] = {0, -1, 1, NAN, INFINITY, -INFINITY, 1e308, -1e308, 1e-308, 9e99, -9e99, 5e-324, 1e15, 3};
    enum { N = sizeof odd / sizeof *odd };
    static const lt_mark marks[] = {LT_MARK_LINE, LT_MARK_DASHES, LT_MARK_POINTS, LT_MARK_BARS};
    static const char *const names[] = {"a", "b", "c"};
    for (int round = 0; round < 400; round++) {
        double x[6], y[6], spread[6];
        for (int i = 0; i < 6; i++) {
            x[i] = odd[(round * 7 + i * 3) % N];
            y[i] = odd[(round / 3 + i * 5) % N];
            spread[i] = odd[(round + i) % N];
        }
        lt_series s = {.name = "s", .mark = marks[round % 4], .colour = round - 10, .x = x, .y = y, .spread = round % 2 ? spread : NULL, .n = round % 7};
        lt_panel p = {.name = "p", .log = round % 3 == 0, .series = &s, .n = 1};
        lt_chart c = {.title = "t\x01\xff", .x_name = "x", .panel = &p, .n = 1, .width = 300, .height = 200};
        if (round % 5 == 0) c.categories = names, c.n_categories = 3;
        lt_scope scope = lt_open(cx, NULL);
        lt_drawing *d = lt_chart_draw(cx, &c);
        lt_str once = {0}, again = {0};
        assert_non_null(d);
        for (int64_t i = 0; i < d->n; i++) {
            if (d->item[i].kind == LT_DRAW_LINE && !c.categories)
                for (int64_t k = 0; k < 2 * d->item[i].n; k++) assert_true(d->item[i].points[k] > -30 && d->item[i].points[k] < 330);
        }
        assert_true(lt_drawing_svg(cx, d, &once));
        assert_true(lt_drawing_svg(cx, lt_chart_draw(cx, &c), &again));
        assert_true(once.size == again.size && !memcmp(once.data, again.data, once.size));
        assert_null(strstr(once.data, "nan"));
        lt_str_free(&once);
        lt_str_free(&again);
        lt_end(cx, scope);
    }
    lt_panel p = {.name = "p"};
    assert_null(lt_chart_draw(cx, &(lt_chart){.panel = &p, .n = 1, .width = 100000, .height = 100}));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_USAGE);
    lt_ctx_clear(cx);
    assert_null(lt_chart_draw(cx, &(lt_chart){.panel = &p, .n = 0, .width = 100, .height = 100}));
    lt_ctx_clear(cx);
}

static void bars_stand_side_by_side(void **state)
{
    static const double x[] = {0, 1}, y[] = {3, 4}, z[] = {1, -2}, sd[] = {0.5, 0.25};
    static const char *const names[] = {"first", "second"};
    lt_series s[] = {{.name = "y", .mark = LT_MARK_BARS, .x = x, .y = y, .spread = sd, .n = 2}, {.name = "z", .mark = LT_MARK_BARS, .colour = 1, .x = x, .y = z, .n = 2}};
    lt_panel p = {.name = "p", .series = s, .n = 2};
    lt_drawing *d = lt_chart_draw(cx, &(lt_chart){.panel = &p, .n = 1, .categories = names, .n_categories = 2, .width = 300, .height = 200});
    assert_non_null(d);
    double bar[4][4];
    int n = 0;
    for (int64_t i = 0; i < d->n; i++) {
        const lt_draw *r = &d->item[i];
        if (r->kind == LT_DRAW_RECT && r->h != 12) memcpy(bar[n++], (double[]){r->x, r->y, r->w, r->h}, sizeof *bar);
    }
    assert_int_equal(n, 4);
    assert_float_equal(bar[1][3] / bar[0][3], 4.0 / 3, 1e-9);
    assert_float_equal(bar[3][3] / bar[2][3], 2, 1e-9);
    assert_true(bar[0][0] + bar[0][2] < bar[2][0] && bar[2][0] + bar[2][2] < bar[1][0]);
    assert_float_equal(bar[3][1], bar[0][1] + bar[0][3], 1e-9); /* below zero hangs from where the others stand */
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_are_round_and_within),   cmocka_unit_test(smoothing_is_a_weighted_mean), cmocka_unit_test(thinning_keeps_what_is_seen),
        cmocka_unit_test(hostile_numbers_stay_in_the_frame), cmocka_unit_test(bars_stand_side_by_side),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
