/* The slots: for every linear kind the fused `run` gives the bits of the op-by-op `forward`, with every epilogue and any rows; a block
 * gives the same packed or not, alone or in a batch; relative positions match their definition. */
#include "nn/stacks.h"

static const lt_linear_kind *const linear_kinds[] = {&lt_linear_dense};

static lt_linear make_linear(const lt_linear_kind *kind, lt_dtype dtype, int64_t in, int64_t out, bool bias, uint32_t seed)
{
    lt_linear l = {.kind = kind, .name = lt_strdup(cx, "linear"), .in = in, .out = out, .has_bias = bias, .dtype = dtype};
    struct numbers n = {seed, dtype};
    lt_decl d = {.cx = cx, .visit = give_numbers, .arg = &n};
    assert_true(kind->declare(&l, &d));
    return l;
}

static void test_run_equals_forward(void **state)
{
    static const int64_t rows[] = {1, 2, 3, 5, 13, 64, 131};
    static const int64_t widths[][2] = {{8, 8}, {33, 100}, {300, 1}, {129, 257}}; /* in, out; sums are blocked by 128 */
    for (size_t k = 0; k < sizeof linear_kinds / sizeof *linear_kinds; k++)
        for (int f64 = 0; f64 < 2; f64++)
            for (size_t w = 0; w < 4; w++)
                for (int bias = 0; bias < 2; bias++) {
                    lt_scope scope = lt_open(cx, NULL);
                    lt_dtype dtype = f64 ? LT_F64 : LT_F32;
                    lt_linear plain = make_linear(linear_kinds[k], dtype, widths[w][0], widths[w][1], bias, 100),
                              fused = make_linear(linear_kinds[k], dtype, widths[w][0], widths[w][1], bias, 100);
                    assert_true(fused.kind->prepare(cx, &fused));
                    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
                        for (int act = 0; act < LT_ACT_COUNT; act++)
                            for (int residual = 0; residual < 2; residual++) {
                                lt_scope one = lt_open(cx, NULL);
                                lt_tensor *x = check_random(cx, dtype, rows[r], plain.in, 7, 3);
                                lt_epilogue e = {.act = (lt_act)act, .residual = residual ? check_random(cx, dtype, rows[r], plain.out, 8, 1) : NULL};
                                lt_tensor *a = lt_project(cx, &plain, x, &e), *b = lt_project(cx, &fused, x, &e);
                                assert_non_null(a);
                                assert_non_null(b);
                                assert_true(check_same_bits(a, b));
                                if (rows[r] > 5) { /* alone: the same bits as in a batch */
                                    lt_epilogue e1 = e;
                                    if (residual) e1.residual = lt_slice_rows(cx, e.residual, 4, 1);
                                    assert_true(check_same_bits(lt_project(cx, &fused, lt_slice_rows(cx, x, 4, 1), &e1), lt_slice_rows(cx, a, 4, 1)));
                                }
                                lt_end(cx, one);
                            }
                    int32_t ids[] = {0, (int32_t)plain.out - 1};
                    assert_true(check_same_bits(lt_linear_rows(cx, &plain, ids, 2), lt_linear_rows(cx, &fused, ids, 2)));
                    lt_linear_free(&plain);
                    lt_linear_free(&fused);
                    lt_end(cx, scope);
                }
}

static void test_wrong_input_is_named(void **state)
{
    lt_linear l = make_linear(&lt_linear_dense, LT_F32, 32, 16, true, 1);
    assert_null(lt_project(cx, &l, check_random(cx, LT_F32, 2, 9, 1, 1), NULL));
    assert_string_equal(lt_ctx_error(cx), "linear: linear [16, 32] of f32 and an input [2, 9] of f32");
    lt_ctx_clear(cx);
    assert_null(lt_linear_rows(cx, &l, (int32_t[]){3, 16}, 2));
    assert_string_equal(lt_ctx_error(cx), "linear: id 16 at token 1: expected 0 to 15");
    lt_ctx_clear(cx);
    lt_linear_free(&l);
}

/* ---- a block ---- */

static bool pack(lt_ctx *c, lt_linear *l, void *arg) { return l->kind->prepare(c, l); }

static const int32_t lengths[] = {1, 33, 0, 7, 520}; /* the last one goes the streaming way */
enum { SEQS = 5, ROWS = 561 };

static lt_tensor *run_all(const lt_stack *st, const int32_t *ids) { return lt_stack_forward(cx, st, ids, NULL, lt_seqs_new(cx, SEQS, lengths), NULL); }

static void test_stack(void **state)
{
    static const lt_position_kind *const positions[] = {NULL, &lt_position_relative_key, &lt_position_relative_key_query};
    static const lt_ffn_kind *const ffns[] = {&lt_ffn_mlp, &lt_ffn_gated};
    int32_t ids[ROWS];
    for (int i = 0; i < ROWS; i++) ids[i] = (i * 37) % 60;
    for (int mode = 0; mode < 12; mode++) {
        lt_scope scope = lt_open(cx, NULL);
        lt_dtype dtype = mode % 4 == 3 ? LT_F64 : LT_F32;
        const lt_position_kind *position = positions[mode % 3];
        const bool pre_norm = mode / 3 % 2;
        const lt_ffn_kind *ffn = ffns[mode / 6];
        lt_stack plain = make_stack(dtype, position, pre_norm, ffn, false), packed = make_stack(dtype, position, pre_norm, ffn, true);
        assert_true(lt_stack_linears(cx, &packed, pack, NULL));
        lt_tensor *a = run_all(&plain, ids), *b = run_all(&packed, ids);
        if (!a || !b) fail_msg("%s", lt_ctx_error(cx));
        assert_true(check_same_bits(a, b));
        for (int i = 0, row = 0; i < SEQS; row += lengths[i++]) {
            lt_tensor *alone = lt_stack_forward(cx, &packed, ids + row, NULL, lt_seqs_new(cx, 1, &lengths[i]), NULL);
            assert_true(check_same_bits(alone, lt_slice_rows(cx, a, row, lengths[i])));
        }
        lt_stack_free(&plain);
        lt_stack_free(&packed);
        lt_end(cx, scope);
    }
}

/* scores + q_i · e(i - j) (+ k_j · e(i - j)), by the definition. */
static void test_relative_positions(void **state)
{
    const int dim = 16, max = 700, n = 600;
    for (int both = 0; both < 2; both++) {
        const lt_position_kind *kind = both ? &lt_position_relative_key_query : &lt_position_relative_key;
        lt_position p = {.kind = kind, .name = lt_strdup(cx, "distance"), .max = max, .dim = dim, .dtype = LT_F64}, copy = p;
        struct numbers numbers = {900, LT_F64};
        lt_decl d = {.cx = cx, .visit = give_numbers, .arg = &numbers};
        assert_true(kind->declare(&p, &d));
        copy.table = (lt_param){0};
        numbers.seed = 900;
        assert_true(kind->declare(&copy, &d));
        assert_true(kind->prepare(cx, &p));
        lt_tensor *q = check_random(cx, LT_F64, n, 2 * dim, 20, 1), *k = check_random(cx, LT_F64, n, 2 * dim, 21, 1);
        lt_seqs *s = lt_seqs_new(cx, 1, (int32_t[]){n});
        lt_attend_spec spec = {.q = s, .heads = 2, .dim = dim, .scale = 0.5};
        assert_true(kind->bias(cx, &p, q, k, &spec));
        static double scores[5 * 600];
        memset(scores, 0, sizeof scores);
        spec.bias(spec.bias_arg, 1, 70, 5, 30, 560, scores, 600);
        const double *e = copy.table.value.data;
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 560; j++) {
                double want = 0;
                for (int c = 0; c < dim; c++) {
                    double at = e[(70 + i - (30 + j) + max - 1) * dim + c];
                    want += check_at(q, 70 + i, dim + c) * at + (both ? check_at(k, 30 + j, dim + c) * at : 0);
                }
                assert_true(fabs(scores[i * 600 + j] - 0.5 * want) < 1e-13);
            }
        lt_param_free(&p.table);
        lt_param_free(&copy.table);
        lt_free(p.packed);
        lt_free(p.name);
    }
}

/* Rows through a memory, in any portions and order of sequences, give what one causal pass over the whole gives: up to rounding,
 * since sums over fewer keys are grouped otherwise (values near 1, so 1e-5 in f32 and 1e-13 in f64). */
static void test_decoding_in_portions(void **state)
{
    static const int32_t whole[] = {20, 9};
    static const int32_t portions[][3] = {{0, 7, 0}, {1, 1, 0}, {0, 1, 0}, {1, 5, 0}, {0, 12, 0}, {1, 3, 0}}; /* sequence, rows */
    int32_t ids[29];
    for (int i = 0; i < 29; i++) ids[i] = (i * 17) % 60;
    for (int f64 = 0; f64 < 2; f64++) {
        lt_stack st = make_stack(f64 ? LT_F64 : LT_F32, NULL, true, &lt_ffn_mlp, true);
        lt_memory *mem[2];
        for (int i = 0; i < 2; i++) {
            st.block[i].mixer.causal = true;
            mem[i] = lt_memory_kv.open(cx, &st.block[i].mixer, 3, 4);
        }
        lt_tensor *full = lt_stack_forward(cx, &st, ids, NULL, lt_seqs_new(cx, 2, whole), NULL);
        int32_t seen[2] = {0, 0};
        for (int p = 0; p < 6; p++) {
            int32_t seq = portions[p][0], n = portions[p][1], slot = seq, first = seq ? 20 : 0;
            lt_seqs *s = lt_seqs_new(cx, 1, &n);
            s->slot = &slot;
            for (int draft = 0; draft < 2; draft++) { /* each portion twice: the first time as a draft that is forgotten */
                lt_tensor *y = lt_stack_forward(cx, &st, ids + first + seen[seq], NULL, s, mem);
                assert_non_null(y);
                assert_true(check_distance(y, lt_slice_rows(cx, full, first + seen[seq], n)) < (f64 ? 1e-13 : 1e-5));
                for (int i = 0; i < 2 && !draft; i++) assert_true(lt_memory_kv.cut(mem[i], seq, seen[seq]));
            }
            seen[seq] += n;
        }
        for (int i = 0; i < 2; i++) {
            assert_true(lt_memory_kv.copy(cx, mem[i], 0, 2));
            assert_false(lt_memory_kv.cut(mem[i], 2, 21));
            lt_memory_kv.close(mem[i]);
        }
        lt_stack_free(&st);
    }
}

static void test_kinds_are_complete(void **state)
{
    int n;
    const lt_kind *const *kinds = lt_nn_kinds(&n);
    for (int i = 0; i < n; i++) {
        assert_true(kinds[i]->slot && *kinds[i]->slot && kinds[i]->name && *kinds[i]->name && kinds[i]->summary && *kinds[i]->summary && kinds[i]->source);
        for (int j = 0; j < i; j++) assert_false(strcmp(kinds[i]->slot, kinds[j]->slot) == 0 && strcmp(kinds[i]->name, kinds[j]->name) == 0);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_equals_forward), cmocka_unit_test(test_wrong_input_is_named), cmocka_unit_test(test_stack),
        cmocka_unit_test(test_relative_positions), cmocka_unit_test(test_decoding_in_portions), cmocka_unit_test(test_kinds_are_complete),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
