/* Protects: for every fixture the outputs are those of Hugging Face transformers, in f64 to 1e-10 and in f32 to 1e-5; an input's
 * batch-mates, packing, fused or plain running and the number of threads change nothing; outputs that a checkpoint does not
 * have are refused; and what `lathe info` tells about each is true. */
#include "models/fixture.h"

/* Torch and lathe sum in different orders, in f64 some 1e-14 apart for these sizes; 1e-10 leaves room for act constants that
 * configs give in ten digits (gelu_fast). In f32 values of size 1 to 10 carry errors of 1e-6 through two layers. */
static const double f64_tolerance = 1e-10, f32_tolerance = 1e-5;
/* The padded baseline computes the same sums over more columns of zero probability. */
static const double pad_tolerance = 1e-6;

static folders models;

/* Says what is wrong and goes on: one bad model should not hide the others. */
static int problems;
#define problem(...) (print_error(__VA_ARGS__), print_error("\n"), problems++)

typedef struct check { /* one model open in one way, and the worst that was seen */
    lt_ctx *cx;
    const fixture *f;
    lt_model *m;
    double worst;
} check;

static void compare(check *c, lt_tensor *got, lt_output what, int begin, int end, double tolerance, const char *how)
{
    const fixture *f = c->f;
    if (!got) {
        problem("%s: %s %s: %s", f->path, how, output_name[what], lt_ctx_error(c->cx));
        lt_ctx_clear(c->cx);
        return;
    }
    int64_t rows = f->per_token[what] ? f->first[end - 1] + f->length[end - 1] - f->first[begin] : end - begin;
    assert_int_equal(got->shape[0], rows);
    int64_t at = 0, stored = 0;
    for (int i = 0; i < begin; i++) stored += f->per_token[what] ? stored_rows(f, i) : 1;
    for (int i = begin; i < end; i++) {
        int64_t n = f->per_token[what] ? stored_rows(f, i) : 1;
        double d = distance(got, at, f->per_token[what] ? f->row_step : 1, f->want[what], stored, n);
        if (!(d <= tolerance))
            problem("%s: %s: %s of input %d (%d tokens) is %.3g off, allowed %.3g", f->path, how, output_name[what], i,
                    f->length[i], d, tolerance);
        if (d > c->worst) c->worst = d;
        at += f->per_token[what] ? f->length[i] : 1;
        stored += n;
    }
}

/* Alone and in one batch, against the fixture; and the two against each other, bit for bit. */
static void alone_and_together(check *c, double tolerance, const char *how)
{
    const fixture *f = c->f;
    for (int what = 1; what < 4; what++) {
        lt_scope scope = lt_open(c->cx, NULL);
        if (f->want[what]) {
            lt_tensor *all = forward(c->cx, c->m, f, 0, f->n, (lt_output)what, NULL);
            compare(c, all, (lt_output)what, 0, f->n, tolerance, how);
            for (int i = 0; i < f->n; i++) {
                lt_tensor *one = forward(c->cx, c->m, f, i, i + 1, (lt_output)what, NULL);
                compare(c, one, (lt_output)what, i, i + 1, tolerance, how);
                if (all && one && !same_bits(one, 0, all, f->per_token[what] ? f->first[i] : i, one->shape[0]))
                    problem("%s: %s: %s of input %d alone and in a batch: not the same bits", f->path, how, output_name[what], i);
            }
        } else if (f->absent[what]) {
            if (forward(c->cx, c->m, f, 0, f->n, (lt_output)what, NULL) || !*lt_ctx_error(c->cx))
                problem("%s: %s: not refused", f->path, output_name[what]);
            lt_ctx_clear(c->cx);
        }
        lt_end(c->cx, scope);
    }
}

typedef void model_check(lt_ctx *cx, const fixture *f);

static void each_model(model_check *run)
{
    problems = 0;
    for (int i = 0; i < models.n; i++) {
        lt_ctx *cx = new_context(2);
        fixture f;
        read_fixture(cx, &f, models.name[i]);
        run(cx, &f);
        free_fixture(&f);
        lt_ctx_free(cx);
    }
    assert_int_equal(problems, 0);
}

static lt_model *open_model(lt_ctx *cx, const fixture *f, const lt_model_options *o)
{
    lt_model *m = lt_model_open(cx, f->path, o);
    if (!m) problem("%s: %s", f->path, lt_ctx_error(cx));
    return m;
}

static double worst_f64, worst_f32;

static void f64_check(lt_ctx *cx, const fixture *f)
{
    check c = {cx, f, open_model(cx, f, &(lt_model_options){.compute = LT_F64}), 0};
    if (c.m) alone_and_together(&c, f64_tolerance, "f64");
    if (c.worst > worst_f64) worst_f64 = c.worst;
    lt_model_close(c.m);
}
static void f64_equals_pytorch(void **state)
{
    each_model(f64_check);
    print_message("# f64: largest difference over %d models %.3g\n", models.n, worst_f64);
}

static void f32_check(lt_ctx *cx, const fixture *f)
{
    check c = {cx, f, open_model(cx, f, NULL), 0};
    if (c.m) alone_and_together(&c, f32_tolerance, "f32");
    if (c.worst > worst_f32) worst_f32 = c.worst;
    lt_model_close(c.m);
}
static void f32_equals_pytorch(void **state)
{
    each_model(f32_check);
    print_message("# f32: largest difference over %d models %.3g\n", models.n, worst_f32);
}

/* Fused kernels over packed weights against the same model run op by op. */
static void unpacked_check(lt_ctx *cx, const fixture *f)
{
    for (int dtype = 0; dtype < 2; dtype++) {
        lt_dtype compute = dtype ? LT_F64 : LT_F32;
        lt_model *fused = open_model(cx, f, &(lt_model_options){.compute = compute});
        lt_model *plain = open_model(cx, f, &(lt_model_options){.compute = compute, .unpacked = true});
        for (int what = 1; fused && plain && what < 4; what++) {
            if (!f->want[what]) continue;
            lt_tensor *a = forward(cx, fused, f, 0, f->n, (lt_output)what, NULL),
                      *b = forward(cx, plain, f, 0, f->n, (lt_output)what, NULL);
            assert_done(cx, a && b);
            if (!same_bits(a, 0, b, 0, a->shape[0]))
                problem("%s: %s: %s packed and op by op: %.3g apart, not the same bits", f->path, lt_dtype_name(compute),
                        output_name[what], distance(a, 0, 1, b, 0, a->shape[0]));
        }
        lt_model_close(fused);
        lt_model_close(plain);
    }
}
static void fused_is_op_by_op(void **state) { each_model(unpacked_check); }

static const char *const isas[] = {"ref", "base", "avx2", "avx512", "neon"};
enum { ISAS = sizeof isas / sizeof *isas };
static int runs_of_isa[ISAS];

static void isa_check(lt_ctx *cx, const fixture *f)
{
    for (int k = 0; k < ISAS; k++) {
        lt_ctx *own = lt_ctx_new(&(lt_options){.threads = 1, .isa = isas[k]});
        assert_non_null(own);
        if (!lt_kernels_of(own, LT_F32)) { /* not on this machine */
            lt_ctx_free(own);
            continue;
        }
        check c = {own, f, open_model(own, f, NULL), 0};
        if (c.m) alone_and_together(&c, f32_tolerance, isas[k]);
        runs_of_isa[k]++;
        lt_model_close(c.m);
        lt_ctx_free(own);
    }
}
static void every_instruction_set(void **state)
{
    each_model(isa_check);
    for (int k = 0; k < ISAS; k++)
        if (runs_of_isa[k]) print_message("# ran in %s\n", isas[k]);
    assert_true(runs_of_isa[0] == models.n && runs_of_isa[1] == models.n); /* every machine has these */
}

static void threads_check(lt_ctx *cx, const fixture *f)
{
    lt_model *m = open_model(cx, f, NULL);
    for (int what = 1; m && what < 4; what++) {
        if (!f->want[what]) continue;
        lt_tensor *first = forward(cx, m, f, 0, f->n, (lt_output)what, NULL);
        assert_done(cx, first);
        for (int threads = 1; threads <= 3; threads++) {
            lt_ctx *own = new_context(threads);
            for (int i = -1; i < f->n; i++) { /* all in one batch, then each alone: threads take sequences, or work inside ops */
                lt_tensor *x = forward(own, m, f, i < 0 ? 0 : i, i < 0 ? f->n : i + 1, (lt_output)what, NULL);
                assert_done(own, x);
                int64_t at = i < 0 ? 0 : f->per_token[what] ? f->first[i] : i;
                if (!same_bits(x, 0, first, at, x->shape[0]))
                    problem("%s: %s with %d threads: not the same bits", f->path, output_name[what], threads);
            }
            lt_ctx_free(own);
        }
    }
    lt_model_close(m);
}
static void threads_change_nothing(void **state) { each_model(threads_check); }

static void pad_check(lt_ctx *cx, const fixture *f)
{
    lt_model *m = open_model(cx, f, NULL);
    for (int what = 1; m && what < 4; what++) {
        if (!f->want[what]) continue;
        lt_tensor *ragged = forward(cx, m, f, 0, f->n, (lt_output)what, NULL);
        for (lt_padding pad = LT_PAD_ALL; pad <= LT_PAD_ATTENTION; pad++) {
            lt_tensor *padded = forward(cx, m, f, 0, f->n, (lt_output)what, &(lt_run_options){.pad = pad});
            assert_done(cx, ragged && padded);
            assert_int_equal(ragged->shape[0], padded->shape[0]);
            double d = distance(padded, 0, 1, ragged, 0, ragged->shape[0]);
            if (!(d <= pad_tolerance)) problem("%s: padded %s (%d) is %.3g off", f->path, output_name[what], (int)pad, d);
        }
    }
    lt_model_close(m);
}
static void padding_changes_nothing(void **state) { each_model(pad_check); }

/* Enough inputs for a dozen slices, however they are cut, and the padding baselines with them: of some slices all inputs are shorter
 * than the batch's longest. */
static void slices_check(lt_ctx *cx, const fixture *f)
{
    enum { TIMES = 150 };
    static const lt_run_options ways[] = {
        {.slices = LT_SLICES_FILE}, {.slices = LT_SLICES_EQUAL}, {.pad = LT_PAD_ATTENTION}, {.pad = LT_PAD_ATTENTION, .slices = LT_SLICES_EQUAL}, {.pad = LT_PAD_ALL, .slices = LT_SLICES_FILE},
    };
    lt_model *m = open_model(cx, f, NULL);
    int32_t *length = lt_alloc_array(cx, (int64_t)f->n * TIMES, sizeof *length), *ids = NULL;
    int64_t tokens = 0, at = 0;
    for (int i = 0; length && i < f->n * TIMES; i++) tokens += length[i] = i % 7 == 3 ? 0 : f->length[i / 3 % f->n];
    ids = lt_alloc_array(cx, tokens + 1, sizeof *ids);
    assert_done(cx, m && ids);
    for (int i = 0; i < f->n * TIMES; at += length[i++]) memcpy(ids + at, f->ids + f->first[i / 3 % f->n], (size_t)length[i] * sizeof *ids);
    lt_batch batch = {.seqs = lt_seqs_new(cx, f->n * TIMES, length), .ids = ids};
    lt_tensor *want = lt_forward(cx, m, &batch, LT_OUT_HIDDEN, NULL);
    assert_done(cx, want);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        lt_tensor *got = lt_forward(cx, m, &batch, LT_OUT_HIDDEN, &ways[i]);
        assert_done(cx, got);
        double d = ways[i].pad ? distance(got, 0, 1, want, 0, tokens) : !same_bits(got, 0, want, 0, tokens);
        if (!(d <= pad_tolerance)) problem("%s: way %zu of cutting a pass is %.3g off", f->path, i, d);
    }
    lt_model_close(m);
}
static void slices_change_nothing(void **state) { each_model(slices_check); }

/* Types not given are zeros; an empty sequence owns no rows and disturbs nobody; a batch of none is empty. */
static void edge_batches(void **state)
{
    lt_ctx *cx = new_context(2);
    fixture f;
    read_fixture(cx, &f, "bert-tiny");
    lt_model *m = open_model(cx, &f, NULL);
    memset(f.types, 0, sizeof f.types);
    lt_tensor *zeros = forward(cx, m, &f, 0, f.n, LT_OUT_HIDDEN, NULL);
    f.has_types = false;
    lt_tensor *none = forward(cx, m, &f, 0, f.n, LT_OUT_HIDDEN, NULL);
    assert_done(cx, zeros && none);
    assert_true(same_bits(zeros, 0, none, 0, zeros->shape[0]));

    int32_t lengths[] = {0, f.length[0], 0, f.length[1], 0};
    lt_batch b = {.seqs = lt_seqs_new(cx, 5, lengths), .ids = f.ids};
    lt_tensor *x = lt_forward(cx, m, &b, LT_OUT_HIDDEN, NULL);
    assert_done(cx, x);
    assert_int_equal(x->shape[0], f.length[0] + f.length[1]);
    assert_true(same_bits(x, 0, none, 0, x->shape[0]));
    x = lt_forward(cx, m, &b, LT_OUT_EMBEDDING, &(lt_run_options){.pooling = "mean"});
    assert_done(cx, x);
    assert_int_equal(x->shape[0], 5);
    for (int64_t j = 0; j < x->shape[1]; j++) assert_true(element(x, 0, j) == 0 && element(x, 2, j) == 0 && element(x, 4, j) == 0);

    lt_batch empty = {.seqs = lt_seqs_new(cx, 0, NULL), .ids = f.ids};
    x = lt_forward(cx, m, &empty, LT_OUT_HIDDEN, NULL);
    assert_done(cx, x);
    assert_int_equal(x->shape[0], 0);
    lt_model_close(m);
    free_fixture(&f);
    lt_ctx_free(cx);
}

static void about_check(lt_ctx *cx, const fixture *f)
{
    lt_model *m = open_model(cx, f, NULL);
    if (!m) return;
    const lt_model_info *a = lt_model_about(m), *seen = lt_model_inspect(cx, f->path);
    assert_done(cx, a && seen);
    for (int k = 0; k < 2; k++, a = seen) {
        assert_string_equal(a->family, text_of(f->json, "family"));
        assert_string_equal(a->architecture, text_of(f->json, "architecture"));
        assert_string_equal(a->head, text_of(f->json, "head"));
        assert_string_equal(a->dtype, text_of(f->json, "dtype"));
        assert_int_equal(a->hidden, f->want[LT_OUT_HIDDEN]->shape[1]);
        assert_true(a->parameters > 0 && a->bytes > 0 && a->layers > 0 && a->heads > 0 && a->vocab > 0);
        assert_string_equal(a->pooling, "none");
        assert_true(a->max_tokens >= f->length[0]);
    }
    lt_model_close(m);
}
static void about_each(void **state) { each_model(about_check); }

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    models = list_folders("models");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f64_equals_pytorch),     cmocka_unit_test(f32_equals_pytorch),
        cmocka_unit_test(fused_is_op_by_op),      cmocka_unit_test(every_instruction_set),
        cmocka_unit_test(threads_change_nothing), cmocka_unit_test(padding_changes_nothing),
        cmocka_unit_test(slices_change_nothing),  cmocka_unit_test(edge_batches),           cmocka_unit_test(about_each),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free_folders(&models);
    return failed;
}
