/* Protects: when any one allocation fails, or all from some instant on, opening and running a model end in a clean error that says
 * so, nothing is leaked, and the same context works again as soon as there is memory; likewise for every limit of scoped
 * memory, raised step by step until the work succeeds. Allocations are made to fail by functions of this program that stand
 * in front of the C library's; sanitizers have their own, so there only the limits are tested. */
#include "models/fixture.h"

#include <stdatomic.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if !defined(SANITIZED) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
#define INJECT 1
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void __libc_free(void *);

static atomic_long count, fail_at, live; /* fail_at: 0 never, n > 0 the n-th alone, n < 0 from the -n-th on */

static bool fails(void)
{
    long n = atomic_fetch_add(&count, 1) + 1, at = fail_at;
    return at < 0 ? n >= -at : n == at;
}

void *malloc(size_t n)
{
    void *p = fails() ? NULL : __libc_malloc(n);
    live += p != NULL;
    return p;
}
void *calloc(size_t n, size_t size)
{
    void *p = fails() ? NULL : __libc_calloc(n, size);
    live += p != NULL;
    return p;
}
void *realloc(void *old, size_t n)
{
    void *p = fails() ? NULL : __libc_realloc(old, n);
    live += !old && p != NULL;
    return p;
}
void free(void *p)
{
    live -= p != NULL;
    __libc_free(p);
}
#endif

static const char *const texts[] = {"the lathe turns a block of wood", "", "tokens, Tokens and TOKENS"};
enum { TEXTS = sizeof texts / sizeof *texts };

/* What came of one piece of work. */
typedef enum { DONE, REFUSED, OTHER_ERROR, WRONG } outcome; /* REFUSED: a clean error about memory */
enum { WIDTH = 7 };
static float right[WIDTH]; /* the first row's beginning of a run that had memory */

/* Opens a model, embeds, inspects, closes. */
static outcome work(lt_ctx *cx, const char *folder, char message[1200])
{
    lt_scope scope = lt_open(cx, NULL);
    lt_model *m = lt_model_open(cx, folder, NULL);
    lt_tensor *e = lt_embed(cx, m, texts, NULL, TEXTS, &(lt_run_options){.batch_tokens = 8});
    const lt_model_info *seen = e ? lt_model_inspect(cx, folder) : NULL;
    lt_status status = lt_ctx_status(cx);
    snprintf(message, 1200, "%s", lt_ctx_error(cx));
    outcome result = DONE;
    if (!m || !e || !seen)
        result = status == LT_OK || !*message ? WRONG : status == LT_ERR_MEMORY ? REFUSED : OTHER_ERROR;
    else if (status != LT_OK || e->shape[1] < WIDTH)
        result = WRONG;
    else if (right[0] == 0)
        memcpy(right, e->data, sizeof right);
    else if (memcmp(e->data, right, sizeof right) != 0)
        result = WRONG;
    lt_model_close(m);
    lt_ctx_clear(cx);
    lt_end(cx, scope);
    return result;
}

static const char *sentence_folder(const char *name)
{
    static char path[700];
    snprintf(path, sizeof path, "%s/%s", fixtures("sentence"), name);
    return path;
}

/* sign 1: the n-th allocation fails and those after it do not; -1: all from the n-th on. */
static void allocations_fail(const char *folder, int threads, int sign)
{
#ifndef INJECT
    skip();
#else
    char message[1200];
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = threads});
    assert_non_null(cx);
    right[0] = 0;
    for (int i = 0; i < 2; i++) /* what a context keeps for later is made now */
        if (work(cx, folder, message) != DONE) fail_msg("%s", message);
    long of[4] = {0}, all = 0;
    for (long n = 1; !all; n += n < 300 ? 1 : n / 60) {
        long before = live;
        count = 0;
        fail_at = sign * n;
        outcome came = work(cx, folder, message);
        fail_at = 0;
        if (count < n) all = n;
        of[came]++;
        if (live != before) fail_msg("allocation %ld failed: %ld blocks are left", n, live - before);
        if (came == WRONG || came == OTHER_ERROR) fail_msg("allocation %ld failed: outcome %d: %s", n, (int)came, message);
        if (n % 16 == 0 && work(cx, folder, message) != DONE)
            fail_msg("after allocation %ld had failed the context was of no use: %s", n, message);
    }
    print_message("# %ld allocations; %ld times refused, %ld times done without\n", all, of[REFUSED], of[DONE]);
    assert_true(of[REFUSED] > 20 * of[DONE]);
    lt_ctx_free(cx);
#endif
}

static void one_allocation_fails(void **state) { allocations_fail(sentence_folder("dense-twice"), 1, 1); }
static void all_later_allocations_fail(void **state) { allocations_fail(sentence_folder("dense-twice"), 2, -1); }
static void byte_level_too(void **state) { allocations_fail(sentence_folder("roberta"), 1, -1); }

static void contexts_fail(void **state)
{
#ifndef INJECT
    skip();
#else
    for (long n = 1; n < 60; n++) {
        long before = live;
        count = 0;
        fail_at = n;
        lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 2});
        fail_at = 0;
        lt_ctx_free(cx);
        if (live != before) fail_msg("allocation %ld failed: %ld blocks are left", n, live - before);
    }
#endif
}

static void limits_raised(void **state)
{
    const char *folder = sentence_folder("dense-twice");
    char message[1200];
    right[0] = 0;
    for (int threads = 1; threads <= 3; threads++) {
        int refused = 0;
        for (size_t limit = 4096;; limit += limit / 16) {
            lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = threads, .memory_limit = limit});
            assert_non_null(cx);
            outcome came = work(cx, folder, message);
            lt_ctx_free(cx);
            if (came == DONE) break;
            if (came != REFUSED) fail_msg("limit %zu: outcome %d: %s", limit, (int)came, message);
            refused++;
            assert_true(limit < (size_t)1 << 30);
        }
        print_message("# %d threads: %d limits were refused\n", threads, refused);
        assert_true(refused > 3);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_allocation_fails), cmocka_unit_test(all_later_allocations_fail),
        cmocka_unit_test(byte_level_too),       cmocka_unit_test(contexts_fail),
        cmocka_unit_test(limits_raised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
