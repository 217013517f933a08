/* What MiniLM's losses must and must not see (Wang et al. 2020): equals have no loss and no gradient, at all; a rotation of each head's values is
 * no difference, another order of heads is one; a key's bias gets nothing; texts do not see each other. And in training: what lies behind the last
 * block's queries, keys and values gets no gradient, so it neither moves nor decays. */
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "lathe/format.h"
#include "lathe/train.h"

enum { HEADS = 3, DIM = 4, WIDTH = HEADS * DIM, ROWS = 17 };
static const int32_t lengths[] = {9, 1, 0, 7};
static lt_ctx *cx;

static lt_tensor *leaf(lt_tensor *x)
{
    x->grad = check_random(cx, x->dtype, x->shape[0], x->shape[1], 1, 0);
    return x;
}

static lt_tensor *values(lt_dtype dtype, uint32_t seed) { return leaf(check_random(cx, dtype, ROWS, WIDTH, seed, 2)); }

/* The loss of q to k against tq to tk; leaves get their gradients. */
static double loss_of(lt_tensor *q, lt_tensor *k, lt_tensor *tq, lt_tensor *tk)
{
    const lt_seqs *s = lt_seqs_new(cx, 4, lengths);
    assert_true(lt_tape_begin(cx));
    lt_tensor *y = lt_relation(cx, q, k, lt_detach(cx, tq), lt_detach(cx, tk), s, HEADS, 1);
    if (!y || !lt_backward(cx, y, NULL)) fail_msg("%s", lt_ctx_error(cx));
    const double loss = check_at(y, 0, 0);
    lt_tape_end(cx);
    assert_true(loss >= 0);
    return loss;
}

static double largest(const lt_tensor *x)
{
    double most = 0;
    for (int64_t i = 0; i < x->shape[0]; i++)
        for (int64_t j = 0; j < x->shape[1]; j++)
            if (!(fabs(check_at(x, i, j)) <= most)) most = fabs(check_at(x, i, j));
    return most;
}

static void test_equals(void **state)
{
    lt_ctx *home = cx;
    for (int t = 0; t <= lt_kernels_count(); t++) { /* the last: f64 */
        const bool f64 = t == lt_kernels_count();
        cx = lt_ctx_new(&(lt_options){.threads = 1 + t % 3, .isa = f64 ? NULL : lt_kernels_at(t)->isa});
        lt_tensor *q = values(f64 ? LT_F64 : LT_F32, 1), *k = values(q->dtype, 2);
        assert_true(loss_of(q, k, q, k) == 0 && largest(q->grad) == 0 && largest(k->grad) == 0);
        assert_true(loss_of(k, k, k, k) == 0 && largest(k->grad) == 0);
        assert_true(loss_of(q, k, k, q) > 0.1 && largest(q->grad) > 0.01);
        lt_ctx_free(cx);
    }
    cx = home;
}

/* Each head's columns rotated in three planes. */
static lt_tensor *rotated(const lt_tensor *v)
{
    lt_tensor *x = leaf(lt_tensor_2d(cx, v->dtype, ROWS, WIDTH));
    for (int64_t i = 0; i < ROWS; i++) {
        for (int64_t j = 0; j < WIDTH; j++) check_set(x, i, j, check_at(v, i, j));
        for (int h = 0; h < HEADS; h++)
            for (int p = 0; p + 1 < DIM; p++) {
                const double angle = 0.7 + h + 2 * p, a = check_at(x, i, h * DIM + p), b = check_at(x, i, h * DIM + p + 1);
                check_set(x, i, h * DIM + p, cos(angle) * a - sin(angle) * b);
                check_set(x, i, h * DIM + p + 1, sin(angle) * a + cos(angle) * b);
            }
    }
    return x;
}

static lt_tensor *other_order(const lt_tensor *v)
{
    lt_tensor *x = leaf(lt_tensor_2d(cx, v->dtype, ROWS, WIDTH));
    for (int64_t i = 0; i < ROWS; i++)
        for (int64_t j = 0; j < WIDTH; j++) check_set(x, i, j, check_at(v, i, (j + DIM) % WIDTH));
    return x;
}

static void test_rotations(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *v = values(LT_F64, 3), *teacher = values(LT_F64, 4), *x = rotated(v);
    assert_true(check_distance(x, v) > 1);
    assert_true(loss_of(x, x, v, v) < 1e-13 && largest(x->grad) < 1e-13);
    assert_float_equal(loss_of(x, x, teacher, teacher), loss_of(v, v, teacher, teacher), 1e-12);
    lt_end(cx, scope);
}

static void test_order_of_heads(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *q = values(LT_F64, 5), *k = values(LT_F64, 6), *a = other_order(q), *b = other_order(k);
    assert_true(loss_of(a, b, q, k) > 0.1 && loss_of(a, a, q, q) > 0.1);
    assert_float_equal(loss_of(a, b, a, b), 0, 0); /* of both: nothing */
    lt_end(cx, scope);
}

/* A bias of keys moves all scores of a row alike: its gradient, the sum over the rows of dk, is zero in each text. That of queries is not. */
static void test_bias_of_keys(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *q = values(LT_F64, 7), *k = values(LT_F64, 8);
    loss_of(q, k, values(LT_F64, 9), values(LT_F64, 10));
    double keys = 0, queries = 0;
    for (int64_t j = 0; j < WIDTH; j++) {
        double sum = 0, sum_q = 0;
        for (int64_t i = 0; i < lengths[0]; i++) {
            sum += check_at(k->grad, i, j);
            sum_q += check_at(q->grad, i, j);
        }
        keys += fabs(sum);
        queries += fabs(sum_q);
    }
    assert_true(keys < 1e-14 && queries > 0.01 && largest(k->grad) > 0.01);
    lt_end(cx, scope);
}

static void test_texts_alone(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *q = values(LT_F64, 11), *k = values(LT_F64, 12), *tq = values(LT_F64, 13), *tk = values(LT_F64, 14);
    const double together = loss_of(q, k, tq, tk);
    double alone = 0;
    for (int64_t i = 0, row = 0; i < 4; row += lengths[i++]) {
        lt_tensor *const all[] = {q, k, tq, tk};
        lt_tensor *part[4];
        for (int p = 0; p < 4; p++) part[p] = lt_slice_rows(cx, all[p], row, lengths[i]);
        if (lengths[i] == 0) continue;
        lt_tensor *y = lt_relation(cx, part[0], part[1], part[2], part[3], lt_seqs_new(cx, 1, &lengths[i]), HEADS, 1);
        assert_non_null(y);
        alone += check_at(y, 0, 0);
        if (lengths[i] == 1) assert_float_equal(check_at(y, 0, 0), 0, 0); /* a token has no relation but to itself */
    }
    assert_float_equal(alone, together, 1e-14);
    lt_end(cx, scope);
}

/* ---- in training ---- */

static char folder[] = "/tmp/lathe-relations-XXXXXX";
static char path[3][128];

static void distil(const char *losses, double lr, const char *out)
{
    const char *teacher = "tests/fixtures/models/bert-tiny", *data[] = {path[0]};
    lt_train_options o = lt_train_defaults;
    o.teacher = o.model = teacher;
    o.objective = "none";
    o.losses = losses;
    o.random = o.ids = true;
    o.data = data;
    o.n_data = 1;
    o.steps = 3;
    o.batch = 4;
    o.lr = lr;
    o.out = out;
    if (!lt_train(cx, &o, NULL, NULL, NULL)) fail_msg("%s", lt_ctx_error(cx));
}

/* Whether a parameter of the last block, or anything else, is there for these losses. */
static bool learns(const char *name, bool with_values)
{
    if (strstr(name, "pooler") || strstr(name, "layer.1.attention.output") || strstr(name, "layer.1.intermediate") || strstr(name, "layer.1.output")) return false;
    return with_values || !strstr(name, "layer.1.attention.self.value");
}

static void test_what_moves(void **state)
{
    lt_scope scope = lt_open(cx, NULL);
    for (int with_values = 0; with_values < 2; with_values++) {
        const char *losses = with_values ? "attention,values" : "attention";
        distil(losses, 0, path[1]);
        distil(losses, 1e-2, path[2]);
        lt_weights *before = lt_weights_open(cx, path[1]), *after = lt_weights_open(cx, path[2]);
        assert_true(before && after);
        int still = 0;
        for (int i = 0; i < lt_weights_count(before); i++) {
            const lt_stored *a = lt_weights_at(before, i), *b = lt_weights_find(after, a->name);
            assert_true(b && a->bytes == b->bytes);
            const bool moved = memcmp(a->data, b->data, a->bytes) != 0, same = !moved;
            still += same;
            if (strstr(a->name, "key.bias")) continue; /* a gradient of rounding alone, of which the optimizer makes steps */
            if (moved != learns(a->name, with_values)) fail_msg("%s: %s has %s", losses, a->name, moved ? "moved" : "not moved");
        }
        assert_true(still >= 10);
        lt_weights_close(before);
        lt_weights_close(after);
    }
    lt_end(cx, scope);
}

static int setup(void **state)
{
    cx = lt_ctx_new(&(lt_options){.threads = 2});
    if (!cx || !mkdtemp(folder)) return -1;
    static const char *const name[] = {"rows.txt", "before", "after"};
    for (int i = 0; i < 3; i++) snprintf(path[i], sizeof path[i], "%s/%s", folder, name[i]);
    FILE *f = fopen(path[0], "w");
    for (int i = 0; f && i < 16; i++) fprintf(f, "[2,%d,%d,%d,7,%d,3]\n", 10 + i, 50 + 3 * i, 120 - i, 20 + 5 * i);
    return f && fclose(f) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    char command[64];
    lt_ctx_free(cx);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals),       cmocka_unit_test(test_rotations),   cmocka_unit_test(test_order_of_heads),
        cmocka_unit_test(test_bias_of_keys), cmocka_unit_test(test_texts_alone), cmocka_unit_test(test_what_moves),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, teardown);
}
