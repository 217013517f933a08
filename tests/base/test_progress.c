/* Protects: short work is never reported, long work about ten times a second and once at the end, with a rate that follows
 * the last seconds; and that children report nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

#include "lathe/base.h"

struct seen {
    int calls, lasts;
    double first;
    lt_progress p;
};

static void note(void *arg, const lt_progress *p)
{
    struct seen *s = arg;
    if (!s->calls++) s->first = p->seconds;
    s->lasts += p->last;
    s->p = *p;
}

static void work(lt_ctx *cx, double seconds, int64_t total)
{
    lt_progress_begin(cx, "embedding", "lines", total);
    double start = lt_now();
    for (int64_t i = 1; lt_now() - start < seconds; i++) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
        lt_progress_step(cx, i);
    }
    lt_progress_end(cx);
}

static void long_work_is_reported(void **state)
{
    struct seen s = {0};
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .progress = note, .progress_arg = &s});
    work(cx, 1.0, 1000000);
    assert_true(s.first >= 0.3);
    assert_in_range(s.calls, 2, 9); /* at 0.3, 0.4 … 1.0 s and the end; fewer on a busy machine */
    assert_int_equal(s.lasts, 1);
    assert_true(s.p.last && s.p.total == 1000000 && s.p.done > 0 && s.p.eta == 0);
    assert_true(s.p.seconds >= 1.0 && s.p.rate > 0 && s.p.rate <= 1000);
    assert_string_equal(s.p.what, "embedding");
    assert_string_equal(s.p.unit, "lines");
    lt_ctx_free(cx);
}

static void short_work_is_silent(void **state)
{
    struct seen s = {0};
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .progress = note, .progress_arg = &s});
    work(cx, 0.01, 10);
    lt_progress_step(cx, 5); /* nothing runs */
    lt_progress_end(cx);
    assert_int_equal(s.calls, 0);
    lt_progress_begin(cx, "waiting", "items", 0); /* no step came, but the work was long */
    nanosleep(&(struct timespec){0, 350000000}, NULL);
    lt_progress_end(cx);
    assert_true(s.calls == 1 && s.p.last);
    work(lt_ctx_child(cx, 0), 0.35, 10);
    assert_int_equal(s.calls, 1);
    lt_ctx_free(cx);
    cx = lt_ctx_new(NULL);
    work(cx, 0.01, 10);
    lt_ctx_free(cx);
}

static void time_to_go_is_told_where_known(void **state)
{
    struct seen s = {0};
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .progress = note, .progress_arg = &s});
    for (int known = 0; known < 2; known++) {
        lt_progress_begin(cx, "x", "y", known ? 100 : 0);
        nanosleep(&(struct timespec){0, 310000000}, NULL);
        lt_progress_step(cx, 50);
        assert_true(known ? s.p.eta > 0.29 && s.p.eta < 5 : s.p.eta < 0); /* half is done: as long again */
        lt_progress_end(cx);
    }
    lt_ctx_free(cx);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_work_is_reported),
        cmocka_unit_test(short_work_is_silent),
        cmocka_unit_test(time_to_go_is_told_where_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
