/* One step or two of every optimizer and detail against numbers that were worked out by hand, in f32 and f64; rates of schedules; settings, good and bad. */
#include "check.h"
#include "train/train.h"

enum { MOST = 8 };

typedef struct bench { /* a run of one parameter */
    lt_train_options o;
    lt_run r;
    lt_trained t;
    lt_param p;
    double w[MOST], g[MOST]; /* f64 or f32, as r.kn says */
    double state[LT_STATES][MOST], average[MOST];
} bench;

static lt_ctx *cx;

static void put(const bench *b, void *to, const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (b->r.kn->elem == 8) ((double *)to)[i] = x[i];
        else ((float *)to)[i] = (float)x[i];
    }
}

static double at(const bench *b, const void *x, int64_t i) { return b->r.kn->elem == 8 ? ((const double *)x)[i] : (double)((const float *)x)[i]; }

/* Weights and gradient [rows, cols], or [cols] where rows is 0. */
static void begin(bench *b, const lt_kernels *kn, const char *optimizer, int64_t rows, int64_t cols, const double *w)
{
    *b = (bench){.o = lt_train_defaults};
    b->o.lr = 0.1;
    b->o.weight_decay = 0;
    b->o.eps = 0;
    b->o.clip = 0;
    b->o.optimizer = optimizer;
    b->r = (lt_run){.o = &b->o, .kn = kn, .param = &b->t, .params = 1, .steps = 100};
    const lt_dtype dtype = kn->elem == 8 ? LT_F64 : LT_F32;
    b->p = (lt_param){.name = (char *)"w", .value = {.dtype = dtype, .rank = rows ? 2 : 1, .shape = {rows ? rows : cols, cols, 1, 1}, .data = b->w}};
    b->t = (lt_trained){.param = &b->p, .count = (rows ? rows : 1) * cols, .grad = {.data = b->g, .reached = true}, .hidden = rows > 0,
                        .decays = rows > 0, .rate = 1};
    b->t.average = b->average;
    put(b, b->w, w, b->t.count);
    if (optimizer[0] == 'a' && optimizer[3] == 'f') b->o.lr = lt_train_defaults.lr; /* adafactor refuses others */
    assert_true(lt_details_find(cx, &b->r));
    for (int k = 0; k < LT_STATES && b->r.optimizer->state[k]; k++) {
        lt_tensor s = b->p.value;
        if (!b->r.optimizer->has || b->r.optimizer->has(&b->r, &b->t, k, &s)) b->t.state[k] = s, b->t.state[k].data = b->state[k];
    }
    if (b->r.optimizer->begin) b->r.optimizer->begin(&b->r, &b->t);
}

static void take(bench *b, const double *g)
{
    bool finite = false;
    double norm;
    put(b, b->g, g, b->t.count);
    assert_true(lt_gradient_norms(cx, &b->r, &norm));
    assert_true(lt_update(cx, &b->r, b->o.lr, norm, &finite));
    assert_true(finite);
    b->r.place.step++;
}

/* Some ten roundings of numbers near 1; six digits are what stands here. */
static void expect(const bench *b, const void *x, int64_t i, double want)
{
    const double got = at(b, x, i);
    if (!(fabs(got - want) < 2e-6)) fail_msg("%s, %s: element %d is %.9g, %.9g is expected", b->o.optimizer, b->r.kn->isa, (int)i, got, want);
}

static const lt_kernels *table(int i) { return i ? lt_kernels_f32(NULL) : lt_kernels_f64(); }

static const double one[] = {1}, half[] = {0.5};

/* w = 1, g = 0.5, rate 0.1, decay 0.1: what is left of w after one step. */
static double one_step(const lt_kernels *kn, const char *optimizer, double eps, bench *b)
{
    begin(b, kn, optimizer, 1, 1, one);
    b->t.hidden = false;
    b->o.eps = eps;
    b->t.decay = 0.1;
    take(b, half);
    return at(b, b->w, 0);
}

static void test_adam(void **unused)
{
    static const struct {
        const char *optimizer;
        double eps, want;
    } cases[] = {
        {"adamw", 0, 0.89},                        /* 1 · (1 - 0.01) - 0.1 */
        {"adamw", 0.5, 0.94},                      /* 0.5 / (0.5 + 0.5) */
        {"adamw:eps_at=before", 0.5, 0.98693467},  /* 0.5 / ((√0.00025 + 0.5) / √0.001) */
        {"adamw:eps_at=inside", 0.75, 0.94},       /* 0.5 / √(0.25 + 0.75) */
        {"adamw:correct=no", 0, 0.67377223},       /* 0.05 / √0.00025 */
        {"adamw:decay=coupled", 0, 0.9},           /* 0.6 / 0.6 */
        {"adamw:correct=no,decay=coupled", 0.1, 0.94956867}, /* 0.06 / (√0.00036 + 0.1) */
        {"lion", 0, 0.89},
        {"sgd", 0, 0.94},                          /* 0.5 + 0.1 */
        {"sgd:nesterov=yes", 0, 0.886},            /* 0.6 + 0.9 · 0.6 */
        {"sgd:decay=decoupled", 0, 0.94},
        {"sgd:nesterov=yes,decay=decoupled", 0, 0.895}, /* 0.99 - 0.1 · 0.95 */
    };
    bench b;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            one_step(table(k), cases[i].optimizer, cases[i].eps, &b);
            expect(&b, b.w, 0, cases[i].want);
        }
}

/* |w| = 5, the step's length √2; a bias keeps Adam's. */
static void test_lamb(void **unused)
{
    bench b;
    for (int k = 0; k < 2; k++) {
        begin(&b, table(k), "lamb", 1, 2, (const double[]){3, 4});
        take(&b, (const double[]){1, -1});
        expect(&b, b.w, 0, 3 - 0.35355339);
        expect(&b, b.w, 1, 4 + 0.35355339);
        begin(&b, table(k), "lamb", 0, 2, (const double[]){3, 4});
        take(&b, (const double[]){1, -1});
        expect(&b, b.w, 0, 2.9);
    }
}

/* The squares of this gradient are a product of rows and columns, so every element's step is 1, clipped to what `clip` says. */
static void test_adafactor(void **unused)
{
    static const double ones[] = {1, 1, 1, 1}, g[] = {1, 2, 2, 4};
    bench b;
    for (int k = 0; k < 2; k++) {
        begin(&b, table(k), "adafactor", 2, 2, ones);
        take(&b, g);
        for (int i = 0; i < 4; i++) expect(&b, b.w, i, 0.99); /* the rate is 0.01, the root mean square of w 1 */
        expect(&b, b.state[0], 0, 2.5), expect(&b, b.state[0], 1, 10);
        expect(&b, b.state[1], 0, 2.5), expect(&b, b.state[1], 1, 10);
        begin(&b, table(k), "adafactor:clip=0.5", 2, 2, ones);
        take(&b, g);
        for (int i = 0; i < 4; i++) expect(&b, b.w, i, 0.995);
        begin(&b, table(k), "adafactor:rate=warmup,scale=no", 0, 2, ones);
        take(&b, g);
        expect(&b, b.w, 1, 1 - 1e-6);
        begin(&b, table(k), "adafactor:rate=fixed,scale=no,beta1=0.9", 2, 2, ones);
        b.o.lr = 0.1;
        b.t.decay = 0.1;
        take(&b, g);
        for (int i = 0; i < 4; i++) expect(&b, b.w, i, 0.99 - 0.01); /* a tenth of the step is in the mean */
        take(&b, g);
        expect(&b, b.w, 0, 0.98 * 0.99 - 0.019);
    }
}

/* Momentum does not turn a first gradient, so singular values alone count: five times 3.4445 s - 4.775 s³ + 2.0315 s⁵, from √½ of each, and from 1. */
static void test_muon(void **unused)
{
    bench b;
    for (int k = 0; k < 2; k++) {
        begin(&b, table(k), "muon", 2, 2, (const double[]){1, 1, 1, 1});
        take(&b, (const double[]){3, 0, 0, -3});
        expect(&b, b.w, 0, 1 - 0.1 * 1.10811112);
        expect(&b, b.w, 1, 1);
        expect(&b, b.w, 3, 1 + 0.1 * 1.10811112);
        expect(&b, b.state[0], 0, 0.15);
        begin(&b, table(k), "muon:nesterov=no", 4, 1, (const double[]){1, 1, 1, 1});
        b.t.decay = 0.1;
        take(&b, (const double[]){0, 2, 0, 0});
        expect(&b, b.w, 1, 0.99 - 0.1 * 2 * 0.69643641); /* √(4 / 1) */
        expect(&b, b.w, 2, 0.99);
        begin(&b, table(k), "muon:scale=rms", 1, 4, (const double[]){1, 1, 1, 1});
        take(&b, (const double[]){0, 2, 0, 0});
        expect(&b, b.w, 1, 1 - 0.1 * 0.4 * 0.69643641); /* 0.2 √4 */
        begin(&b, table(k), "muon:others=0.5", 0, 2, (const double[]){1, 1});
        take(&b, (const double[]){3, -1});
        expect(&b, b.w, 0, 0.95); /* AdamW's, at half the rate */
        expect(&b, b.w, 1, 1.05);
    }
}

static void test_schedule_free(void **unused)
{
    bench b;
    for (int k = 0; k < 2; k++) {
        one_step(table(k), "schedule_free", 0, &b);
        expect(&b, b.w, 0, 0.89); /* y = z = x = 1 - 0.1 (1 + 0.1) */
        expect(&b, b.state[0], 0, 0.89);
        take(&b, half);
        expect(&b, b.w, 0, 0.830105); /* 0.89 + 0.1 (0.9 / 2 - 1) 1.089 */
        expect(&b, b.state[0], 0, 0.7811);
        lt_average_show(cx, &b.r);
        expect(&b, b.w, 0, 0.83555); /* (0.89 + 0.7811) / 2 */
        lt_average_hide(cx, &b.r);
        expect(&b, b.w, 0, 0.830105);
        begin(&b, table(k), "schedule_free", 1, 1, one); /* rates 0.05, 0.1, 0.1: weights in the mean 1, 4/5, 4/9 */
        b.o.warmup = 2;
        for (int i = 0; i < 3; i++) {
            b.o.lr = i ? 0.1 : 0.05;
            take(&b, half);
        }
        lt_average_show(cx, &b.r);
        expect(&b, b.w, 0, (0.95 + 4 * 0.85 + 4 * 0.75) / 9);
    }
}

static void test_ema(void **unused)
{
    bench b;
    for (int k = 0; k < 2; k++) {
        begin(&b, table(k), "sgd", 1, 1, one);
        b.o.ema = 0.9;
        b.o.momentum = 0;
        put(&b, b.average, one, 1);
        take(&b, one);
        take(&b, one);
        expect(&b, b.w, 0, 0.8);
        expect(&b, b.average, 0, 0.99 * 0.9 + 0.08);
        lt_average_show(cx, &b.r);
        expect(&b, b.w, 0, 0.971);
        lt_average_hide(cx, &b.r);
        expect(&b, b.w, 0, 0.8);
    }
}

static void test_clipping(void **unused)
{
    bench b;
    for (int k = 0; k < 2; k++) {
        begin(&b, table(k), "sgd", 0, 2, (const double[]){0, 0});
        b.o.clip = 1;
        take(&b, (const double[]){3, 4}); /* of length 5 */
        expect(&b, b.w, 0, -0.06);
        expect(&b, b.w, 1, -0.08);
    }
}

/* Ten steps, four of them warm-up, rate 1. */
static void test_rates(void **unused)
{
    static const struct {
        const char *schedule;
        bool start;
        int from;
        double power, end, want[3]; /* at steps 1, 4 and 9 */
    } cases[] = {
        {"constant", false, 0, 1, 0, {0.25, 1, 1}},     {"constant", false, 1, 1, 0, {0.5, 1, 1}},
        {"linear", false, 0, 1, 0, {0.25, 1, 1 / 6.0}}, {"linear", true, 0, 1, 0, {0.25, 0.6, 0.1}},
        {"linear", false, 0, 1, 0.4, {0.25, 1, 0.5}},   {"polynomial", false, 0, 2, 0, {0.25, 1, 1 / 36.0}},
        {"polynomial", true, 1, 2, 0.5, {0.5, 0.68, 0.505}}, {"cosine", false, 0, 1, 0, {0.25, 1, 0.066987298}},
        {"inverse_sqrt", true, 0, 1, 0, {0.25, 1, 2 / 3.0}}, {"wsd", false, 0, 1, 0, {0.25, 1, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lt_train_options o = lt_train_defaults;
        o.lr = 1;
        o.warmup = 4;
        o.schedule = cases[i].schedule;
        o.decay_from_start = cases[i].start;
        o.warmup_from = cases[i].from;
        o.power = cases[i].power;
        o.lr_end = cases[i].end;
        lt_run r = {.o = &o, .steps = 10};
        assert_true(lt_details_find(cx, &r));
        for (int k = 0; k < 3; k++) assert_true(fabs(lt_schedule_rate(&r, (const int64_t[]){1, 4, 9}[k]) - cases[i].want[k]) < 1e-9);
    }
}

static void test_words(void **unused)
{
    static const char *const bad[] = {"adamw:", "adamw:correct", "adamw:correct=", "adamw:correct=yes,", "adamw:correct=yess", "adamw:,correct=yes", "adamw:=yes",
                                      "adamw:eps_at=0", "sgd:nesterov", "lion:x=1", "muon:steps=0", "muon:steps=1e9", "muon:momentum=nan",
                                      "muon:momentum=0.9x", "muon:momentum=-1",
                                      "adafactor:clip=0", "adafactor:rate=relative:scale=no", "nothing", "", ":correct=no",
                                      "adamw:correctcorrectcorrectcorrectcorrectcorrectcorrectcorrectcorrectcorrectcorrectcorrect=yes"};
    static const char *const good[] = {"adamw:correct=no,eps_at=inside,decay=coupled", "sgd:nesterov=yes", "muon:steps=7,scale=rms", "lion",
                                       "adafactor:rate=fixed"};
    lt_train_options o = lt_train_defaults;
    lt_run r = {.o = &o};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o.optimizer = bad[i];
        if (lt_details_find(cx, &r)) fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(lt_ctx_status(cx), LT_ERR_USAGE);
        lt_ctx_clear(cx);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        o.optimizer = good[i];
        if (!lt_details_find(cx, &r)) fail_msg("%s: %s", good[i], lt_ctx_error(cx));
    }
}

static int setup(void **state)
{
    cx = lt_ctx_new(&(lt_options){.threads = 2});
    return cx ? 0 : -1;
}

static int teardown(void **state)
{
    lt_ctx_free(cx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adam), cmocka_unit_test(test_lamb),     cmocka_unit_test(test_adafactor),
        cmocka_unit_test(test_muon), cmocka_unit_test(test_schedule_free), cmocka_unit_test(test_ema),
        cmocka_unit_test(test_clipping), cmocka_unit_test(test_rates), cmocka_unit_test(test_words),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, teardown);
}
