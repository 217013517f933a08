/* Protects: sticky errors with their scope path, scopes against a model, limits that end in clean errors, and (in sanitizer
 * builds) that use of a closed scope is caught. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/ctx.h"
#include "sanitize.h"

#if SANITIZED_ADDRESS
#include <sanitizer/asan_interface.h>
#endif

static lt_ctx *make(size_t limit)
{
    lt_options o = {.threads = 2, .memory_limit = limit};
    lt_ctx *cx = lt_ctx_new(&o);
    assert_non_null(cx);
    return cx;
}

static void first_error_sticks(void **state)
{
    lt_ctx *cx = make(0);
    assert_string_equal(lt_ctx_error(cx), "");
    assert_true(lt_fail_if(cx, false, LT_ERR_IO, "not this"));
    assert_true(lt_ok(cx));
    assert_null(lt_fail(cx, LT_ERR_INPUT, "first %d", 1));
    assert_false(lt_fail_if(cx, true, LT_ERR_IO, "second"));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_INPUT);
    assert_string_equal(lt_ctx_error(cx), "first 1");
    assert_false(lt_ok(cx));
    lt_ctx_clear(cx);
    assert_true(lt_ok(cx));
    assert_string_equal(lt_ctx_error(cx), "");
    lt_ctx_free(cx);
    lt_ctx_free(NULL);
}

static void path_stands_in_front(void **state)
{
    lt_ctx *cx = make(0);
    lt_scope a = lt_open(cx, "layer1"), b = lt_open(cx, NULL);
    lt_open(cx, "up");
    lt_fail(cx, LT_ERR_USAGE, "linear: bad");
    assert_string_equal(lt_ctx_error(cx), "layer1.up: linear: bad");
    lt_ctx_clear(cx);
    lt_end(cx, b); /* closes "up" too */
    lt_ctx *child = lt_ctx_child(cx, 1);
    lt_open(child, "inner");
    lt_fail(child, LT_ERR_USAGE, "x");
    assert_string_equal(lt_ctx_error(child), "layer1.inner: x");
    lt_end(cx, a);
    lt_fail(cx, LT_ERR_USAGE, "y");
    assert_string_equal(lt_ctx_error(cx), "y");
    assert_null(lt_ctx_child(cx, 2));
    assert_null(lt_ctx_child(cx, -1));
    lt_ctx_free(child); /* belongs to its parent: nothing happens */
    lt_ctx_free(cx);
}

static void deep_scopes_are_counted(void **state)
{
    lt_ctx *cx = make(0);
    lt_scope s[200];
    for (int i = 0; i < 200; i++) s[i] = lt_open(cx, i < 64 ? "a" : "too deep to be named");
    lt_fail(cx, LT_ERR_USAGE, "end");
    assert_null(strstr(lt_ctx_error(cx), "deep"));
    assert_int_equal(strlen(lt_ctx_error(cx)), 64 + 63 + 2 + 3);
    lt_ctx_clear(cx);
    for (int i = 199; i >= 1; i--) lt_end(cx, s[i]);
    lt_fail(cx, LT_ERR_USAGE, "end");
    assert_string_equal(lt_ctx_error(cx), "a: end");
    lt_ctx_free(cx);
}

static void long_messages_are_cut_at_a_code_point(void **state)
{
    lt_ctx *cx = make(0);
    char text[5000];
    for (int shift = 0; shift < 4; shift++) {
        memset(text, 'x', (size_t)shift);
        for (int i = 0; i < 1200; i++) memcpy(text + shift + 4 * i, "\xF0\x9F\x98\x80", 4);
        text[shift + 4800] = 0;
        lt_ctx_clear(cx);
        lt_fail(cx, LT_ERR_INPUT, "%s", text);
        const char *m = lt_ctx_error(cx), *end = m + strlen(m);
        assert_in_range(strlen(m), 1000, LT_MESSAGE - 1);
        assert_string_equal(end - 3, "…");
        uint32_t c;
        for (const char *p = m; p < end;) {
            p += lt_utf8_next(p, end, &c);
            assert_int_not_equal(c, 0xFFFD);
        }
    }
    lt_ctx_free(cx);
}

static void messages_hold_no_control_bytes(void **state)
{
    lt_ctx *cx = make(0);
    lt_fail(cx, LT_ERR_INPUT, "a\x1b[31m\nb \xC2\x9B \xFF é \xEF\xBF\xBD");
    assert_string_equal(lt_ctx_error(cx), "a?[31m?b ?? ? é \xEF\xBF\xBD");
    lt_ctx_free(cx);
}

static void cancel_flag_becomes_an_error(void **state)
{
    volatile sig_atomic_t flag = 0;
    lt_options o = {.threads = 1, .cancel = &flag};
    lt_ctx *cx = lt_ctx_new(&o);
    assert_true(lt_ok(cx));
    flag = 1;
    assert_false(lt_ok(lt_ctx_child(cx, 0)));
    assert_false(lt_ok(cx));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_CANCELLED);
    lt_ctx_free(cx);
}

/* ---- scopes ---- */

enum { MOST_BLOCKS = 1000 };
struct block {
    uint8_t *p;
    size_t size;
    uint8_t fill;
    int depth;
};

static void check(const struct block *b)
{
    /* All bytes equal the first exactly when the block equals itself shifted by one. */
    if (b->size) assert_true(b->p[0] == b->fill && !memcmp(b->p, b->p + 1, b->size - 1));
}

/* Random opening, taking, ending and keeping; a list of what must still be there is the model. */
static void scopes_follow_a_model(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    print_message("# seed %u\n", seed);
    lt_ctx *cx = make(0);
    static struct block block[MOST_BLOCKS];
    lt_scope scope[40];
    int n = 0, depth = 0;
    for (int step = 0; step < 20000; step++) {
        int what = rand_r(&seed) % 10;
        if (what < 2 && depth < 40) {
            scope[depth++] = lt_open(cx, "s");
        } else if (what < 4 && depth > 0) {
            int to = rand_r(&seed) % 4 ? depth - 1 : rand_r(&seed) % depth; /* sometimes several at once */
            struct block kept = {0};
            for (int i = 0; i < n; i++) {
                check(&block[i]);
                if (block[i].depth > to && rand_r(&seed) % 2) kept = block[i];
            }
            while (n > 0 && block[n - 1].depth > to) n--;
            if (kept.p) {
                kept.p = lt_end_keep(cx, scope[to], kept.p, kept.size);
                kept.depth = to;
                check(&kept);
                if (n < MOST_BLOCKS) block[n++] = kept;
            } else {
                lt_end(cx, scope[to]);
            }
            depth = to;
        } else if (n < MOST_BLOCKS) {
            size_t size = rand_r(&seed) % 50 ? (size_t)rand_r(&seed) % 300 : (size_t)rand_r(&seed) % 200000;
            struct block b = {lt_alloc(cx, size), size, (uint8_t)rand_r(&seed), depth};
            assert_non_null(b.p);
            assert_int_equal((uintptr_t)b.p % 64, 0);
            memset(b.p, b.fill, size);
            block[n++] = b;
        }
    }
    for (int i = 0; i < n; i++) check(&block[i]);
    assert_true(lt_memory_peak(cx) >= lt_memory_used(cx));
    while (depth > 0) lt_end(cx, scope[--depth]);
    lt_ctx_free(cx);
}

static void used_returns_to_the_mark(void **state)
{
    lt_ctx *cx = make(0);
    assert_int_equal(lt_memory_used(cx), 0);
    lt_scope s = lt_open(cx, "s");
    void *a = lt_alloc(cx, 100), *b = lt_alloc(cx, 0), *c = lt_alloc(cx, 0);
    assert_true(a != b && b != c);
    lt_end(cx, s);
    assert_int_equal(lt_memory_used(cx), 0);
    assert_ptr_equal(lt_alloc(cx, 1), a);
    lt_ctx_free(cx);
}

static void keeping_what_lies_elsewhere(void **state)
{
    lt_ctx *cx = make(0);
    char *outer = lt_sprintf(cx, "outer %d", 7), owned[] = "owned";
    lt_scope s = lt_open(cx, NULL);
    lt_alloc(cx, 1000);
    assert_ptr_equal(lt_end_keep(cx, s, outer, 8), outer);
    assert_string_equal(outer, "outer 7");
    s = lt_open(cx, NULL);
    assert_ptr_equal(lt_end_keep(cx, s, owned, 6), owned);
    s = lt_open(cx, NULL);
    assert_null(lt_end_keep(cx, s, NULL, 0));
    s = lt_open(cx, NULL);
    assert_non_null(lt_end_keep(cx, s, lt_alloc(cx, 0), 0));
    lt_ctx_free(cx);
}

static int freed_tape;
static void free_tape(void *tape) { freed_tape += *(int *)tape; }

static void recording_frees_nothing(void **state)
{
    lt_ctx *cx = make(0);
    int one = 1;
    cx->tape = &one;
    cx->tape_free = free_tape;
    lt_scope outer = lt_open(cx, "outer"), s = lt_open(cx, "s");
    cx->recording = true;
    char *a = lt_sprintf(cx, "still there"), *b = lt_sprintf(cx, "kept");
    size_t used = lt_memory_used(cx);
    assert_ptr_equal(lt_end_keep(cx, s, b, 5), b);
    assert_int_equal(lt_memory_used(cx), used);
    assert_string_equal(a, "still there");
    lt_fail(cx, LT_ERR_USAGE, "x");
    assert_string_equal(lt_ctx_error(cx), "outer: x"); /* the scope is closed all the same */
    cx->recording = false;
    lt_end(cx, outer);
    assert_int_equal(lt_memory_used(cx), 0);
    lt_ctx_free(cx);
    assert_int_equal(freed_tape, 1);
}

static void closed_scopes_are_poisoned(void **state)
{
#if SANITIZED_ADDRESS
    lt_ctx *cx = make(0);
    lt_scope s = lt_open(cx, NULL);
    char *p = lt_alloc(cx, 100), *q = lt_alloc(cx, 64);
    assert_false(__asan_address_is_poisoned(p + 99));
    assert_true(__asan_address_is_poisoned(p + 100));
    assert_true(__asan_address_is_poisoned(q + 64));
    char *kept = lt_end_keep(cx, s, q, 50);
    assert_false(__asan_address_is_poisoned(kept + 49));
    assert_true(__asan_address_is_poisoned(kept + 50));
    assert_true(__asan_address_is_poisoned(q));
    lt_ctx_free(cx);
#else
    skip();
#endif
}

/* ---- running out ---- */

static void memory_limit_is_a_clean_error(void **state)
{
    for (size_t limit = 1; limit < (size_t)8 << 20; limit = limit * 3 / 2 + 1) {
        lt_ctx *cx = make(limit);
        size_t got = 0;
        while (lt_alloc(cx, 10000)) got += 10000;
        assert_int_equal(lt_ctx_status(cx), LT_ERR_MEMORY);
        assert_non_null(strstr(lt_ctx_error(cx), "limit"));
        assert_true(got <= limit);
        /* Nearly all of the limit can be used: one page, one allocation and (sanitizers) the red zones are lost. */
        assert_true(got + got / 100 + 20000 >= limit);
        lt_ctx_free(cx);
    }
}

static void children_share_the_limit(void **state)
{
    lt_ctx *cx = make((size_t)4 << 20);
    assert_non_null(lt_alloc(cx, (size_t)3 << 20));
    lt_ctx *child = lt_ctx_child(cx, 1);
    assert_null(lt_alloc(child, (size_t)2 << 20));
    assert_int_equal(lt_ctx_status(child), LT_ERR_MEMORY);
    assert_true(lt_ok(cx));
    lt_ctx_clear(child);
    assert_non_null(lt_alloc(child, (size_t)1 << 19));
    assert_true(lt_memory_used(cx) >= ((size_t)3 << 20) + ((size_t)1 << 19));
    lt_ctx_free(cx);
}

static void absurd_sizes_are_refused(void **state)
{
    lt_ctx *cx = make(0);
    assert_null(lt_alloc(cx, SIZE_MAX));
    assert_null(lt_alloc(cx, (size_t)1 << 60));
    assert_null(lt_alloc_array(cx, INT64_MAX, 8));
    assert_null(lt_alloc_array(cx, -1, 8));
    assert_null(lt_new(cx, INT64_MAX, 16));
    assert_null(lt_new(cx, -1, 16));
    assert_null(lt_new(cx, INT64_MAX, 2));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_MEMORY);
    char *p = lt_strdup(cx, "kept");
    assert_null(lt_resize(cx, p, INT64_MAX, 16));
    assert_null(lt_resize(cx, p, -1, 1));
    assert_string_equal(p, "kept");
    lt_free(p);
    lt_ctx_clear(cx);
    assert_non_null(lt_alloc(cx, 10)); /* still usable */
    lt_ctx_free(cx);
}

static void owned_memory_is_cleared(void **state)
{
    lt_ctx *cx = make(0);
    int64_t *p = lt_new(cx, 100, sizeof *p);
    for (int i = 0; i < 100; i++) assert_int_equal(p[i], 0);
    p[0] = 5;
    p = lt_resize(cx, p, 10000, sizeof *p);
    assert_int_equal(p[0], 5);
    lt_free(p);
    lt_free(lt_new(cx, 0, 0));
    lt_free(NULL);
    lt_ctx_free(cx);
}

/* Under `ulimit -v` contexts with children work, fail cleanly when full, and leave addresses to others. */
static int run_under_address_limit(size_t limit)
{
    struct rlimit r = {limit, limit};
    if (setrlimit(RLIMIT_AS, &r)) return 1;
    for (int k = 0; k < 3; k++) {
        lt_options o = {.threads = 8};
        lt_ctx *cx = lt_ctx_new(&o);
        if (!cx || !lt_alloc(cx, 100000)) return 2;
        for (int i = 0; i < 8; i++) {
            lt_ctx *child = lt_ctx_child(cx, i);
            if (!child || !lt_alloc(child, 100000)) return 3;
        }
        while (lt_alloc(cx, 1 << 20)) {
        }
        if (lt_ctx_status(cx) != LT_ERR_MEMORY) return 4;
        void *other = malloc(limit / 16);
        if (!other) return 5;
        free(other);
    }
    return 0;
}

static void address_limit_is_respected(void **state)
{
    if (SANITIZED) skip(); /* their shadows are larger than any limit */
    for (size_t limit = (size_t)256 << 20; limit <= (size_t)4 << 30; limit *= 4) {
        pid_t pid = fork();
        if (pid == 0) _exit(run_under_address_limit(limit));
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void many_contexts_are_cheap(void **state)
{
    enum { N = 200 };
    static lt_ctx *cx[N];
    for (int i = 0; i < N; i++) {
        cx[i] = make(0);
        if (i % 10 == 0) assert_non_null(lt_alloc(cx[i], 100));
    }
    for (int i = 0; i < N; i++) lt_ctx_free(cx[i]);
}

static void isa_is_copied(void **state)
{
    char isa[] = "avx2";
    lt_options o = {.threads = 2, .isa = isa};
    lt_ctx *cx = lt_ctx_new(&o);
    memset(isa, 'x', 4);
    assert_string_equal(lt_ctx_isa(cx), "avx2");
    assert_string_equal(lt_ctx_isa(lt_ctx_child(cx, 0)), "avx2");
    assert_int_equal(lt_threads(cx), 2);
    assert_int_equal(lt_threads(lt_ctx_child(cx, 0)), 1);
    lt_ctx_free(cx);
    cx = lt_ctx_new(NULL);
    assert_null(lt_ctx_isa(cx));
    assert_int_equal(lt_threads(cx), lt_cpus());
    lt_ctx_free(cx);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_error_sticks),
        cmocka_unit_test(path_stands_in_front),
        cmocka_unit_test(deep_scopes_are_counted),
        cmocka_unit_test(long_messages_are_cut_at_a_code_point),
        cmocka_unit_test(messages_hold_no_control_bytes),
        cmocka_unit_test(cancel_flag_becomes_an_error),
        cmocka_unit_test(scopes_follow_a_model),
        cmocka_unit_test(used_returns_to_the_mark),
        cmocka_unit_test(keeping_what_lies_elsewhere),
        cmocka_unit_test(recording_frees_nothing),
        cmocka_unit_test(closed_scopes_are_poisoned),
        cmocka_unit_test(memory_limit_is_a_clean_error),
        cmocka_unit_test(children_share_the_limit),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(owned_memory_is_cleared),
        cmocka_unit_test(address_limit_is_respected),
        cmocka_unit_test(many_contexts_are_cheap),
        cmocka_unit_test(isa_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
