/* Whole stacks against central differences in f64: each parameter, under every position, norm order and feed-forward kind, with dropout; and with blocks
 * that are computed again, whose gradients are the same bits. */
#include "nn/stacks.h"

static const int32_t lengths[] = {3, 0, 1, 6};
enum { SEQS = 4, ROWS = 10, MOST_PARAMS = 64 };

static lt_param *params[MOST_PARAMS];
static lt_tensor grads[MOST_PARAMS];
static int n_params;

static int64_t count_of(const lt_tensor *t) { return t->shape[0] * t->shape[1]; }

static bool take_param(lt_decl *d, lt_param *p)
{
    assert_true(n_params < MOST_PARAMS);
    lt_tensor *g = lt_tensor_new(d->cx, p->value.dtype, p->value.rank, p->value.shape);
    memset(g->data, 0, (size_t)count_of(g) * lt_dtype_size(g->dtype));
    grads[n_params] = *g;
    p->value.grad = &grads[n_params];
    params[n_params++] = p;
    return true;
}

static lt_tensor *run(const lt_stack *st)
{
    static const int32_t ids[ROWS] = {5, 17, 5, 59, 0, 1, 2, 3, 17, 30};
    lt_dropout_on(cx, 7, 3);
    lt_tensor *y = lt_stack_forward(cx, st, ids, NULL, lt_seqs_new(cx, SEQS, lengths), NULL);
    if (!y) fail_msg("%s", lt_ctx_error(cx));
    return y;
}

static double loss(const lt_stack *st)
{
    double sum = 0;
    lt_scope scope = lt_open(cx, NULL);
    assert_true(lt_tape_begin(cx)); /* dropout acts in training alone */
    lt_tensor *y = run(st);
    for (int64_t i = 0; i < count_of(y); i++) sum += ((const double *)y->data)[i] * check_number(9, i);
    lt_tape_end(cx);
    lt_end(cx, scope);
    return sum;
}

static void go_back(const lt_stack *st)
{
    assert_true(lt_tape_begin(cx));
    lt_tensor *y = run(st), *dy = lt_tensor_new(cx, y->dtype, y->rank, y->shape);
    for (int64_t i = 0; i < count_of(y); i++) ((double *)dy->data)[i] = check_number(9, i);
    assert_true(lt_backward(cx, y, dy));
    lt_tape_end(cx);
}

static void check_param(const lt_stack *st, const lt_param *p, const char *what)
{
    const int64_t n = count_of(&p->value);
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(((double *)p->value.grad->data)[i]));
    if (most == 0) fail_msg("%s, %s: no gradient", what, p->name);
    for (int k = 0; k < 3; k++) {
        int64_t i = (int64_t)(check_number(77, k) * 0.5 * (double)n + 0.5 * (double)n) % n;
        for (int64_t tries = 0; ((double *)p->value.grad->data)[i] == 0 && tries < n; tries++) i = (i + 1) % n; /* most rows of tables are not met */
        double *at = (double *)p->value.data + i;
        const double h = 1e-5, was = *at;
        *at = was + h;
        double up = loss(st);
        *at = was - h;
        const double slope = (up - loss(st)) / (2 * h), got = ((double *)p->value.grad->data)[i];
        *at = was;
        if (!(fabs(slope - got) <= 1e-7 * (1 + fabs(slope)))) fail_msg("%s, %s, element %d: %.12g by differences, %.12g", what, p->name, (int)i, slope, got);
    }
}

static void test_stacks(void **state)
{
    static const lt_position_kind *const positions[] = {NULL, &lt_position_relative_key, &lt_position_relative_key_query};
    static const lt_ffn_kind *const ffns[] = {&lt_ffn_mlp, &lt_ffn_gated};
    for (int mode = 0; mode < 12; mode++) {
        lt_scope scope = lt_open(cx, NULL);
        char what[64];
        const lt_position_kind *position = positions[mode % 3];
        lt_stack st = make_stack(LT_F64, position, mode / 3 % 2, ffns[mode / 6], false);
        for (int i = 0; i < st.layers; i++) {
            st.block[i].mixer.dropout = 0.3;
            st.block[i].r1.dropout = st.block[i].r2.dropout = 0.2;
        }
        snprintf(what, sizeof what, "%s, %s, %s", position ? position->is.name : "no positions", mode / 3 % 2 ? "pre-norm" : "post-norm", ffns[mode / 6]->is.name);
        n_params = 0;
        assert_true(lt_stack_declare(&st, &(lt_decl){.cx = cx, .visit = take_param}));
        go_back(&st);
        for (int i = 0; i < n_params; i++) check_param(&st, params[i], what);
        lt_tensor *first[MOST_PARAMS];
        for (int i = 0; i < n_params; i++) {
            first[i] = lt_tensor_new(cx, LT_F64, grads[i].rank, grads[i].shape);
            memcpy(first[i]->data, grads[i].data, (size_t)count_of(&grads[i]) * sizeof(double));
            memset(grads[i].data, 0, (size_t)count_of(&grads[i]) * sizeof(double));
        }
        lt_recompute_blocks(cx, true);
        go_back(&st);
        lt_recompute_blocks(cx, false);
        for (int i = 0; i < n_params; i++) assert_true(check_same_bits(first[i], &grads[i]));
        lt_dropout_off(cx);
        lt_stack_free(&st);
        lt_end(cx, scope);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stacks)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
