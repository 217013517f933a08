/* Protects: one open model serves several user threads at once, each with its own context, with shared or own pools, and each
 * gets the bits that one thread alone gets; a live stream gives what there is when its inputs pause. Run under ThreadSanitizer
 * too. */
#include "models/fixture.h"

#include <pthread.h>
#include <stdatomic.h>

enum { USERS = 4, ROUNDS = 12 };

typedef struct user {
    pthread_t thread;
    const lt_model *m;
    const fixture *f;
    const lt_tensor *want;
    lt_pool *pool;
    int number;
    char error[300];
} user;

/* A stream of the same inputs over and over: its reading thread runs beside the users' own. */
enum { STREAM = 60 };
typedef struct feed {
    const fixture *f;
    const lt_tensor *want;
    int given, got;
    bool wrong;
} feed;

static bool give(void *arg, lt_ctx *cx, lt_input *in)
{
    feed *s = arg;
    if (s->given == STREAM) return false;
    int i = s->given++ % s->f->n;
    *in = (lt_input){.ids = s->f->ids + s->f->first[i], .n_ids = s->f->length[i]};
    return true;
}

static bool take(void *arg, lt_ctx *cx, const lt_result *r)
{
    feed *s = arg;
    int i = s->got++ % s->f->n;
    lt_tensor got = {.dtype = r->dtype,
                     .rank = 2,
                     .shape = {r->rows, r->cols, 1, 1},
                     .stride = {r->cols, 1, 1, 1},
                     .data = (void *)(uintptr_t)r->data};
    s->wrong |= r->rows != s->f->length[i] || !same_bits(&got, 0, s->want, s->f->first[i], r->rows);
    return true;
}

/* Runs each input alone and all together, again and again, from another input on than the other users. */
static void *work(void *arg)
{
    user *u = arg;
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 2, .pool = u->pool});
    if (!cx) {
        snprintf(u->error, sizeof u->error, "no context");
        return NULL;
    }
    for (int round = 0; round < ROUNDS && !u->error[0]; round++) {
        lt_scope scope = lt_open(cx, NULL);
        int i = (u->number + round) % (u->f->n + 1);
        bool all = i == u->f->n;
        lt_tensor *x = forward(cx, u->m, u->f, all ? 0 : i, all ? u->f->n : i + 1, LT_OUT_HIDDEN, NULL);
        if (!x)
            snprintf(u->error, sizeof u->error, "%s", lt_ctx_error(cx));
        else if (!same_bits(x, 0, u->want, all ? 0 : u->f->first[i], x->shape[0]))
            snprintf(u->error, sizeof u->error, "input %d: not the same bits", i);
        /* A mistake of one user is that user's alone. */
        int32_t one = 1, bad = 1 << 20;
        lt_batch b = {.seqs = lt_seqs_new(cx, 1, &one), .ids = &bad};
        if (x && lt_forward(cx, u->m, &b, LT_OUT_HIDDEN, NULL)) snprintf(u->error, sizeof u->error, "a bad id was taken");
        lt_ctx_clear(cx);
        lt_end(cx, scope);
    }
    const char *const texts[] = {"a tool", "The lathe turns a block of wood", ""};
    feed s = {.f = u->f, .want = u->want};
    if (!lt_stream(cx, u->m, LT_OUT_HIDDEN, &(lt_run_options){.batch_tokens = 70}, give, &s, take, &s, NULL) || s.got != STREAM ||
        s.wrong)
        snprintf(u->error, sizeof u->error, "stream: result %d: %s", s.got, lt_ctx_error(cx));
    lt_tensor *e = lt_embed(cx, u->m, texts, NULL, 3, &(lt_run_options){.pooling = "mean"});
    if (!e && !u->error[0]) snprintf(u->error, sizeof u->error, "%s", lt_ctx_error(cx));
    lt_ctx_free(cx);
    return NULL;
}

static void users_at_once(lt_pool *pool, bool unpacked)
{
    lt_ctx *cx = new_context(1);
    fixture f;
    read_fixture(cx, &f, "bert-tiny");
    f.has_types = false; /* streams of ids have none */
    lt_model *m = lt_model_open(cx, f.path, &(lt_model_options){.unpacked = unpacked});
    assert_done(cx, m);
    lt_tensor *want = forward(cx, m, &f, 0, f.n, LT_OUT_HIDDEN, NULL);
    assert_done(cx, want);
    user users[USERS];
    for (int i = 0; i < USERS; i++) {
        users[i] = (user){.m = m, .f = &f, .want = want, .pool = pool, .number = i};
        assert_int_equal(pthread_create(&users[i].thread, NULL, work, &users[i]), 0);
    }
    for (int i = 0; i < USERS; i++) pthread_join(users[i].thread, NULL);
    for (int i = 0; i < USERS; i++)
        if (users[i].error[0]) fail_msg("user %d: %s", i, users[i].error);
    lt_model_close(m);
    free_fixture(&f);
    lt_ctx_free(cx);
}

static void own_pools(void **state) { users_at_once(NULL, false); }

static void a_shared_pool(void **state)
{
    lt_pool *pool = lt_pool_new(3);
    assert_non_null(pool);
    users_at_once(pool, false);
    lt_pool_free(pool);
}

static void op_by_op(void **state) { users_at_once(NULL, true); }

/* Two users open and close models of the same files while others run. */
static void *open_and_close(void *arg)
{
    user *u = arg;
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    for (int i = 0; cx && i < 5 && !u->error[0]; i++) {
        lt_model *m = lt_model_open(cx, u->f->path, NULL);
        lt_tensor *x = m ? forward(cx, m, u->f, 0, u->f->n, LT_OUT_HIDDEN, NULL) : NULL;
        if (!x)
            snprintf(u->error, sizeof u->error, "%s", lt_ctx_error(cx));
        else if (!same_bits(x, 0, u->want, 0, x->shape[0]))
            snprintf(u->error, sizeof u->error, "another opening: not the same bits");
        lt_model_close(m);
    }
    lt_ctx_free(cx);
    return NULL;
}

static void openings_at_once(void **state)
{
    lt_ctx *cx = new_context(1);
    fixture f;
    read_fixture(cx, &f, "roberta-tiny");
    lt_model *m = lt_model_open(cx, f.path, NULL);
    assert_done(cx, m);
    lt_tensor *want = forward(cx, m, &f, 0, f.n, LT_OUT_HIDDEN, NULL);
    assert_done(cx, want);
    user users[USERS];
    for (int i = 0; i < USERS; i++) {
        users[i] = (user){.m = m, .f = &f, .want = want, .number = i};
        assert_int_equal(pthread_create(&users[i].thread, NULL, i < 2 ? open_and_close : work, &users[i]), 0);
    }
    for (int i = 0; i < USERS; i++) pthread_join(users[i].thread, NULL);
    for (int i = 0; i < USERS; i++)
        if (users[i].error[0]) fail_msg("user %d: %s", i, users[i].error);
    lt_model_close(m);
    free_fixture(&f);
    lt_ctx_free(cx);
}

/* ---- live streams ---- */

enum { LIVE = 40, AT_ONCE = 4 };
typedef struct talk { /* an end that gives no more inputs before it has had the results of the last ones */
    feed feed;
    int stop_at; /* the result at which the sink fails; -1: none */
    atomic_int had, calls;
    atomic_bool failed;
    double pause, longest; /* seconds before each round; that a round's results took */
    int unannounced;       /* rounds that ended without word that nothing else is at hand */
    bool announced;
} talk;

static bool say(void *arg, lt_ctx *cx, lt_input *in)
{
    talk *t = arg;
    int i = t->feed.given;
    t->calls++;
    if (i && i % AT_ONCE == 0) {
        double start = lt_now();
        while (t->had < i && !t->failed && lt_now() < start + 20) usleep(1000);
        if (t->had < i && !t->failed)
            return lt_fail_if(cx, true, LT_ERR_INPUT, "the results of %d inputs did not come before the next one", i);
        double took = lt_now() - start;
        if (took > t->longest) t->longest = took;
        usleep((useconds_t)(1e6 * t->pause));
    }
    return i < LIVE && give(&t->feed, cx, in);
}

static bool hear(void *arg, lt_ctx *cx, const lt_result *r)
{
    talk *t = arg;
    if (r->index == t->stop_at) {
        t->failed = true;
        return lt_fail_if(cx, true, LT_ERR_IO, "no room");
    }
    if (!take(&t->feed, cx, r)) return false;
    t->announced = r->pause;
    if (t->feed.got % AT_ONCE == 0 && !t->announced) t->unannounced++;
    t->had++;
    return true;
}

static void live_streams(void **state)
{
    lt_ctx *cx = new_context(1);
    fixture f;
    read_fixture(cx, &f, "bert-tiny");
    f.has_types = false;
    lt_model *m = lt_model_open(cx, f.path, NULL);
    assert_done(cx, m);
    lt_tensor *want = forward(cx, m, &f, 0, f.n, LT_OUT_HIDDEN, NULL);
    assert_done(cx, want);
    for (int threads = 1; threads <= 3; threads += 2)
        for (int k = 0; k < 4; k++) {
            /* Passes far larger than a round, smaller than one, of one input; and pauses longer than a stream's patience. */
            const lt_run_options o = {.live = true, .batch_tokens = k == 1 ? 20 : 0, .batch = k == 2};
            lt_ctx *own = new_context(threads);
            talk t = {.feed = {.f = &f, .want = want}, .stop_at = -1, .pause = k == 3 ? 0.07 : 0};
            lt_stream_stats stats;
            assert_done(own, lt_stream(own, m, LT_OUT_HIDDEN, &o, say, &t, hear, &t, &stats));
            assert_int_equal(t.feed.got, LIVE);
            assert_int_equal(stats.inputs, LIVE);
            assert_false(t.feed.wrong);
            assert_int_equal(t.unannounced, 0);
            assert_true(t.longest < 10); /* 0.05 s and some computing; what else the machine does comes on top */
            if (k == 0) assert_true(stats.passes <= LIVE / AT_ONCE + 1);
            /* The sink fails: nothing more is asked for than what is asked for at that time. */
            t = (talk){.feed = {.f = &f, .want = want}, .stop_at = 2 * AT_ONCE};
            assert_false(lt_stream(own, m, LT_OUT_HIDDEN, &o, say, &t, hear, &t, NULL));
            assert_string_equal(lt_ctx_error(own), "no room");
            assert_true(t.calls <= 3 * AT_ONCE + 1);
            lt_ctx_free(own);
        }
    lt_model_close(m);
    free_fixture(&f);
    lt_ctx_free(cx);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_pools),
        cmocka_unit_test(a_shared_pool),
        cmocka_unit_test(op_by_op),
        cmocka_unit_test(openings_at_once),
        cmocka_unit_test(live_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
