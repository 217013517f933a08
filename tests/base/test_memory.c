/* Protects: whichever single allocation fails, work ends with a clean memory error or goes on without, and nothing leaks.
 * Takes the place of malloc in this program, so sanitizer builds, which do the same, leave it out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lathe/json.h"
#include "sanitize.h"

#ifdef __GLIBC__
#define REPLACED (!SANITIZED)
#else
#define REPLACED 0
#endif

static atomic_long until_failure = -1; /* the allocation that fails, counted down; negative: none */
static atomic_long alive;
static atomic_bool counting;

#if REPLACED
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void __libc_free(void *);

static int refuse(void)
{
    if (!counting || atomic_fetch_sub(&until_failure, 1) != 0) return 0;
    errno = ENOMEM;
    return 1;
}

static void *count(void *p)
{
    if (counting && p) alive++;
    return p;
}

void *malloc(size_t n) { return refuse() ? NULL : count(__libc_malloc(n)); }
void *calloc(size_t n, size_t size) { return refuse() ? NULL : count(__libc_calloc(n, size)); }
void *realloc(void *p, size_t n) { return refuse() ? NULL : p ? __libc_realloc(p, n) : count(__libc_malloc(n)); }
void free(void *p)
{
    if (counting && p) alive--;
    __libc_free(p);
}
#endif

static void add(void *arg, lt_ctx *child, int64_t i)
{
    if (lt_alloc(child, 100)) atomic_fetch_add((atomic_long *)arg, i);
}

static bool use_threads(lt_ctx *cx)
{
    atomic_long sum = 0;
    return lt_parallel(cx, 100, add, &sum) && lt_fail_if(cx, sum != 4950, LT_ERR_USAGE, "a wrong sum");
}

static bool use_json(lt_ctx *cx)
{
    static const char text[] =
        "{\"a\": [1, 2.5, 0.25, -1e3, 7e-2, \"three\", {\"four\": [[], {}, null, true]}], \"b\": \"a string that is long enough\","
        "\"c\": [[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]],"
        "\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1}";
    lt_json *root = lt_json_parse(cx, text, sizeof text - 1, "text");
    const char *b = lt_json_want_text(cx, root, "text", "b", NULL);
    bool good = root && lt_json_size(root) == 17 && b && !strcmp(b, "a string that is long enough");
    lt_json_free(root);
    return good;
}

static bool use_files(lt_ctx *cx, const char *path)
{
    lt_out *out = lt_out_open(cx, path);
    lt_out_write(out, "content", 7);
    if (!lt_out_commit(out)) return false;
    lt_map map;
    if (!lt_map_open(cx, &map, path)) return false;
    bool good = map.size == 7;
    lt_map_close(&map);
    char *p = lt_resize(cx, NULL, 10, 10), *q = lt_strdup(cx, "x"), *r = lt_new(cx, 5, 5);
    good = good && p && q && r;
    lt_free(p);
    lt_free(q);
    lt_free(r);
    return good;
}

static bool use_strings(lt_ctx *cx)
{
    lt_str s = {0};
    for (int i = 0; i < 100; i++) lt_str_printf(&s, "%d", i);
    bool failed = s.failed;
    lt_str_free(&s);
    return lt_fail_if(cx, failed, LT_ERR_MEMORY, "no memory for a string");
}

static void each_failure_is_clean(void **state)
{
    if (!REPLACED) skip();
    char path[] = "/tmp/lathe-memory-XXXXXX";
    close(mkstemp(path));
    int failures = 0, without = 0;
    for (long n = -1;; n++) {
        until_failure = n;
        alive = 0;
        counting = n >= 0; /* the first time nothing fails: the C library makes what it keeps, such as a thread's stack */
        lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 2, .isa = "base"});
        bool good = cx && use_threads(cx) && use_json(cx) && use_files(cx, path) && use_strings(cx);
        lt_status status = cx ? lt_ctx_status(cx) : LT_ERR_MEMORY;
        size_t words = cx ? strlen(lt_ctx_error(cx)) : 1;
        lt_ctx_free(cx);
        counting = false;
        if (good)
            assert_int_equal(status, LT_OK);
        else
            assert_true(status == LT_ERR_MEMORY && words > 0);
        assert_int_equal(alive, 0);
        if (n >= 0 && until_failure >= 0) break; /* there were fewer allocations than that: all have failed once */
        failures += !good;
        without += good;
    }
    unlink(path);
    print_message("# %d failures ended in an error, %d were done without\n", failures, without);
    assert_true(failures > 25);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_failure_is_clean)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
