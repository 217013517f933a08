/* A batch in parts: dropout of a part is what it is within the whole, of rows and of attention, forward and backward; sites of a step's batches do not
 * depend on how many earlier ones passed; and who watches the backward pass sees each node once, last first, when its inputs have their share. */
#include "check.h"

static lt_ctx *cx;
static const int32_t lengths[] = {3, 5, 1, 4}; /* of the whole */
static const int32_t mine[] = {5, 4};          /* sequences 1 and 3 of it */
static const uint32_t rows[] = {3, 4, 5, 6, 7, 9, 10, 11, 12};
enum { ALL = 13, HERE = 9, COLS = 24, HEADS = 3 };

static int setup(void **state) { return (cx = lt_ctx_new(&(lt_options){.threads = 2})) ? 0 : -1; }
static int teardown(void **state)
{
    lt_ctx_free(cx);
    return 0;
}

static lt_tensor *numbers(int64_t n, const uint32_t *row, int salt)
{
    lt_tensor *t = lt_tensor_2d(cx, LT_F32, n, COLS);
    for (int64_t i = 0; t && i < n; i++)
        for (int64_t j = 0; j < COLS; j++) ((float *)t->data)[i * COLS + j] = (float)(((row ? row[i] : (uint32_t)i) * 31 + (uint32_t)j * 7 + (uint32_t)salt) % 17) / 8 - 1;
    return t;
}

static void check_rows(const lt_tensor *part, const lt_tensor *whole)
{
    assert_non_null(part);
    assert_non_null(whole);
    for (int i = 0; i < HERE; i++)
        assert_memory_equal((const float *)part->data + i * COLS, (const float *)whole->data + rows[i] * COLS, COLS * sizeof(float));
}

static void begin(const uint32_t *row)
{
    lt_dropout_on(cx, 42, 7);
    if (row) lt_dropout_rows(cx, HERE, row);
}

static void test_rows(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    begin(NULL);
    lt_tensor *whole = lt_dropout(cx, numbers(ALL, NULL, 1), 0.4);
    begin(rows);
    lt_tensor *part = lt_dropout(cx, numbers(HERE, rows, 1), 0.4);
    check_rows(part, whole);
    begin(rows); /* other numbers of rows than those: as if whole */
    lt_tensor *other = lt_dropout(cx, numbers(ALL, NULL, 1), 0.4);
    check_rows(lt_gather(cx, other, (const int32_t *)rows, HERE), whole);
    lt_dropout_off(cx);
    lt_end(cx, scope);
}

static lt_tensor *attend(lt_tensor *q, lt_tensor *k, lt_tensor *v, const int32_t *n, int count)
{
    return lt_attend(cx, q, k, v, &(lt_attend_spec){.q = lt_seqs_new(cx, count, n), .heads = HEADS, .dim = COLS / HEADS, .scale = 0.5, .drop = lt_dropout_site(cx, 0.3)});
}

/* Values and the gradients of queries. */
static void test_attention(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *grad[2], *out[2];
    for (int p = 0; p < 2; p++) {
        const uint32_t *row = p ? rows : NULL;
        const int64_t n = p ? HERE : ALL;
        lt_tensor *q = numbers(n, row, 1), *k = numbers(n, row, 5), *v = numbers(n, row, 9);
        grad[p] = lt_tensor_2d(cx, LT_F32, n, COLS);
        memset(grad[p]->data, 0, (size_t)(n * COLS) * sizeof(float));
        out[p] = lt_tensor_2d(cx, LT_F32, n, COLS);
        q->grad = grad[p];
        assert_true(lt_tape_begin(cx));
        begin(row);
        lt_tensor *y = attend(q, k, v, p ? mine : lengths, p ? 2 : 4);
        lt_dropout_off(cx);
        assert_non_null(y);
        memcpy(out[p]->data, y->data, (size_t)(n * COLS) * sizeof(float));
        assert_true(lt_backward(cx, y, numbers(n, row, 3)));
        lt_tape_end(cx);
    }
    check_rows(out[1], out[0]);
    check_rows(grad[1], grad[0]);
    lt_end(cx, scope);
}

static void test_batches(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *x = numbers(ALL, NULL, 1), *y[3];
    for (int sites = 0; sites < 3; sites++) {
        lt_dropout_on(cx, 42, 7);
        lt_dropout_batch(cx, 0);
        for (int i = 0; i < sites; i++) lt_dropout_site(cx, 0.5);
        lt_dropout_batch(cx, 1);
        y[sites] = lt_dropout(cx, x, 0.5);
    }
    assert_memory_equal(y[0]->data, y[1]->data, ALL * COLS * sizeof(float));
    assert_memory_equal(y[0]->data, y[2]->data, ALL * COLS * sizeof(float));
    begin(NULL);
    assert_memory_not_equal(y[0]->data, lt_dropout(cx, x, 0.5)->data, ALL * COLS * sizeof(float));
    lt_dropout_off(cx);
    lt_end(cx, scope);
}

typedef struct seen {
    int node[8], n;
    const lt_tensor *grad;
    float when[8];
} seen;

static void watch(void *arg, int node)
{
    seen *s = arg;
    s->when[s->n] = *(float *)s->grad->data;
    s->node[s->n++] = node;
}

static void test_watch(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *x = numbers(1, NULL, 1), *grad = lt_tensor_2d(cx, LT_F32, 1, COLS), *dy = lt_tensor_2d(cx, LT_F32, 1, COLS);
    memset(grad->data, 0, COLS * sizeof(float));
    for (int i = 0; i < COLS; i++) ((float *)dy->data)[i] = 1;
    x->grad = grad;
    seen s = {.grad = grad};
    assert_true(lt_tape_begin(cx));
    lt_tensor *y = lt_add(cx, lt_scale(cx, lt_scale(cx, x, 2), 2), x); /* nodes 1, 2, 3: x is read by 1 and 3 */
    lt_backward_watch(cx, watch, &s);
    assert_true(lt_backward(cx, y, dy));
    lt_tape_end(cx);
    assert_int_equal(s.n, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(s.node[i], 3 - i);
    assert_true(s.when[0] == 1 && s.when[1] == 1 && s.when[2] == 5);
    assert_true(lt_tape_begin(cx)); /* a new tape is watched by nobody */
    assert_true(lt_backward(cx, lt_scale(cx, x, 2), dy));
    lt_tape_end(cx);
    assert_int_equal(s.n, 3);
    lt_end(cx, scope);
}

static lt_tensor *scaled(lt_ctx *c, const void *arg, lt_tensor *x) { return lt_add(c, lt_scale(c, x, 2), *(lt_tensor *const *)arg); }

/* Leaves that only what is computed again reads are found there. */
static void test_first_use(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *x[4], *dy = numbers(1, NULL, 2);
    for (int i = 0; i < 4; i++) {
        x[i] = numbers(1, NULL, i);
        x[i]->grad = lt_tensor_2d(cx, LT_F32, 1, COLS);
        memset(x[i]->grad->data, 0, COLS * sizeof(float));
    }
    seen s = {.grad = x[1]->grad};
    assert_true(lt_tape_begin(cx));
    lt_tensor *y = lt_scale(cx, x[0], 3);                    /* 1 */
    y = lt_recompute(cx, scaled, &x[1], sizeof x[1], y);     /* 2: reads x[1] too */
    y = lt_add(cx, lt_add(cx, y, x[2]), x[1]);               /* 3, 4 */
    assert_int_equal(lt_tape_first_use(cx, x[0]->grad), 1);
    assert_int_equal(lt_tape_first_use(cx, x[1]->grad), 2);
    assert_int_equal(lt_tape_first_use(cx, x[2]->grad), 3);
    assert_int_equal(lt_tape_first_use(cx, x[3]->grad), 0);
    lt_backward_watch(cx, watch, &s);
    assert_true(lt_backward(cx, y, dy));
    lt_tape_end(cx);
    const float d = *(float *)dy->data;
    assert_int_equal(s.n, 4);
    assert_true(s.when[0] == d && s.when[1] == d && s.when[2] == 2 * d && s.when[3] == 2 * d);
    assert_true(lt_tape_begin(cx));
    lt_scale(cx, x[3], 3);
    assert_int_equal(lt_tape_first_use(cx, x[1]->grad), 0);
    lt_tape_end(cx);
    lt_end(cx, scope);
}

static void test_peak(void **state)
{
    const double peak = lt_peak_flops(cx);
    assert_true(peak > 1e6 && peak < 1e16);
    assert_true(lt_ok(cx));
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows), cmocka_unit_test(test_attention), cmocka_unit_test(test_batches), cmocka_unit_test(test_watch), cmocka_unit_test(test_first_use), cmocka_unit_test(test_peak),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
