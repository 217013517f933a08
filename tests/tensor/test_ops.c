/* Ops against plain double loops, on odd sizes and views, for every kernel table; errors by value; scopes; the tape. */
#include "check.h"

static lt_ctx *cx;

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

/* Higham's bound for k fused products in any order: k u Σ |a b|, u = 2^-24 or 2^-53; one more u for the reference's own rounding. */
static double chain_bound(bool f64, int64_t k, double sum_abs) { return (double)(k + 1) * (f64 ? 0x1p-53 * 2 : 0x1p-24) * sum_abs; }

static void test_matmul(void **state)
{
    static const int64_t sizes[][3] = {{1, 1, 1}, {3, 5, 7}, {17, 49, 33}, {65, 130, 64}, {9, 40, 700}, {130, 200, 128}, {0, 4, 4}, {4, 0, 4}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int f64 = 0; f64 < 2; f64++) {
            lt_scope scope = lt_open(cx, "matmul");
            int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
            lt_dtype dtype = f64 ? LT_F64 : LT_F32;
            lt_tensor *a = check_random(cx, dtype, m ? m : 1, k, 1, 1), *b = check_random(cx, dtype, k, n ? n : 1, 2, 1), *t = check_random(cx, dtype, n ? n : 1, k, 3, 1);
            a = lt_slice_rows(cx, a, 0, m);
            b = lt_slice_cols(cx, b, 0, n);
            t = lt_slice_rows(cx, t, 0, n);
            lt_tensor *ab = lt_matmul(cx, a, b), *at = lt_matmul_t(cx, a, t);
            assert_non_null(ab);
            assert_non_null(at);
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < n; j++) {
                    double want = 0, want_t = 0, abs = 0, abs_t = 0;
                    for (int64_t l = 0; l < k; l++) {
                        want += check_at(a, i, l) * check_at(b, l, j);
                        want_t += check_at(a, i, l) * check_at(t, j, l);
                        abs += fabs(check_at(a, i, l) * check_at(b, l, j));
                        abs_t += fabs(check_at(a, i, l) * check_at(t, j, l));
                    }
                    assert_true(fabs(check_at(ab, i, j) - want) <= chain_bound(f64, k, abs));
                    assert_true(fabs(check_at(at, i, j) - want_t) <= chain_bound(f64, k, abs_t));
                }
            lt_end(cx, scope);
        }
}

static void test_views_are_read_in_place(void **state)
{
    lt_tensor *x = check_random(cx, LT_F32, 9, 40, 4, 1), *w = check_random(cx, LT_F32, 12, 10, 5, 1);
    lt_tensor *view = lt_slice_cols(cx, x, 7, 10), *copy = lt_contiguous(cx, view);
    assert_ptr_not_equal(view, copy);
    assert_true(check_same_bits(lt_matmul_t(cx, view, w), lt_matmul_t(cx, copy, w)));
    assert_true(check_same_bits(lt_activate(cx, view, LT_ACT_TANH), lt_activate(cx, copy, LT_ACT_TANH)));
    assert_null(lt_slice_cols(cx, x, 35, 6));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_USAGE);
    lt_ctx_clear(cx);
}

static void test_threads_change_no_bit(void **state)
{
    lt_ctx *one = lt_ctx_new(&(lt_options){.threads = 1}), *three = lt_ctx_new(&(lt_options){.threads = 3});
    lt_tensor *y[2];
    lt_ctx *both[] = {one, three};
    for (int i = 0; i < 2; i++) {
        lt_tensor *x = check_random(both[i], LT_F32, 301, 256, 6, 1), *w = check_random(both[i], LT_F32, 500, 256, 7, 0.1);
        y[i] = lt_softmax(both[i], lt_layer_norm(both[i], lt_activate(both[i], lt_matmul_t(both[i], x, w), LT_ACT_GELU), NULL, NULL, 1e-5, false));
        assert_non_null(y[i]);
    }
    assert_true(check_same_bits(y[0], y[1]));
    lt_ctx_free(one);
    lt_ctx_free(three);
}

static void test_pooling(void **state)
{
    int32_t len[] = {3, 0, 1, 5};
    lt_seqs *s = lt_seqs_new(cx, 4, len);
    lt_tensor *x = check_random(cx, LT_F64, 9, 7, 8, 1);
    for (int how = 0; how < LT_POOLS; how++)
        for (int skip = 0; skip < 3; skip++) {
            lt_tensor *y = lt_pool_rows(cx, x, s, (lt_pooling)how, skip);
            assert_non_null(y);
            for (int i = 0; i < 4; i++)
                for (int c = 0; c < 7; c++) {
                    double sum = 0, max = -INFINITY, weighted = 0, weights = 0, want;
                    int n = 0;
                    for (int r = skip; r < len[i]; r++, n++) {
                        double v = check_at(x, s->offset[i] + r, c);
                        sum += v;
                        max = v > max ? v : max;
                        weighted += (r + 1) * v;
                        weights += r + 1;
                    }
                    if (how == LT_POOL_CLS) want = len[i] ? check_at(x, s->offset[i], c) : 0;
                    else if (how == LT_POOL_LAST) want = len[i] ? check_at(x, s->offset[i + 1] - 1, c) : 0;
                    else if (n == 0) want = 0;
                    else want = how == LT_POOL_MEAN ? sum / n : how == LT_POOL_MAX ? max : how == LT_POOL_MEAN_SQRT ? sum / sqrt(n) : weighted / weights;
                    assert_true(fabs(check_at(y, i, c) - want) < 1e-14);
                }
        }
}

/* Softmax attention by its definition, in double. */
static double attend_naive(const lt_tensor *q, const lt_tensor *k, const lt_tensor *v, const lt_seqs *s, int seq, int row, int head, int dim, int out,
                           bool causal, int32_t keys)
{
    double best = -INFINITY, sum = 0, y = 0, p[8192];
    int n = causal ? row + 1 : keys;
    for (int j = 0; j < n; j++) {
        p[j] = 0;
        for (int c = 0; c < dim; c++) p[j] += check_at(q, s->offset[seq] + row, head * dim + c) * check_at(k, s->offset[seq] + j, head * dim + c);
        p[j] /= sqrt(dim);
        best = p[j] > best ? p[j] : best;
    }
    for (int j = 0; j < n; j++) {
        double e = exp(p[j] - best);
        sum += e;
        y += e * check_at(v, s->offset[seq] + j, head * dim + out);
    }
    return y / sum;
}

static void test_attention(void **state)
{
    int32_t len[] = {1, 37, 0, 5, 130, 700, 2}, keys[] = {1, 20, 0, 5, 129, 650, 1};
    for (int mode = 0; mode < 6; mode++) {
        lt_scope scope = lt_open(cx, "attention");
        bool f64 = mode & 1, causal = mode / 2 == 1, masked = mode / 2 == 2;
        const int heads = 3, dim = 24;
        lt_seqs *s = lt_seqs_new(cx, 7, len);
        if (masked) s->keys = keys;
        lt_dtype dtype = f64 ? LT_F64 : LT_F32;
        lt_tensor *q = check_random(cx, dtype, 875, heads * dim, 9, 2), *k = check_random(cx, dtype, 875, heads * dim, 10, 2), *v = check_random(cx, dtype, 875, heads * dim, 11, 2);
        lt_tensor *y = lt_attend(cx, q, k, v, &(lt_attend_spec){.q = s, .heads = heads, .dim = dim, .scale = 1 / sqrt(dim), .causal = causal});
        assert_non_null(y);
        double bound = f64 ? 1e-13 : 2e-5; /* values up to 2, scores up to 20 whose f32 error passes through exp */
        for (int i = 0; i < 7; i++)
            for (int r = 0; r < len[i]; r += len[i] > 100 ? 61 : 3)
                for (int h = 0; h < heads; h++)
                    for (int c = 0; c < dim; c += 5) {
                        double want = attend_naive(q, k, v, s, i, r, h, dim, c, causal, masked ? keys[i] : len[i]);
                        assert_true(fabs(check_at(y, s->offset[i] + r, h * dim + c) - want) < bound);
                    }
        /* Each sequence alone: the same bits. */
        for (int i = 0; i < 7 && !masked; i++) {
            lt_seqs *alone = lt_seqs_new(cx, 1, &len[i]);
            lt_attend_spec spec = {.q = alone, .heads = heads, .dim = dim, .scale = 1 / sqrt(dim), .causal = causal};
            lt_tensor *part[3] = {q, k, v};
            for (int p = 0; p < 3; p++) part[p] = lt_slice_rows(cx, part[p], s->offset[i], len[i]);
            assert_true(check_same_bits(lt_attend(cx, part[0], part[1], part[2], &spec), lt_slice_rows(cx, y, s->offset[i], len[i])));
        }
        lt_end(cx, scope);
    }
}

/* Eight thousand rows beside a few: the long one goes the streaming way and is the same alone. */
static void test_long_and_short_together(void **state)
{
    int32_t len[] = {3, 8192, 17};
    lt_scope scope = lt_open(cx, NULL);
    lt_seqs *s = lt_seqs_new(cx, 3, len), *alone = lt_seqs_new(cx, 1, &len[1]);
    lt_tensor *x[3], *part[3];
    for (int i = 0; i < 3; i++) {
        x[i] = check_random(cx, LT_F32, 8212, 32, 30 + i, 1);
        part[i] = lt_slice_rows(cx, x[i], 3, 8192);
    }
    lt_attend_spec spec = {.q = s, .heads = 1, .dim = 32, .scale = 1 / sqrt(32)};
    lt_tensor *y = lt_attend(cx, x[0], x[1], x[2], &spec);
    spec.q = alone;
    assert_true(check_same_bits(lt_attend(cx, part[0], part[1], part[2], &spec), lt_slice_rows(cx, y, 3, 8192)));
    for (int i = 0; i < 3; i++)
        for (int r = 0; r < len[i]; r += len[i] > 100 ? 4095 : 4)
            for (int c = 0; c < 32; c += 7) /* means of 8192 numbers below 1 in f32 */
                assert_true(fabs(check_at(y, s->offset[i] + r, c) - attend_naive(x[0], x[1], x[2], s, i, r, 0, 32, c, false, len[i])) < 1e-5);
    lt_end(cx, scope);
}

static void test_grouped_queries(void **state)
{
    int32_t len[] = {11, 40};
    lt_seqs *s = lt_seqs_new(cx, 2, len);
    lt_tensor *q = check_random(cx, LT_F32, 51, 4 * 16, 12, 1), *k = check_random(cx, LT_F32, 51, 2 * 16, 13, 1), *v = check_random(cx, LT_F32, 51, 2 * 16, 14, 1);
    lt_tensor *kk[4], *vv[4];
    for (int h = 0; h < 4; h++) {
        kk[h] = lt_slice_cols(cx, k, h / 2 * 16, 16);
        vv[h] = lt_slice_cols(cx, v, h / 2 * 16, 16);
    }
    lt_attend_spec spec = {.q = s, .heads = 4, .kv_heads = 2, .dim = 16, .scale = 0.25};
    lt_tensor *grouped = lt_attend(cx, q, k, v, &spec);
    spec.kv_heads = 4;
    assert_true(check_same_bits(grouped, lt_attend(cx, q, lt_concat_cols(cx, kk, 4), lt_concat_cols(cx, vv, 4), &spec)));
}

static void test_errors_are_values_and_stick(void **state)
{
    lt_tensor *a = check_random(cx, LT_F32, 2, 9, 1, 1), *b = check_random(cx, LT_F32, 16, 32, 1, 1);
    lt_scope layer = lt_open(cx, "layer1"), up = lt_open(cx, "up");
    lt_tensor *y = lt_matmul(cx, a, b);
    assert_null(y);
    assert_null(lt_add(cx, lt_activate(cx, y, LT_ACT_RELU), a));
    assert_string_equal(lt_ctx_error(cx), "layer1.up: matmul: f32 [2, 9] and f32 [16, 32]");
    assert_null(lt_close(cx, up, NULL));
    lt_end(cx, layer);
    lt_ctx_clear(cx);
    assert_null(lt_gather(cx, b, (int32_t[]){16}, 1));
    assert_non_null(strstr(lt_ctx_error(cx), "expected 0 to 15"));
    lt_ctx_clear(cx);
}

static void test_close_keeps_one(void **state)
{
    size_t before = lt_memory_used(cx);
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *x = check_random(cx, LT_F32, 100, 100, 15, 1), *y = lt_scale(cx, x, 2), *view = lt_slice_rows(cx, y, 50, 2);
    float want = ((float *)view->data)[3];
    lt_tensor *kept = lt_close(cx, scope, view);
    assert_float_equal(((float *)kept->data)[3], want, 0);
    assert_true(lt_memory_used(cx) - before < 2000);
    scope = lt_open(cx, NULL); /* what is not the scope's stays where it is */
    assert_ptr_equal(lt_close(cx, scope, kept)->data, kept->data);
    assert_float_equal(((float *)kept->data)[3], want, 0);
}

static void test_tape(void **state)
{
    size_t before = lt_memory_used(cx);
    assert_true(lt_tape_begin(cx));
    lt_tensor *x = check_random(cx, LT_F32, 4, 8, 16, 1), *w = check_random(cx, LT_F32, 8, 8, 17, 1);
    x->grad = check_random(cx, LT_F32, 4, 8, 16, 1);
    lt_scope inner = lt_open(cx, NULL);
    lt_tensor *h = lt_matmul_t(cx, x, w), *y = lt_close(cx, inner, lt_activate(cx, h, LT_ACT_GELU));
    assert_int_equal(lt_tape_size(cx), 2);
    const lt_node *node = lt_tape_node(cx, 2);
    assert_string_equal(node->op->name, "activate");
    assert_ptr_equal(node->in[0], h);
    assert_ptr_equal(node->out, y);
    assert_float_equal(check_at(h, 1, 1), check_at(lt_matmul_t(cx, x, w), 1, 1), 0); /* the closed scope freed nothing */
    lt_tape_end(cx);
    assert_int_equal(lt_memory_used(cx), before);
    assert_int_equal(lt_tape_size(cx), 0);
}

static void test_memory_limit_is_a_clean_error(void **state)
{
    for (size_t limit = 1 << 20; limit <= (size_t)64 << 20; limit *= 2) {
        lt_ctx *small = lt_ctx_new(&(lt_options){.threads = 2, .memory_limit = limit});
        lt_tensor *x = lt_tensor_2d(small, LT_F32, 512, 1024);
        if (x) memset(x->data, 0, 512 * 1024 * 4);
        lt_tensor *y = lt_add(small, lt_matmul_t(small, x, x), lt_matmul_t(small, x, x));
        if (!y) assert_int_equal(lt_ctx_status(small), LT_ERR_MEMORY);
        else assert_int_equal(lt_ctx_status(small), LT_OK);
        if (limit == 1 << 20) assert_null(y);
        if (limit == (size_t)64 << 20) assert_non_null(y);
        lt_ctx_free(small);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_views_are_read_in_place),
        cmocka_unit_test(test_threads_change_no_bit),
        cmocka_unit_test(test_pooling),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_long_and_short_together),
        cmocka_unit_test(test_grouped_queries),
        cmocka_unit_test(test_errors_are_values_and_stick),
        cmocka_unit_test(test_close_keeps_one),
        cmocka_unit_test(test_tape),
        cmocka_unit_test(test_memory_limit_is_a_clean_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
