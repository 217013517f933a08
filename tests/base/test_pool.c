/* Protects: lt_parallel runs each item once, whatever the threads; errors do not depend on them; several user threads share
 * one pool; nested calls run inline; cancel stops. Meant to be run under ThreadSanitizer too. */
#include <setjmp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/ctx.h"
#include "sanitize.h"

enum { N = 2000 };

static lt_ctx *make(int threads, lt_pool *pool)
{
    lt_options o = {.threads = threads, .pool = pool};
    lt_ctx *cx = lt_ctx_new(&o);
    assert_non_null(cx);
    return cx;
}

/* Some work whose length varies, in the child's own memory. */
static uint32_t mix(lt_ctx *child, int64_t i)
{
    int n = 1 + (int)(i * 7919 % 200);
    uint32_t *p = lt_alloc_array(child, n, sizeof *p), key[2] = {1, 2}, sum = 0;
    if (!p) return 0;
    for (int k = 0; k < n; k++) {
        uint32_t counter[4] = {(uint32_t)i, (uint32_t)k, 0, 0}, out[4];
        lt_philox(counter, key, out);
        p[k] = out[0];
    }
    for (int k = 0; k < n; k++) sum += p[k];
    return sum;
}

static void fill(void *arg, lt_ctx *child, int64_t i) { ((uint32_t *)arg)[i] += mix(child, i); }

static void each_item_runs_once(void **state)
{
    static uint32_t want[N], got[N];
    lt_ctx *one = make(1, NULL);
    memset(want, 0, sizeof want);
    assert_true(lt_parallel(one, N, fill, want));
    for (int threads = 1; threads <= 9; threads += 2) {
        lt_ctx *cx = make(threads, NULL);
        for (int64_t n = 0; n <= N; n = n * 2 + 1) {
            memset(got, 0, sizeof got);
            assert_true(lt_parallel(cx, n, fill, got));
            assert_memory_equal(got, want, (size_t)n * sizeof *got);
            for (int64_t i = n; i < N; i++) assert_int_equal(got[i], 0);
        }
        size_t used = lt_memory_used(cx); /* what jobs take vanishes with them */
        assert_int_equal(used, 0);
        lt_ctx_free(cx);
    }
    assert_true(lt_parallel(one, -5, fill, NULL));
    lt_ctx_free(one);
}

struct places {
    lt_ctx *cx;
    atomic_int inside[16];
    atomic_int wrong;
};

/* A child is never in two threads at once. */
static void occupy(void *arg, lt_ctx *child, int64_t i)
{
    struct places *p = arg;
    int k = 0;
    while (k < 15 && lt_ctx_child(p->cx, k) != child) k++;
    if (atomic_fetch_add(&p->inside[k], 1) != 0) atomic_fetch_add(&p->wrong, 1);
    mix(child, i);
    atomic_fetch_sub(&p->inside[k], 1);
}

static void children_are_not_shared(void **state)
{
    lt_ctx *cx = make(4, NULL);
    struct places p = {.cx = cx};
    for (int k = 0; k < 4; k++) lt_ctx_child(cx, k); /* made beforehand, so that the job may look them up */
    for (int round = 0; round < 50; round++) assert_true(lt_parallel(cx, 200, occupy, &p));
    assert_int_equal(p.wrong, 0);
    lt_ctx_free(cx);
}

/* ---- errors ---- */

static void fail_some(void *arg, lt_ctx *child, int64_t i)
{
    const int64_t *bad = arg;
    mix(child, i * 31);
    lt_open(child, "job");
    if (i >= bad[0] && (i - bad[0]) % bad[1] == 0) lt_fail(child, LT_ERR_INPUT, "item %d", (int)i);
}

static void lowest_error_wins(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    print_message("# seed %u\n", seed);
    for (int threads = 1; threads <= 8; threads *= 2) {
        lt_ctx *cx = make(threads, NULL);
        lt_scope s = lt_open(cx, "outer");
        for (int round = 0; round < 100; round++) {
            int64_t bad[2] = {rand_r(&seed) % 500, 1 + rand_r(&seed) % 3};
            char want[64];
            snprintf(want, sizeof want, "outer.job: item %d", (int)bad[0]);
            assert_false(lt_parallel(cx, 1000, fail_some, bad));
            assert_string_equal(lt_ctx_error(cx), want);
            assert_int_equal(lt_ctx_status(cx), LT_ERR_INPUT);
            assert_false(lt_parallel(cx, 10, fail_some, bad)); /* nothing runs in a context that has failed */
            assert_string_equal(lt_ctx_error(cx), want);
            lt_ctx_clear(cx);
        }
        lt_end(cx, s);
        static uint32_t got[100];
        assert_true(lt_parallel(cx, 100, fill, got)); /* children have forgotten */
        lt_ctx_free(cx);
    }
}

struct count {
    atomic_int ran;
    volatile sig_atomic_t *cancel;
};
static void fail_first(void *arg, lt_ctx *child, int64_t i)
{
    struct count *c = arg;
    atomic_fetch_add(&c->ran, 1);
    if (i == 0)
        lt_fail(child, LT_ERR_INPUT, "at once");
    else
        mix(child, i);
}

static void an_error_ends_the_loop_early(void **state)
{
    lt_ctx *cx = make(2, NULL);
    struct count c = {0};
    assert_false(lt_parallel(cx, 100000000, fail_first, &c));
    assert_true(c.ran < 100000000);
    lt_ctx_free(cx);
}

static pthread_t main_thread;
static void cancel_at_50(void *arg, lt_ctx *child, int64_t i)
{
    struct count *c = arg;
    if (atomic_fetch_add(&c->ran, 1) == 50) __atomic_store_n((sig_atomic_t *)c->cancel, 1, __ATOMIC_RELAXED);
}

static void cancel_stops_the_loop(void **state)
{
    for (int threads = 1; threads <= 4; threads *= 2) {
        volatile sig_atomic_t flag = 0;
        lt_options o = {.threads = threads, .cancel = &flag};
        lt_ctx *cx = lt_ctx_new(&o);
        struct count c = {.cancel = &flag};
        assert_false(lt_parallel(cx, 100000000, cancel_at_50, &c));
        assert_int_equal(lt_ctx_status(cx), LT_ERR_CANCELLED);
        assert_true(c.ran >= 51 && c.ran < 100000000);
        assert_false(lt_parallel(cx, 1, cancel_at_50, &c)); /* and none begins */
        lt_ctx_free(cx);
    }
}

/* ---- nesting ---- */

static void nested_inner(void *arg, lt_ctx *child, int64_t i)
{
    if (!lt_alloc(child, 100)) return;
    ((uint32_t *)arg)[i]++;
    if (i == 77) lt_fail(child, LT_ERR_INPUT, "inner");
}

struct nested {
    uint32_t hit[40][100];
    int n;
};
static void nested_outer(void *arg, lt_ctx *child, int64_t i)
{
    struct nested *x = arg;
    lt_open(child, "outer");
    void *before = lt_alloc(child, 64);
    memset(before, 1, 64);
    if (!lt_parallel(child, x->n, nested_inner, x->hit[i])) return;
    if (((char *)before)[63] != 1) lt_fail(child, LT_ERR_INPUT, "memory was lost");
}

static void nested_calls_run_inline(void **state)
{
    for (int threads = 1; threads <= 4; threads++) {
        lt_ctx *cx = make(threads, NULL);
        static struct nested x;
        x = (struct nested){.n = 70};
        assert_true(lt_parallel(cx, 40, nested_outer, &x));
        for (int i = 0; i < 40; i++)
            for (int k = 0; k < 70; k++) assert_int_equal(x.hit[i][k], 1);
        x.n = 100;
        assert_false(lt_parallel(cx, 40, nested_outer, &x));
        assert_string_equal(lt_ctx_error(cx), "outer: inner");
        lt_ctx_free(cx);
    }
}

/* ---- several users ---- */

struct user {
    lt_pool *pool;
    int number, errors;
    pthread_t thread;
};

static void *use(void *arg)
{
    struct user *u = arg;
    lt_options o = {.pool = u->pool};
    lt_ctx *cx = lt_ctx_new(&o);
    uint32_t *want = calloc(N, sizeof *want), *got = calloc(N, sizeof *got);
    lt_ctx *one = lt_ctx_new(&(lt_options){.threads = 1});
    if (!lt_parallel(one, N, fill, want)) u->errors++;
    for (int round = 0; round < 60; round++) {
        int64_t n = 1 + (round * 37 + u->number * 11) % 300;
        memset(got, 0, N * sizeof *got);
        if (round % 10 == 9) {
            int64_t bad[2] = {n / 2, 1};
            char text[32];
            snprintf(text, sizeof text, "job: item %d", (int)bad[0]);
            if (lt_parallel(cx, n, fail_some, bad) || strcmp(lt_ctx_error(cx), text)) u->errors++;
            lt_ctx_clear(cx);
        } else if (!lt_parallel(cx, n, fill, got) || memcmp(got, want, (size_t)n * sizeof *got)) {
            u->errors++;
        }
    }
    free(want);
    free(got);
    lt_ctx_free(one);
    lt_ctx_free(cx);
    return NULL;
}

static void four_users_share_a_pool(void **state)
{
    lt_pool *pool = lt_pool_new(4);
    assert_non_null(pool);
    struct user u[4];
    for (int i = 0; i < 4; i++) {
        u[i] = (struct user){.pool = pool, .number = i};
        assert_int_equal(pthread_create(&u[i].thread, NULL, use, &u[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(u[i].thread, NULL);
        assert_int_equal(u[i].errors, 0);
    }
    lt_pool_free(pool);
    lt_pool_free(NULL);
}

/* Between calls the workers fall asleep; they must wake again, and a pool must end whatever they do. */
static void sleepers_wake(void **state)
{
    for (int round = 0; round < 30; round++) {
        lt_ctx *cx = make(3, NULL);
        static uint32_t got[64];
        for (int k = 0; k < 3; k++) {
            struct timespec pause = {0, (round % 4) * 300000};
            nanosleep(&pause, NULL);
            assert_true(lt_parallel(cx, 64, fill, got));
        }
        lt_ctx_free(cx);
    }
}

/* ---- how many ---- */

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void quota_is_read(void **state)
{
    char root[] = "/tmp/lathe-cgroup-XXXXXX", path[512], self[512], command[600];
    assert_non_null(mkdtemp(root));
    snprintf(self, sizeof self, "%s/self", root);
    snprintf(command, sizeof command, "mkdir -p %s/a/b %s/cpu,cpuacct/x", root, root);
    assert_int_equal(system(command), 0);
    write_file(root, "self", "0::/a/b\n");
    assert_int_equal(lt_cpu_quota(self, root), 0);
    write_file(root, "cpu.max", "max 100000\n");
    write_file(root, "a/b/cpu.max", "max 100000\n");
    assert_int_equal(lt_cpu_quota(self, root), 0);
    write_file(root, "a/cpu.max", "250000 100000\n"); /* a group above limits too; parts of a processor count as one */
    assert_int_equal(lt_cpu_quota(self, root), 3);
    write_file(root, "a/b/cpu.max", "50000 100000\n");
    assert_int_equal(lt_cpu_quota(self, root), 1);
    write_file(root, "self", "4:memory:/x\n3:cpu,cpuacct:/x\n0::/\n");
    write_file(root, "cpu,cpuacct/x/cpu.cfs_quota_us", "-1\n");
    write_file(root, "cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
    assert_int_equal(lt_cpu_quota(self, root), 0);
    write_file(root, "cpu,cpuacct/x/cpu.cfs_quota_us", "400000\n");
    assert_int_equal(lt_cpu_quota(self, root), 4);
    write_file(root, "self", "nonsense\n:\n::\n0::\n7:cpuset:/\n");
    write_file(root, "cpu.max", "what\n");
    assert_int_equal(lt_cpu_quota(self, root), 0);
    write_file(root, "cpu.max", "9223372036854775807 1\n");
    assert_true(lt_cpu_quota(self, root) > 0);
    snprintf(path, sizeof path, "%s/absent", root);
    assert_int_equal(lt_cpu_quota(path, root), 0);
    snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

/* Where threads cannot be had, fewer do the work. */
static int run_without_addresses_for_stacks(void)
{
    struct rlimit before, tight;
    if (getrlimit(RLIMIT_AS, &before)) return 1;
    tight = before;
    tight.rlim_cur = (rlim_t)60 << 20;
    if (setrlimit(RLIMIT_AS, &tight)) return 1;
    lt_pool *pool = lt_pool_new(64);
    if (setrlimit(RLIMIT_AS, &before)) return 1;
    if (!pool || lt_pool_threads(pool) >= 64) return 2;
    lt_ctx *cx = lt_ctx_new(&(lt_options){.pool = pool});
    static uint32_t got[N], want[N];
    if (!cx || lt_threads(cx) != lt_pool_threads(pool) || !lt_parallel(cx, N, fill, got)) return 3;
    lt_ctx_free(cx);
    lt_pool_free(pool);
    cx = lt_ctx_new(&(lt_options){.threads = 1});
    return !lt_parallel(cx, N, fill, want) || memcmp(got, want, sizeof got) ? 4 : 0;
}

static void fewer_threads_than_asked_for(void **state)
{
    if (SANITIZED) skip(); /* their shadows are larger than the limit */
    pid_t pid = fork();
    if (pid == 0) _exit(run_without_addresses_for_stacks());
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void on_this_thread(void *arg, lt_ctx *child, int64_t i)
{
    if (!pthread_equal(pthread_self(), main_thread)) lt_fail(child, LT_ERR_USAGE, "another thread");
}

static void one_thread_is_the_callers(void **state)
{
    main_thread = pthread_self();
    lt_ctx *cx = make(1, NULL);
    assert_true(lt_parallel(cx, 1000, on_this_thread, NULL));
    assert_null(cx->pool);
    lt_ctx_free(cx);
    cx = make(4, NULL); /* one item needs no pool */
    assert_true(lt_parallel(cx, 1, on_this_thread, NULL));
    assert_null(cx->pool);
    lt_ctx_free(cx);
    lt_pool *pool = lt_pool_new(1);
    cx = make(0, pool);
    assert_true(lt_parallel(cx, 1000, on_this_thread, NULL));
    lt_ctx_free(cx);
    lt_pool_free(pool);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_item_runs_once),
        cmocka_unit_test(children_are_not_shared),
        cmocka_unit_test(lowest_error_wins),
        cmocka_unit_test(an_error_ends_the_loop_early),
        cmocka_unit_test(cancel_stops_the_loop),
        cmocka_unit_test(nested_calls_run_inline),
        cmocka_unit_test(four_users_share_a_pool),
        cmocka_unit_test(sleepers_wake),
        cmocka_unit_test(quota_is_read),
        cmocka_unit_test(fewer_threads_than_asked_for),
        cmocka_unit_test(one_thread_is_the_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
