/* Gradients: every op against central differences in f64, f32 against f64 on every kernel table; several uses of one input, several backward
 * passes, stops, frozen inputs; the same bits for any number of threads. */
#include "check.h"

enum { MOST = 4 };

static lt_ctx *cx;
static lt_seqs *seqs, *key_seqs;
static int32_t ids[] = {3, 0, 2, 3, 3, 1, 0};
static int32_t labels[] = {1, -100, 4, 0, 2, 2, 3};

typedef struct test_case {
    const char *name;
    int n;
    int64_t shape[MOST][2]; /* rows 0: rank 1 */
    lt_tensor *(*make)(lt_tensor **x);
    double scale; /* of the inputs; 0: 1 */
    lt_act act;
    int constants; /* the last of the inputs */
} test_case;

static const test_case *now;

#define OP(name, expression)                                                                                                       \
    static lt_tensor *name(lt_tensor **x) { return expression; }
OP(make_matmul, lt_matmul(cx, x[0], x[1]))
OP(make_matmul_t, lt_matmul_t(cx, x[0], x[1]))
OP(make_square, lt_matmul_t(cx, x[0], x[0]))
OP(make_views, lt_matmul(cx, lt_slice_rows(cx, lt_slice_cols(cx, x[0], 2, 5), 1, 4), lt_slice_cols(cx, x[1], 1, 3)))
OP(make_add, lt_add(cx, x[0], x[1]))
OP(make_twice, lt_add(cx, lt_mul(cx, x[0], x[0]), lt_scale(cx, x[0], 3)))
OP(make_mul, lt_mul(cx, x[0], x[1]))
OP(make_add_row, lt_add_row(cx, x[0], x[1]))
OP(make_scale, lt_scale(cx, x[0], -1.7))
OP(make_act, lt_activate(cx, x[0], now->act))
OP(make_softmax, lt_softmax(cx, x[0]))
OP(make_l2, lt_l2_normalize(cx, x[0], 1e-12))
OP(make_layer_norm, lt_layer_norm(cx, x[0], x[1], x[2], 1e-5, false))
OP(make_plain_norm, lt_layer_norm(cx, x[0], NULL, NULL, 1e-5, false))
OP(make_rms_norm, lt_rms_norm(cx, x[0], x[1], 1e-5, false))
OP(make_gather, lt_gather(cx, x[0], ids, 7))
OP(make_concat, lt_concat_cols(cx, (lt_tensor *[]){x[0], x[1], x[0]}, 3))
OP(make_contiguous, lt_contiguous(cx, lt_slice_cols(cx, x[0], 1, 2)))
OP(make_cast, lt_cast(cx, lt_cast(cx, x[0], LT_F32), LT_F64))
OP(make_cross_entropy, lt_cross_entropy(cx, x[0], labels, 0.3))
OP(make_sigmoid, lt_sigmoid_cross_entropy(cx, x[0], lt_detach(cx, x[1]), 0.3))
OP(make_squared, lt_squared_error(cx, x[0], lt_detach(cx, x[1]), NULL, 0.3))

static const double weights[] = {1, 0.5, 0, 2, 1, 0.25, 3};
OP(make_weighed_cross_entropy, lt_smooth_cross_entropy(cx, x[0], labels, 0, weights, 0.3))
OP(make_weighed, lt_squared_error(cx, x[0], lt_detach(cx, x[1]), weights, 0.3))
OP(make_divergence, lt_divergence(cx, x[0], lt_detach(cx, x[1]), 1.7, weights, 0.3))
OP(make_relation, lt_relation(cx, x[0], x[1], lt_detach(cx, x[2]), lt_detach(cx, x[3]), seqs, 2, 0.3))
OP(make_relation_self, lt_relation(cx, x[0], x[0], lt_detach(cx, x[1]), lt_detach(cx, x[1]), seqs, 2, 0.3))

static lt_tensor *layer(lt_ctx *c, const void *arg, lt_tensor *x)
{
    lt_tensor *const *w = arg;
    return lt_add(c, x, lt_dropout(c, lt_activate(c, lt_matmul_t(c, x, *w), LT_ACT_TANH), 0.5));
}
OP(make_layers, layer(cx, &x[1], layer(cx, &x[1], x[0])))
OP(make_recompute, lt_recompute(cx, layer, &x[1], sizeof *x, lt_recompute(cx, layer, &x[1], sizeof *x, x[0])))
OP(make_smooth, lt_smooth_cross_entropy(cx, x[0], labels, 0.2, weights, 0.3))
static const int32_t rows_chosen[] = {2, 0, -100, 0, -100, -100, 4, 1};
OP(make_choice, lt_choose_rows(cx, x[0], seqs, rows_chosen, 0.3))

static lt_tensor *pool(lt_tensor **x, lt_pooling how) { return lt_pool_rows(cx, x[0], seqs, how, 1); }
OP(make_cls, pool(x, LT_POOL_CLS))
OP(make_mean, pool(x, LT_POOL_MEAN))
OP(make_max, pool(x, LT_POOL_MAX))
OP(make_mean_sqrt, pool(x, LT_POOL_MEAN_SQRT))
OP(make_weighted, pool(x, LT_POOL_WEIGHTED_MEAN))
OP(make_last, pool(x, LT_POOL_LAST))

static void slant(const void *arg, int64_t head, int64_t q0, int64_t nq, int64_t k0, int64_t nk, void *scores, int64_t stride)
{
    for (int64_t i = 0; i < nq; i++)
        for (int64_t j = 0; j < nk; j++) {
            const double b = 0.1 * (double)(head + 1) * (double)((k0 + j) - (q0 + i));
            if (now->act) ((double *)scores)[i * stride + j] += b;
            else ((float *)scores)[i * stride + j] += (float)b;
        }
}

static lt_tensor *attend(lt_tensor **x, lt_attend_spec s)
{
    s.q = seqs;
    s.scale = 0.6;
    return lt_attend(cx, x[0], x[1], x[2], &s);
}
OP(make_attend, attend(x, (lt_attend_spec){.heads = 2, .dim = 5}))
OP(make_causal, attend(x, (lt_attend_spec){.heads = 2, .dim = 5, .causal = true}))
OP(make_grouped, attend(x, (lt_attend_spec){.heads = 4, .kv_heads = 2, .dim = 3}))
OP(make_cross, attend(x, (lt_attend_spec){.heads = 2, .dim = 5, .k = key_seqs}))
OP(make_biased, attend(x, (lt_attend_spec){.heads = 2, .dim = 5, .bias = slant}))
OP(make_self, attend((lt_tensor *[]){x[0], x[0], x[0]}, (lt_attend_spec){.heads = 2, .dim = 5}))

/* The same masks each time. */
static lt_tensor *make_dropout(lt_tensor **x)
{
    lt_dropout_on(cx, 7, 3);
    lt_tensor *y = lt_add(cx, lt_dropout(cx, x[0], 0.4), lt_dropout(cx, x[0], 0.1));
    lt_dropout_off(cx);
    return y;
}

static lt_tensor *attend_dropped(lt_tensor **x, lt_attend_spec s)
{
    lt_dropout_on(cx, 7, 3);
    s.drop = lt_dropout_site(cx, 0.3);
    lt_dropout_off(cx);
    return attend(x, s);
}
OP(make_dropped, attend_dropped(x, (lt_attend_spec){.heads = 4, .kv_heads = 2, .dim = 3}))
OP(make_dropped_causal, attend_dropped(x, (lt_attend_spec){.heads = 2, .dim = 5, .causal = true}))

/* The sequences are 3, 1, 0 and 5 rows, those of keys 2, 4, 3 and 0: an empty one on either side. */
static const test_case cases[] = {
    {"recompute", 2, {{5, 4}, {4, 4}}, make_recompute},
    {"matmul", 2, {{5, 7}, {7, 3}}, make_matmul},
    {"matmul_t", 2, {{5, 7}, {3, 7}}, make_matmul_t},
    {"matmul_t of itself", 1, {{5, 7}}, make_square},
    {"views", 2, {{6, 9}, {5, 4}}, make_views},
    {"add", 2, {{4, 6}, {4, 6}}, make_add},
    {"one input twice", 1, {{4, 6}}, make_twice},
    {"mul", 2, {{4, 6}, {4, 6}}, make_mul},
    {"add_row", 2, {{300, 6}, {0, 6}}, make_add_row},
    {"scale", 1, {{4, 6}}, make_scale},
    {"relu", 1, {{3, 50}}, make_act, 5, LT_ACT_RELU},
    {"gelu", 1, {{3, 50}}, make_act, 5, LT_ACT_GELU},
    {"gelu_tanh", 1, {{3, 50}}, make_act, 5, LT_ACT_GELU_TANH},
    {"quick_gelu", 1, {{3, 50}}, make_act, 5, LT_ACT_QUICK_GELU},
    {"silu", 1, {{3, 50}}, make_act, 5, LT_ACT_SILU},
    {"mish", 1, {{3, 50}}, make_act, 5, LT_ACT_MISH},
    {"tanh", 1, {{3, 50}}, make_act, 3, LT_ACT_TANH},
    {"sigmoid", 1, {{3, 50}}, make_act, 5, LT_ACT_SIGMOID},
    {"relu2", 1, {{3, 50}}, make_act, 5, LT_ACT_RELU2},
    {"softmax", 1, {{4, 6}}, make_softmax, 3},
    {"l2_normalize", 1, {{4, 6}}, make_l2},
    {"layer_norm", 3, {{300, 21}, {0, 21}, {0, 21}}, make_layer_norm},
    {"layer_norm, plain", 1, {{4, 6}}, make_plain_norm},
    {"rms_norm", 2, {{4, 33}, {0, 33}}, make_rms_norm},
    {"gather", 1, {{4, 70}}, make_gather},
    {"concat_cols", 2, {{4, 3}, {4, 2}}, make_concat},
    {"contiguous", 1, {{4, 5}}, make_contiguous},
    {"pool cls", 1, {{9, 4}}, make_cls},
    {"pool mean", 1, {{9, 4}}, make_mean},
    {"pool max", 1, {{9, 4}}, make_max},
    {"pool mean_sqrt", 1, {{9, 4}}, make_mean_sqrt},
    {"pool weighted", 1, {{9, 4}}, make_weighted},
    {"pool last", 1, {{9, 4}}, make_last},
    {"attend", 3, {{9, 10}, {9, 10}, {9, 10}}, make_attend, 2},
    {"attend, causal", 3, {{9, 10}, {9, 10}, {9, 10}}, make_causal, 2},
    {"attend, grouped", 3, {{9, 12}, {9, 6}, {9, 6}}, make_grouped, 2},
    {"attend, cross", 3, {{9, 10}, {9, 10}, {9, 10}}, make_cross, 2},
    {"attend, bias", 3, {{9, 10}, {9, 10}, {9, 10}}, make_biased, 2, (lt_act)1},
    {"dropout", 1, {{5, 150}}, make_dropout},
    {"attend, dropout", 3, {{9, 12}, {9, 6}, {9, 6}}, make_dropped, 2},
    {"attend, dropout, causal", 3, {{9, 10}, {9, 10}, {9, 10}}, make_dropped_causal, 2},
    {"attend, one input thrice", 1, {{9, 10}}, make_self, 2},
    {"cross_entropy", 1, {{7, 5}}, make_cross_entropy, 4},
    {"cross_entropy", 1, {{7, 5}}, make_weighed_cross_entropy, 4},
    {"sigmoid_cross_entropy", 2, {{7, 5}, {7, 5}}, make_sigmoid, 4, (lt_act)0, 1},
    {"squared_error", 2, {{7, 5}, {7, 5}}, make_squared, 4, (lt_act)0, 1},
    {"squared_error", 2, {{7, 5}, {7, 5}}, make_weighed, 4, (lt_act)0, 1},
    {"divergence", 2, {{7, 5}, {7, 5}}, make_divergence, 4, (lt_act)0, 1},
    {"relation", 4, {{9, 10}, {9, 10}, {9, 6}, {9, 6}}, make_relation, 2, (lt_act)0, 2},
    {"relation of itself", 2, {{9, 10}, {9, 6}}, make_relation_self, 2, (lt_act)0, 1},
    {"cross_entropy, smooth", 1, {{7, 5}}, make_smooth, 4},
    {"choose_rows", 1, {{9, 2}}, make_choice, 4},
};
enum { CASES = sizeof cases / sizeof *cases, NORM_CASE = 20 };

static int setup(void **state)
{
    cx = lt_ctx_new(&(lt_options){.threads = 2});
    seqs = lt_seqs_new(cx, 4, (int32_t[]){3, 1, 0, 5});
    key_seqs = lt_seqs_new(cx, 4, (int32_t[]){2, 4, 3, 0});
    return 0;
}

static int teardown(void **state)
{
    lt_ctx_free(cx);
    return 0;
}

static int64_t size_of(const lt_tensor *t) { return t->shape[0] * t->shape[1]; }
static double get(const lt_tensor *t, int64_t i) { return t->dtype == LT_F64 ? ((double *)t->data)[i] : (double)((float *)t->data)[i]; }
static void set(lt_tensor *t, int64_t i, double x)
{
    if (t->dtype == LT_F64) ((double *)t->data)[i] = x;
    else ((float *)t->data)[i] = (float)x;
}

static lt_tensor *leaf(lt_dtype dtype, int64_t rows, int64_t cols, uint32_t seed, double scale)
{
    lt_tensor *t = check_random(cx, dtype, rows, cols, seed, scale), *g = check_random(cx, dtype, rows, cols, seed, 0);
    for (int64_t i = 0; i < size_of(g); i++) set(g, i, 0);
    t->grad = g;
    return t;
}

static void make_leaves(const test_case *c, lt_dtype dtype, lt_tensor **x)
{
    now = c;
    for (int i = 0; i < c->n; i++) x[i] = leaf(dtype, c->shape[i][0], c->shape[i][1], 50 + (uint32_t)i, c->scale ? c->scale : 1);
}

/* Σ weight · y, the weights random. */
static double value(lt_tensor *y, uint32_t seed)
{
    double sum = 0;
    for (int64_t i = 0; i < size_of(y); i++) sum += get(y, i) * check_number(seed, i);
    return sum;
}

static void run_back(const test_case *c, lt_tensor **x)
{
    assert_true(lt_tape_begin(cx));
    lt_tensor *y = c->make(x);
    assert_non_null(y);
    lt_tensor *dy = lt_tensor_new(cx, y->dtype, y->rank, y->shape);
    for (int64_t i = 0; i < size_of(y); i++) set(dy, i, check_number(9, i));
    assert_true(lt_backward(cx, y, dy));
    lt_tape_end(cx);
}

static void test_finite_differences(void **state)
{
    for (int k = 0; k < CASES; k++) {
        const test_case *c = &cases[k];
        lt_scope scope = lt_open(cx, NULL);
        lt_tensor *x[MOST];
        make_leaves(c, LT_F64, x);
        run_back(c, x);
        for (int i = 0; i < c->n - c->constants; i++)
            for (int64_t e = 0; e < size_of(x[i]); e++) {
                const double h = 1e-5, at = get(x[i], e);
                lt_scope one = lt_open(cx, NULL);
                set(x[i], e, at + h);
                double up = value(c->make(x), 9);
                set(x[i], e, at - h);
                double slope = (up - value(c->make(x), 9)) / (2 * h), got = get(x[i]->grad, e);
                set(x[i], e, at);
                lt_end(cx, one);
                /* differences lose 11 digits of 16 to h and gain 1e-10 of curvature: 1e-8 is ten times what is seen */
                if (!(fabs(slope - got) <= 1e-8 * (1 + fabs(slope)))) fail_msg("%s: input %d, element %d: %.12g by differences, %.12g", c->name, i, (int)e, slope, got);
            }
        lt_end(cx, scope);
    }
    assert_string_equal(lt_ctx_error(cx), "");
}

static void test_f32_on_every_table(void **state)
{
    lt_ctx *home = cx;
    for (int t = 0; t < lt_kernels_count(); t++)
        for (int k = 0; k < CASES; k++) {
            const test_case *c = &cases[k];
            if (c->make == make_cast || c->make == make_biased) continue;
            lt_tensor *x[MOST], *exact[MOST];
            cx = home;
            lt_scope scope = lt_open(cx, NULL);
            make_leaves(c, LT_F64, exact);
            run_back(c, exact);
            cx = lt_ctx_new(&(lt_options){.threads = 1 + t % 3, .isa = lt_kernels_at(t)->isa});
            make_leaves(c, LT_F32, x);
            run_back(c, x);
            for (int i = 0; i < c->n; i++)
                for (int64_t e = 0; e < size_of(x[i]); e++) {
                    const double want = get(exact[i]->grad, e), got = get(x[i]->grad, e);
                    /* sums of some hundred terms of size one, each rounded */
                    if (!(fabs(want - got) <= 2e-5 * (1 + fabs(want)))) fail_msg("%s on %s: input %d, element %d: %.9g, expected %.9g", c->name, lt_kernels_at(t)->isa, i, (int)e, got, want);
                }
            lt_ctx_free(cx);
            cx = home;
            lt_end(cx, scope);
        }
}

static void test_threads_change_no_bit(void **state)
{
    lt_ctx *home = cx;
    static const test_case big[] = {{"matmul_t", 2, {{700, 130}, {90, 130}}, make_matmul_t}, {"layer_norm", 3, {{700, 130}, {0, 130}, {0, 130}}, make_layer_norm},
                                    {"add_row", 2, {{1000, 33}, {0, 33}}, make_add_row}};
    for (size_t k = 0; k < sizeof big / sizeof *big; k++) {
        lt_ctx *each[3];
        lt_tensor *x[3][MOST];
        for (int t = 0; t < 3; t++) {
            cx = each[t] = lt_ctx_new(&(lt_options){.threads = t + 1});
            make_leaves(&big[k], LT_F32, x[t]);
            run_back(&big[k], x[t]);
        }
        for (int i = 0; i < big[k].n; i++)
            assert_true(check_same_bits(x[0][i]->grad, x[1][i]->grad) && check_same_bits(x[0][i]->grad, x[2][i]->grad));
        for (int t = 0; t < 3; t++) lt_ctx_free(each[t]);
    }
    cx = home;
}

/* What a case gives and its gradients, as one number each. */
static void sums_of(const test_case *c, bool round, double sum[1 + MOST])
{
    lt_tensor *x[MOST];
    make_leaves(c, LT_F32, x);
    for (int i = 0; round && i < c->n; i++) lt_round_to_bf16(size_of(x[i]), x[i]->data, x[i]->data);
    assert_true(lt_tape_begin(cx));
    lt_tensor *y = c->make(x), *dy = lt_tensor_new(cx, LT_F32, 2, y->shape);
    for (int64_t i = 0; i < size_of(y); i++) set(dy, i, check_number(9, i));
    if (round) lt_round_to_bf16(size_of(dy), dy->data, dy->data);
    assert_true(lt_backward(cx, y, dy));
    sum[0] = value(y, 5);
    for (int i = 0; i < c->n; i++) sum[1 + i] = value(x[i]->grad, 5);
    lt_tape_end(cx);
}

/* Rounded operands give what f32 gives, but for the order of sums; others do not, so rounding there is. */
static void test_bf16(void **state)
{
    static const test_case products[] = {{"matmul", 2, {{37, 53}, {53, 41}}, make_matmul}, {"matmul_t", 2, {{37, 53}, {41, 53}}, make_matmul_t},
                                         {"views", 2, {{6, 8}, {5, 5}}, make_views}, {"square", 1, {{70, 40}}, make_square}};
    lt_ctx *home = cx;
    for (int t = 0; t < 2 * lt_kernels_count(); t++)
        for (size_t k = 0; k < sizeof products / sizeof *products; k++) {
            const test_case *c = &products[k];
            double plain[1 + MOST], narrow[1 + MOST];
            cx = lt_ctx_new(&(lt_options){.threads = 1 + t % 3, .isa = lt_kernels_at(t / 2)->isa});
            sums_of(c, t % 2, plain);
            const bool rounds = lt_compute_bf16(cx, true) && t % 2 == 0;
            sums_of(c, t % 2, narrow);
            for (int i = 0; i <= c->n; i++) {
                const double off = fabs(plain[i] - narrow[i]);
                if (rounds ? off < 1e-5 || off > 0.5 : off > 1e-4) fail_msg("%s on %s, %d: %g, in f32 %g", c->name, lt_kernels_at(t / 2)->isa, i, narrow[i], plain[i]);
            }
            lt_ctx_free(cx);
        }
    cx = home;
}

/* Every table drops the same elements, as many as it should, and other ones at other sites, steps and seeds. */
static void test_dropout(void **state)
{
    enum { ROWS = 100, COLS = 201 };
    lt_ctx *home = cx;
    lt_tensor *first = NULL;
    for (int t = 0; t < lt_kernels_count(); t++) {
        cx = lt_ctx_new(&(lt_options){.threads = 1 + t % 3, .isa = lt_kernels_at(t)->isa});
        lt_tensor *x = check_random(cx, LT_F32, ROWS, COLS, 3, 1);
        lt_dropout_on(cx, 11, 5);
        lt_tensor *y = lt_dropout(cx, x, 0.3), *z = lt_dropout(cx, x, 0.3);
        lt_dropout_off(cx);
        assert_ptr_equal(lt_dropout(cx, x, 0.3), x);
        int zeros = 0, same = 0;
        for (int64_t i = 0; i < ROWS * COLS; i++) {
            zeros += get(y, i) == 0;
            same += (get(y, i) == 0) == (get(z, i) == 0);
            if (get(y, i) != 0) assert_float_equal(get(y, i), get(x, i) / 0.7, 1e-6);
        }
        assert_in_range(zeros, ROWS * COLS * 0.28, ROWS * COLS * 0.32); /* 6 standard deviations */
        assert_in_range(same, ROWS * COLS * 0.55, ROWS * COLS * 0.61);  /* 0.3² + 0.7² */
        lt_ctx *here = cx;
        cx = home;
        if (!first) {
            first = check_random(cx, LT_F32, ROWS, COLS, 3, 0);
            memcpy(first->data, y->data, sizeof(float) * ROWS * COLS);
        } else
            assert_true(check_same_bits(first, y));
        lt_ctx_free(here);
    }
    cx = home;
}

/* What is computed again drops what was dropped, frees what it made, and gives the same bits; a parameter gets its share where x wants none. */
static void test_recompute(void **state)
{
    static const test_case direct = {"layers", 2, {{40, 30}, {30, 30}}, make_layers}, again = {"recompute", 2, {{40, 30}, {30, 30}}, make_recompute};
    for (int frozen = 0; frozen < 2; frozen++) {
        lt_scope scope = lt_open(cx, NULL);
        lt_tensor *x[2][MOST], *grad[2];
        for (int k = 0; k < 2; k++) {
            make_leaves(k ? &again : &direct, LT_F32, x[k]);
            grad[k] = x[k][0]->grad;
            if (frozen) x[k][0]->grad = NULL;
            lt_dropout_on(cx, 5, 6);
            run_back(k ? &again : &direct, x[k]);
            lt_dropout_off(cx);
            assert_true(get(x[k][1]->grad, 7) != 0);
            assert_true(frozen == (get(grad[k], 7) == 0));
        }
        assert_true(check_same_bits(x[0][1]->grad, x[1][1]->grad) && check_same_bits(grad[0], grad[1]));
        lt_end(cx, scope);
    }
}

/* The rows of attention's dropout and of plain dropout from the fourth on, computed alone. */
static void test_dropout_in_parts(void **state)
{
    enum { ROWS = 9, COLS = 10, FROM = 4 };
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *x = check_random(cx, LT_F32, ROWS, COLS, 3, 1);
    const lt_seqs *behind = lt_seqs_new(cx, 1, (int32_t[]){ROWS - FROM});
    lt_tensor *whole[2], *part[2];
    for (int i = 0; i < 2; i++) {
        lt_tensor *in = i ? lt_slice_rows(cx, x, FROM, ROWS - FROM) : x, **out = i ? part : whole;
        lt_dropout_on(cx, 7, 3);
        lt_dropout_go_on(cx, (lt_drop_place){.site = 2, .row = i ? FROM : 0});
        out[0] = lt_dropout(cx, in, 0.4);
        out[1] = lt_attend(cx, in, in, in, &(lt_attend_spec){.q = i ? behind : seqs, .heads = 2, .dim = 5, .scale = 0.6, .drop = lt_dropout_site(cx, 0.3)});
        assert_int_equal(lt_dropout_place(cx).site, 4);
        lt_dropout_off(cx);
    }
    for (int i = 0; i < 2; i++) assert_true(check_same_bits(lt_contiguous(cx, lt_slice_rows(cx, whole[i], FROM, ROWS - FROM)), part[i]));
    lt_end(cx, scope);
}

static void test_frozen_and_detached(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *x = leaf(LT_F64, 3, 4, 1, 1), *w = check_random(cx, LT_F64, 5, 4, 2, 1);
    assert_true(lt_tape_begin(cx));
    lt_tensor *frozen = lt_matmul_t(cx, w, w);
    assert_int_equal(lt_tape_size(cx), 0); /* nothing differentiated: nothing noted */
    lt_tensor *y = lt_matmul_t(cx, x, w), *stopped = lt_mul(cx, lt_detach(cx, y), lt_detach(cx, y));
    assert_int_equal(lt_tape_size(cx), 1);
    assert_int_equal(stopped->node, 0);
    assert_int_equal(frozen->node, 0);
    assert_true(lt_backward(cx, stopped, NULL)); /* a constant: no gradient, no error */
    assert_float_equal(get(x->grad, 0), 0, 0);
    assert_true(lt_backward(cx, y, NULL));
    const double once = get(x->grad, 5);
    assert_true(lt_backward(cx, y, NULL)); /* adds up */
    assert_float_equal(get(x->grad, 5), 2 * once, 1e-15);
    lt_tape_end(cx);
    lt_end(cx, scope);
}

static void test_refusals(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *x = leaf(LT_F32, 3, 4, 1, 1);
    assert_false(lt_backward(cx, x, NULL)); /* no tape */
    lt_ctx_clear(cx);
    assert_true(lt_tape_begin(cx));
    assert_false(lt_tape_begin(cx));
    lt_ctx_clear(cx);
    void *packed = lt_alloc(cx, lt_packed_bytes(lt_kernels_of(cx, LT_F32), 2, 4));
    float w[8] = {0};
    lt_kernels_of(cx, LT_F32)->pack(2, 4, w, 4, 1, packed);
    lt_tensor *y = lt_gemm(cx, x, packed, 2, NULL, NULL);
    assert_false(lt_backward(cx, y, NULL));
    assert_non_null(strstr(lt_ctx_error(cx), "gemm has no gradient"));
    lt_ctx_clear(cx);
    assert_null(lt_cross_entropy(cx, x, (int32_t[]){0, 4, 0}, 1));
    assert_non_null(strstr(lt_ctx_error(cx), "label 4 at row 1: expected up to 3"));
    lt_ctx_clear(cx);
    const lt_seqs *s = lt_seqs_new(cx, 2, (int32_t[]){3, 0});
    assert_null(lt_choose_rows(cx, x, s, (int32_t[]){0, 3, 0, 0, -1, -1, -1, -1}, 1));
    assert_non_null(strstr(lt_ctx_error(cx), "row 3 of sequence 0: it has 3"));
    lt_ctx_clear(cx);
    assert_null(lt_choose_rows(cx, x, s, (int32_t[]){0, 0, 0, 0, -1, -1, 0, -1}, 1)); /* nothing to choose among */
    lt_ctx_clear(cx);
    assert_null(lt_choose_rows(cx, x, seqs, NULL, 1));
    assert_non_null(strstr(lt_ctx_error(cx), "[3, 4] and sequences of 9 rows"));
    lt_ctx_clear(cx);
    lt_tape_end(cx);
    lt_end(cx, scope);
}

/* A tape's room for gradients is used again: no more memory after the first steps. */
static void test_steps_reuse_memory(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *x[MOST];
    make_leaves(&cases[NORM_CASE], LT_F64, x);
    run_back(&cases[NORM_CASE], x);
    const size_t peak = lt_memory_peak(cx), used = lt_memory_used(cx);
    for (int i = 0; i < 20; i++) run_back(&cases[NORM_CASE], x);
    assert_int_equal(lt_memory_peak(cx), peak);
    assert_int_equal(lt_memory_used(cx), used);
    lt_end(cx, scope);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finite_differences),    cmocka_unit_test(test_f32_on_every_table), cmocka_unit_test(test_threads_change_no_bit),
        cmocka_unit_test(test_bf16), cmocka_unit_test(test_recompute), cmocka_unit_test(test_dropout_in_parts),
        cmocka_unit_test(test_dropout), cmocka_unit_test(test_frozen_and_detached),   cmocka_unit_test(test_refusals),           cmocka_unit_test(test_steps_reuse_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
