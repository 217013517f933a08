/* Several processes without any: what one worker takes of a batch, how gradients set out while backward runs, and how errors are agreed on, with a filling
 * that plays the other workers. */
#include "check.h"
#include "train/dist/dist.h"

#define MODEL "tests/fixtures/models/bert-tiny"

static lt_ctx *cx;

static int setup(void **state) { return (cx = lt_ctx_new(&(lt_options){.threads = 2})) ? 0 : -1; }
static int teardown(void **state)
{
    lt_ctx_free(cx);
    return 0;
}

/* ---- the deal ---- */

enum { SEQUENCES = 40, LONGEST = 60 };

static int length_of(int i) { return 1 + (int)(check_number(5, i) * check_number(6, i) * LONGEST + LONGEST) % LONGEST; }

static void fill(lt_examples *e)
{
    int32_t ids[LONGEST], labels[LONGEST];
    for (int i = 0; i < SEQUENCES; i++) {
        for (int k = 0; k < length_of(i); k++) {
            ids[k] = (i * 7 + k) % 190;
            labels[k] = (i + k) % 3 ? -100 : (i + k) % 100;
        }
        assert_true(lt_examples_add(cx, e, ids, NULL, labels, length_of(i), -1, NAN));
    }
}

static double cost_of(const lt_run *r, const lt_minibatch *b)
{
    double sum = 0;
    for (int32_t i = 0; i < b->batch.seqs->n; i++) sum += (double)lt_cost(r, b->batch.seqs->offset[i + 1] - b->batch.seqs->offset[i]);
    return sum;
}

/* Every token of the whole is some worker's, under its number, with its id and label; so is every counted one. */
static void check_deal(lt_run *r, const lt_minibatch *whole, int workers)
{
    const int64_t tokens = lt_seqs_rows(whole->batch.seqs);
    int seen[SEQUENCES * LONGEST] = {0}, seen_counted[SEQUENCES * LONGEST] = {0};
    double most = 0, all = 0, told = 0;
    int64_t counted = 0;
    r->dist->size = workers;
    for (r->dist->rank = 0; r->dist->rank < workers; r->dist->rank++) {
        lt_minibatch mine;
        double balance = 0;
        assert_true(lt_dist_deal(cx, r, &r->train, whole, &mine, &balance));
        assert_true(r->dist->rank == 0 || balance == told);
        told = balance;
        const double cost = cost_of(r, &mine);
        all += cost;
        most = cost > most ? cost : most;
        counted += mine.counted;
        for (int32_t i = 1; i < mine.batch.seqs->n; i++) assert_true(mine.example[i] > mine.example[i - 1]); /* here: in the batch's order */
        if (workers == 1) continue;
        int64_t at = 0;
        for (int64_t k = 0; k < lt_seqs_rows(mine.batch.seqs); k++) {
            const uint32_t n = mine.token_row[k];
            assert_true(n < tokens && !seen[n]++);
            assert_int_equal(mine.batch.ids[k], whole->batch.ids[n]);
            assert_int_equal(mine.labels[k], whole->labels[n]);
            if (mine.labels[k] < 0) continue;
            assert_true(mine.output_row[at] < whole->counted && !seen_counted[mine.output_row[at]]++);
            at++;
        }
        assert_int_equal(at, mine.outputs);
    }
    assert_int_equal(counted, whole->counted);
    if (workers > 1) assert_true(fabs(told - most * workers / all) < 1e-9);
    /* Graham 1969: no more than a third over the best, which is no less than the mean or the costliest sequence. */
    if (workers <= 8) assert_true(most <= 4.0 / 3 * fmax(all / workers, (double)lt_cost(r, LONGEST)));
}

static void test_deal(void **state)
{
    lt_dist dist = {.size = 1};
    lt_run r = {.dist = &dist, .objective = &lt_objective_labels};
    r.model = lt_model_open(cx, MODEL, &(lt_model_options){.trainable = true, .head = "mlm", .no_tokenizer = true});
    assert_non_null(r.model);
    r.cost_scale = 2 * (int64_t)lt_model_about(r.model)->hidden + lt_model_about(r.model)->inner;
    fill(&r.train);
    lt_scope scope = lt_open(cx, NULL);
    int64_t which[SEQUENCES];
    for (int i = 0; i < SEQUENCES; i++) which[i] = i;
    const int workers[] = {1, 2, 3, 8, SEQUENCES, SEQUENCES + 5};
    for (int n = SEQUENCES; n > 0; n = n / 3)
        for (int w = 0; w < 6; w++) {
            lt_minibatch whole;
            assert_true(lt_batch_of(cx, &r, &r.train, which, n, 0, &whole));
            check_deal(&r, &whole, workers[w]);
        }
    lt_end(cx, scope);
    lt_model_close(r.model);
    lt_examples_free(&r.train);
}

/* ---- a filling that plays another worker, who has the same gradients ---- */

typedef struct stage {
    int begun, finished, polled;
    int64_t floats, fails_at; /* fails_at: the call of begin that fails; 0: none */
    int64_t first_bad;        /* what least says; < 0: what it is given */
    const char *trouble;
} stage;

static const char *play_begin(void *state, void *data, int64_t n, size_t elem)
{
    stage *s = state;
    assert_int_equal(elem, sizeof(float));
    s->floats += n;
    if (++s->begun == s->fails_at) return "the other one has hung up";
    for (int64_t i = 0; i < n; i++) ((float *)data)[i] *= 2;
    return NULL;
}
static const char *play_poll(void *state) { return ((stage *)state)->polled++, NULL; }
static const char *play_finish(void *state) { return ((stage *)state)->finished++, NULL; }
static const char *play_sum(void *state, double *x, int n) { return NULL; }
static const char *play_least(void *state, int64_t *x, int n)
{
    stage *s = state;
    if (s->first_bad >= 0 && s->first_bad < x[0]) x[0] = s->first_bad;
    return NULL;
}
static const char *play_share(void *state, int from, void *bytes, int n)
{
    stage *s = state;
    if (from == 0) return NULL; /* it is this worker that tells */
    const int32_t status = LT_ERR_IO;
    memcpy(bytes, &status, sizeof status);
    snprintf((char *)bytes + sizeof status, (size_t)n - sizeof status, "%s", s->trouble);
    return NULL;
}
static const lt_dist_calls play = {.begin = play_begin, .poll = play_poll, .finish = play_finish, .sum = play_sum, .least = play_least, .share = play_share};

enum { PARAMS = 5, WIDE = 1200 }; /* 5.7 MB of gradient in the wide ones: two buckets and more */

static void make_params(lt_run *r, lt_param *p, lt_trained *t)
{
    const int64_t rows[PARAMS] = {WIDE, 4, WIDE, WIDE, 3}, cols[PARAMS] = {WIDE, WIDE, WIDE, WIDE, 3};
    for (int i = 0; i < PARAMS; i++) {
        p[i] = (lt_param){.name = (char *)"p", .value = *check_random(cx, LT_F32, rows[i], cols[i], 3 + (uint32_t)i, 0.05)};
        t[i] = (lt_trained){.param = &p[i], .count = rows[i] * cols[i], .grad = p[i].value};
        t[i].grad.data = lt_new(cx, t[i].count, sizeof(float));
        assert_non_null(t[i].grad.data);
        p[i].value.grad = &t[i].grad;
    }
    r->param = t;
    r->params = PARAMS;
    r->kn = lt_kernels_of(cx, LT_F32);
}

static bool backward(lt_run *r, lt_param *p, bool watched)
{
    assert_true(lt_tape_begin(cx));
    lt_tensor *x = check_random(cx, LT_F32, 2, WIDE, 9, 1); /* parameters 0, 2, 3 one after another; 1 again at the end; nobody reads 4 */
    for (int i = 0; i < 4; i++)
        if (i != 1) x = lt_matmul_t(cx, x, &p[i].value);
    x = lt_matmul_t(cx, x, &p[1].value);
    if (watched) lt_reduce_watch(cx, r);
    const bool good = lt_backward(cx, x, check_random(cx, LT_F32, 2, 4, 11, 1));
    lt_tape_end(cx);
    return good;
}

static void test_reduce(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    stage s = {.first_bad = -1};
    lt_dist dist = {.size = 2, .calls = &play, .state = &s};
    lt_run r = {.dist = &dist};
    lt_param p[PARAMS];
    lt_trained t[PARAMS];
    make_params(&r, p, t);
    assert_true(lt_reducer_open(cx, &r));
    float *once[PARAMS];
    for (int round = 0; round < 3; round++) { /* alone; watched; not watched, as where a worker has nothing to learn from */
        for (int i = 0; i < PARAMS; i++) memset(t[i].grad.data, 0, (size_t)t[i].count * sizeof(float)), t[i].grad.reached = false;
        s = (stage){.first_bad = -1};
        assert_true(backward(&r, p, round == 1));
        for (int i = 0; i < PARAMS && round == 0; i++) {
            once[i] = lt_alloc_array(cx, t[i].count, sizeof(float));
            memcpy(once[i], t[i].grad.data, (size_t)t[i].count * sizeof(float));
        }
        const int begun = s.begun;
        if (round == 1) assert_true(begun == 3 && s.polled >= 2);
        assert_true(lt_reduce_finish(cx, &r));
        assert_int_equal(s.begun, 3);
        assert_int_equal(s.finished, 1);
        assert_true(round == 1 || begun == 0);
        for (int i = 0; i < PARAMS; i++) {
            assert_int_equal(t[i].grad.reached, i != 4);
            for (int64_t k = 0; k < t[i].count; k++) assert_true(((float *)t[i].grad.data)[k] == 2 * once[i][k]);
        }
    }
    /* Who cannot be reached is not asked again. */
    s = (stage){.first_bad = -1, .fails_at = 2};
    backward(&r, p, true);
    assert_false(lt_reduce_finish(cx, &r));
    assert_true(dist.broken && s.begun == 2 && s.finished == 0);
    assert_non_null(strstr(lt_ctx_error(cx), "hung up"));
    assert_false(lt_dist_agree(cx, &dist, false));
    lt_ctx_clear(cx);
    lt_reducer_close(&r);
    for (int i = 0; i < PARAMS; i++) assert_null(t[i].grad.data);
    lt_end(cx, scope);
}

static void test_agree(void **state)
{
    stage s = {.first_bad = -1, .trouble = "no room left"};
    lt_dist dist = {.size = 3, .calls = &play, .state = &s};
    assert_true(lt_dist_agree(cx, &dist, true));
    s.first_bad = 2;
    assert_false(lt_dist_agree(cx, &dist, true)); /* the third fails: here its message */
    assert_non_null(strstr(lt_ctx_error(cx), "worker 2: no room left"));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_IO);
    lt_ctx_clear(cx);
    lt_fail(cx, LT_ERR_INPUT, "rows.tsv:3: bad"); /* this one fails, the first of all: its own */
    assert_false(lt_dist_agree(cx, &dist, false));
    assert_string_equal(lt_ctx_error(cx), "rows.tsv:3: bad");
    lt_ctx_clear(cx);
    s.first_bad = -1;
    assert_true(lt_dist_same(cx, &dist, 5, "seeds"));
    s.first_bad = 4;
    assert_false(lt_dist_same(cx, &dist, 5, "seeds"));
    assert_non_null(strstr(lt_ctx_error(cx), "workers differ in seeds"));
    lt_ctx_clear(cx);
    lt_dist alone;
    assert_true(lt_dist_open(cx, &alone, NULL) && lt_dist_agree(cx, &alone, true) && !lt_dist_agree(cx, &alone, false));
    assert_true(lt_dist_open(cx, &alone, "none") && alone.size == 1);
    assert_false(lt_dist_open(cx, &alone, "mpy"));
    lt_ctx_clear(cx);
    lt_dist_close(&alone);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_deal), cmocka_unit_test(test_reduce), cmocka_unit_test(test_agree)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
