/* Protects: an epoch's plan has every example once, is a function of seed and epoch, keeps to budgets; packed rows are full; windows are sorted within and
 * random between; the exchange keeps the sequences and evens their costs, by the figures of Zeng et al. 2022; batches made ahead by a thread are those made
 * in time, and its errors and its end are clean. Runs under ThreadSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "train/train.h"

static lt_ctx *cx;

static int set_up(void **state)
{
    cx = lt_ctx_new(&(lt_options){.threads = 1});
    return cx == NULL;
}

static int tear_down(void **state)
{
    lt_ctx_free(cx);
    return 0;
}

static bool no_target(lt_ctx *c, const lt_run *r, const lt_examples *e, lt_minibatch *b)
{
    b->counted = b->batch.seqs->n;
    /* Something that depends on the epoch, as masking does. */
    for (int32_t i = 0; i < lt_seqs_rows(b->batch.seqs); i++) ((int32_t *)b->batch.ids)[i] += (int32_t)(1000 * b->epoch);
    return true;
}

static const lt_objective_kind objective = {.target = no_target};

static uint32_t any(uint32_t i, uint32_t k)
{
    uint32_t bits[4];
    lt_philox((const uint32_t[4]){i, k, 0, 0}, (const uint32_t[2]){3, 4}, bits);
    return bits[0];
}

/* n examples of low to high tokens; the first token of the i-th is i % 900. */
static lt_run run_of(lt_train_options *o, int n, int low, int high, int limit)
{
    static int32_t ids[2000];
    lt_run r = {.o = o, .objective = &objective, .plan.epoch = -1, .cost_scale = 1536, .limit = limit, .steps = 1000};
    for (int i = 0; i < n; i++) {
        ids[0] = i % 900;
        assert_true(lt_examples_add(cx, &r.train, ids, NULL, NULL, low + (int32_t)(any((uint32_t)i, 1) % (uint32_t)(high - low + 1)), -1, NAN));
    }
    return r;
}

static void end(lt_run *r)
{
    lt_plan_free(&r->plan);
    lt_examples_free(&r->train);
}

/* Every example once, batches one behind another and none empty. */
static void check_whole(const lt_run *r)
{
    const lt_plan *p = &r->plan;
    uint8_t *seen = calloc((size_t)r->train.n, 1);
    for (int64_t i = 0; i < r->train.n; i++) {
        assert_in_range(p->order[i], 0, r->train.n - 1);
        assert_false(seen[p->order[i]]++);
    }
    free(seen);
    assert_int_equal(p->start[0], 0);
    assert_int_equal(p->start[p->batches], r->train.n);
    for (int64_t i = 0; i < p->batches; i++) {
        assert_true(p->start[i] < p->start[i + 1]);
        assert_int_equal(lt_plan_batch(p, p->start[i]), i);
    }
}

static int64_t tokens_of(const lt_run *r, int64_t batch)
{
    int64_t n = 0;
    for (int64_t i = r->plan.start[batch]; i < r->plan.start[batch + 1]; i++) n += r->train.at[r->plan.order[i]].n;
    return n;
}

static void plans(void **state)
{
    for (int kind = 0; kind < 6; kind++)
        for (int n = 1; n < 3000; n = n * 3 + 1) {
            lt_train_options o = lt_train_defaults;
            o.seed = 7, o.batch = 8;
            if (kind == 1) o.batch_tokens = 500;
            if (kind == 2) o.batch_cost = 500;
            if (kind == 3) o.bucket = 10;
            if (kind == 4) o.bucket = 5, o.batch_tokens = 700;
            if (kind == 5) o.pack = true;
            lt_run r = run_of(&o, n, 1, 128, 128), other = run_of(&o, n, 1, 128, 128);
            assert_true(lt_plan_make(cx, &r, &r.plan, 3));
            check_whole(&r);
            assert_true(lt_plan_make(cx, &other, &other.plan, 2)); /* what was planned before changes nothing */
            check_whole(&other);
            if (n > 100) assert_true(memcmp(r.plan.order, other.plan.order, (size_t)n * sizeof *r.plan.order) != 0);
            assert_true(lt_plan_make(cx, &other, &other.plan, 3));
            assert_memory_equal(r.plan.order, other.plan.order, (size_t)n * sizeof *r.plan.order);
            assert_int_equal(r.plan.batches, other.plan.batches);
            assert_memory_equal(r.plan.start, other.plan.start, (size_t)(r.plan.batches + 1) * sizeof *r.plan.start);
            assert_int_equal(lt_batches_of_epoch(cx, &r, 3), r.plan.batches);
            for (int64_t i = 0; i < r.plan.batches; i++) {
                if (kind == 0 || kind == 3) assert_true(r.plan.start[i + 1] - r.plan.start[i] == 8 || i + 1 == r.plan.batches || kind == 3);
                if (kind == 1 || kind == 4) assert_true(tokens_of(&r, i) <= o.batch_tokens);
                if (kind == 5) assert_true(tokens_of(&r, i) <= 8 * 128);
            }
            end(&r), end(&other);
        }
}

static void costs_are_a_budget(void **state)
{
    lt_train_options o = lt_train_defaults;
    o.batch_cost = 4096;
    lt_run r = run_of(&o, 2000, 10, 512, 512);
    assert_true(lt_plan_make(cx, &r, &r.plan, 0));
    int64_t most = 0;
    for (int64_t i = 0; i < r.plan.batches; i++) {
        int64_t cost = 0;
        for (int64_t k = r.plan.start[i]; k < r.plan.start[i + 1]; k++) {
            const int64_t n = r.train.at[r.plan.order[k]].n;
            cost += n * 1536 + n * n; /* BERT of width 256: 2 · 256 + 1024 */
        }
        assert_true(cost <= 4096 * 1536);
        most = cost > most ? cost : most;
    }
    assert_true(most > 4000 * 1536);
    end(&r);
}

/* Within a batch lengths are near each other; one batch's say nothing of the next's. */
static void windows(void **state)
{
    lt_train_options o = lt_train_defaults;
    o.batch = 8, o.bucket = 16;
    lt_run r = run_of(&o, 8 * 16 * 10, 1, 128, 128);
    assert_true(lt_plan_make(cx, &r, &r.plan, 0));
    assert_int_equal(r.plan.batches, 160);
    double spread = 0, rising = 0;
    for (int64_t i = 0; i < 160; i++) {
        int32_t low = 1000, high = 0;
        for (int64_t k = 0; k < 8; k++) {
            const int32_t n = r.train.at[r.plan.order[8 * i + k]].n;
            low = n < low ? n : low;
            high = n > high ? n : high;
        }
        spread += high - low;
        rising += i && tokens_of(&r, i) > tokens_of(&r, i - 1);
    }
    assert_true(spread / 160 < 16);         /* 128 lengths over 16 batches: 8 each; unsorted it is 100 */
    assert_true(rising > 50 && rising < 110); /* a coin, five deviations around 80 */
    end(&r);
}

static void packed_rows(void **state)
{
    lt_train_options o = lt_train_defaults;
    o.batch = 16, o.pack = true;
    lt_run r = run_of(&o, 20000, 5, 200, 256);
    assert_true(lt_plan_make(cx, &r, &r.plan, 0));
    check_whole(&r);
    double tokens = 0;
    for (int64_t i = 0; i + 1 < r.plan.batches; i++) tokens += (double)tokens_of(&r, i);
    const double fill = tokens / ((double)(r.plan.batches - 1) * 16 * 256);
    if (fill < 0.985) print_error("rows are filled to %g\n", fill);
    assert_true(fill >= 0.985); /* best fit decreasing on such lengths leaves less than 1.5 % */
    end(&r);
    r = run_of(&o, 100, 300, 300, 256); /* longer than a row: one each */
    assert_true(lt_plan_make(cx, &r, &r.plan, 0));
    check_whole(&r);
    assert_int_equal(r.plan.start[1], 16);
    end(&r);
}

/* Largest over mean load of W workers with b sequences each, without and with the exchange, over many draws. */
static void loads(const char *how, int workers, int b, int low, int high, double *before, double *after, double *cost_before, double *cost_after)
{
    enum { ROUNDS = 200 };
    lt_train_options o = lt_train_defaults;
    o.exchange = how;
    lt_run r = run_of(&o, ROUNDS * workers * b, low, high, high);
    *before = *after = *cost_before = *cost_after = 0;
    for (int i = 0; i < ROUNDS; i++) {
        lt_scope scope = lt_open(cx, NULL);
        lt_share share[8];
        int64_t which[8][64], sum = 0, sum_after = 0;
        for (int pass = 0; pass < 2; pass++) {
            double tokens = 0, cost = 0, most = 0, most_cost = 0;
            if (pass == 0)
                for (int w = 0; w < workers; w++) {
                    share[w] = (lt_share){which[w], b, 0};
                    for (int k = 0; k < b; k++) sum += which[w][k] = (i * workers + w) * b + k;
                }
            else assert_true(lt_exchange(cx, &r, &r.train, share, workers));
            for (int w = 0; w < workers; w++) {
                double own = 0, own_cost = 0;
                if (pass && strcmp(how, "tokens") == 0) assert_int_equal(share[w].n, b);
                for (int64_t k = 0; k < share[w].n; k++) {
                    const int64_t n = r.train.at[share[w].example[k]].n;
                    if (pass) sum_after += share[w].example[k];
                    if (pass && k) assert_true(n <= r.train.at[share[w].example[k - 1]].n); /* longest first */
                    own += (double)n;
                    own_cost += (double)lt_cost(&r, n);
                }
                tokens += own, cost += own_cost;
                most = own > most ? own : most;
                most_cost = own_cost > most_cost ? own_cost : most_cost;
            }
            *(pass ? after : before) += most * workers / tokens / ROUNDS;
            *(pass ? cost_after : cost_before) += most_cost * workers / cost / ROUNDS;
        }
        assert_int_equal(sum, sum_after);
        lt_end(cx, scope);
    }
    end(&r);
}

static void near(double got, double want, double d, const char *what)
{
    if (fabs(got - want) > d) print_error("%s: %g, expected %g ± %g\n", what, got, want, d);
    assert_true(fabs(got - want) <= d);
}

static void exchanges(void **state)
{
    double before, after, cost_before, cost_after;
    loads("tokens", 2, 16, 102, 512, &before, &after, &cost_before, &cost_after);
    near(before, 1.055, 0.015, "2 x 16 before"); /* spread of one draw 0.04, of the mean of 200 a third of a percent */
    near(after, 1.020, 0.006, "2 x 16 after");
    loads("tokens", 8, 56, 102, 512, &before, &after, &cost_before, &cost_after);
    near(before, 1.070, 0.01, "8 x 56 before");
    near(after, 1.010, 0.004, "8 x 56 after");
    loads("cost", 2, 16, 102, 512, &before, &after, &cost_before, &cost_after);
    assert_true(cost_before > 1.04 && cost_after < 1.005); /* each to who has least */
    loads("cost", 8, 56, 10, 512, &before, &after, &cost_before, &cost_after);
    assert_true(cost_before > 1.07 && cost_after < 1.003);
}

/* Everything that steps see, as one number. */
static uint64_t trace(int prefetch, const char *how, int accumulate, int from, int steps, lt_place *place)
{
    lt_train_options o = lt_train_defaults;
    o.batch = 4, o.accumulate = accumulate, o.prefetch = prefetch, o.exchange = how, o.seed = 9;
    lt_run r = run_of(&o, 50, 1, 60, 60);
    if (from) r.place = *place;
    uint64_t sum = 14695981039346656037u;
    lt_supply *s = lt_supply_open(cx, &r);
    assert_non_null(s);
    for (int i = 0; i < steps; i++) {
        lt_scope scope = lt_open(cx, NULL);
        const lt_supplied *got = lt_supply_next(cx, s);
        assert_non_null(got);
        assert_int_equal(got->n, accumulate);
        for (int k = 0; k < got->n; k++) {
            const lt_seqs *q = got->batch[k].batch.seqs;
            for (int32_t t = 0; t < lt_seqs_rows(q); t++) sum = (sum ^ (uint64_t)got->batch[k].batch.ids[t]) * 1099511628211u;
            for (int32_t t = 0; t < q->n; t++) sum = (sum ^ (uint64_t)got->batch[k].example[t]) * 1099511628211u;
        }
        r.place.epoch = got->epoch;
        r.place.next = got->next;
        lt_end(cx, scope);
    }
    *place = r.place;
    lt_supply_close(s);
    end(&r);
    return sum;
}

static void made_ahead(void **state)
{
    static const char *const hows[] = {NULL, "none", "tokens", "cost"};
    for (int h = 0; h < 4; h++)
        for (int accumulate = 1; accumulate < 4; accumulate += 2) {
            lt_place place, there, half;
            const uint64_t want = trace(0, hows[h], accumulate, 0, 60, &place);
            for (int prefetch = 1; prefetch < 8; prefetch += 3) {
                assert_true(trace(prefetch, hows[h], accumulate, 0, 60, &there) == want);
                assert_memory_equal(&place, &there, sizeof place);
            }
            /* Where it was stopped it goes on, whatever was made ahead. */
            trace(3, hows[h], accumulate, 0, 17, &half);
            lt_place whole = half;
            const uint64_t rest = trace(0, hows[h], accumulate, 17, 43, &half);
            assert_true(trace(5, hows[h], accumulate, 17, 43, &whole) == rest);
            assert_memory_equal(&half, &place, sizeof place);
        }
}

static bool failing(lt_ctx *c, const lt_run *r, const lt_examples *e, lt_minibatch *b)
{
    return lt_fail_if(c, b->epoch == 1, LT_ERR_INPUT, "epoch one is bad");
}

static void errors_have_their_turn(void **state)
{
    static const lt_objective_kind bad = {.target = failing};
    for (int prefetch = 0; prefetch < 6; prefetch += 5) {
        lt_train_options o = lt_train_defaults;
        o.batch = 10, o.prefetch = prefetch;
        lt_run r = run_of(&o, 50, 1, 60, 60);
        r.objective = &bad;
        lt_supply *s = lt_supply_open(cx, &r);
        for (int i = 0; i < 5; i++) assert_non_null(lt_supply_next(cx, s)); /* epoch 0 */
        assert_null(lt_supply_next(cx, s));
        assert_string_equal(lt_ctx_error(cx), "epoch one is bad");
        lt_ctx_clear(cx);
        lt_supply_close(s);
        end(&r);
    }
    /* Closed while it works, waits, or has not begun. */
    for (int i = 0; i < 50; i++) {
        lt_train_options o = lt_train_defaults;
        o.batch = 10, o.prefetch = 1 + i % 3;
        lt_run r = run_of(&o, 50, 1, 60, 60);
        lt_supply *s = lt_supply_open(cx, &r);
        for (int k = 0; k < i % 5; k++) assert_non_null(lt_supply_next(cx, s));
        lt_supply_close(s);
        end(&r);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans),     cmocka_unit_test(costs_are_a_budget), cmocka_unit_test(windows),
        cmocka_unit_test(packed_rows), cmocka_unit_test(exchanges),          cmocka_unit_test(made_ahead),
        cmocka_unit_test(errors_have_their_turn),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
