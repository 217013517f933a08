/* Protects: products by each rule of eight bits against the rules in f64, with zero points expanded as the paper does; errors of the size that is
 * known of them, with outliers and without; what holds of LLM.int8() exactly: thresholds of nothing and of everything, rows in any order; and a
 * model under trial, which is the same model with outliers put in, and afterwards, whether there was memory for it or not. */
#include "lathe/compress.h"
#include "lathe/nn.h"
#include "models/fixture.h"

static uint64_t state = 39;

static double uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(state >> 40) + 0.5) / 0x1p24;
}
static double normal(void) { return sqrt(-2 * log(uniform())) * cos(2 * 3.14159265358979323846 * uniform()); }

static lt_tensor *gaussian(lt_ctx *cx, int64_t m, int64_t k)
{
    lt_tensor *x = lt_tensor_2d(cx, LT_F32, m, k);
    assert_done(cx, x);
    for (int64_t i = 0; i < m * k; i++) ((float *)x->data)[i] = (float)normal();
    return x;
}

static const float *data(const lt_tensor *x) { return x->data; }

static const lt_quantizer *rule(const char *name)
{
    int n;
    const lt_quantizer *q = lt_quantizers(&n);
    for (int i = 0; i < n; i++)
        if (!strcmp(q[i].is.name, name)) return &q[i];
    fail_msg("no quantizer \"%s\"", name);
    return NULL;
}

/* ---- the reference ---- */

typedef struct codes { /* integers q and what they mean: (q + zero) / factor, the factor a row's or all rows' */
    double *q, *zero, *factor;
} codes;

/* Columns of `out` are in no range. */
static codes encode(const float *x, int64_t m, int64_t k, bool per_row, bool zero_point, const bool *out)
{
    codes c = {calloc((size_t)(m * k), 8), calloc((size_t)m, 8), calloc((size_t)m, 8)};
    for (int64_t r = 0; r < m; r++) {
        double low = INFINITY, high = -INFINITY;
        for (int64_t s = per_row ? r : 0; s < (per_row ? r + 1 : m); s++)
            for (int64_t i = 0; i < k; i++)
                if (!out[i]) low = fmin(low, x[s * k + i]), high = fmax(high, x[s * k + i]);
        const double most = fmax(fabs(low), fabs(high));
        c.factor[r] = zero_point ? 254 / (high - low) : 127 / most;
        if (low > high || most == 0) c.factor[r] = 0;
        if (zero_point && c.factor[r] > 0) c.zero[r] = rint(c.factor[r] * low) + 127;
        for (int64_t i = 0; i < k; i++) c.q[r * k + i] = rint(c.factor[r] * x[r * k + i]) - c.zero[r];
    }
    return c;
}

static void free_codes(codes *c) { free(c->q), free(c->zero), free(c->factor); }

static double weight_as_coded(const codes *w, int64_t k, int64_t o, int64_t i)
{
    return w->factor[o] > 0 ? (w->q[o * k + i] + w->zero[o]) / w->factor[o] : 0;
}

/* y [m, n], with the paper's steps: codes, integers that are summed, (A + a) (B + b), and columns apart. */
static double *reference(const lt_quantizer *q, double threshold, const float *x, const float *w, int64_t m, int64_t n, int64_t k)
{
    bool *out = calloc((size_t)k, 1), *none = calloc((size_t)k, 1);
    for (int64_t i = 0; q->apart && i < m * k; i++) out[i % k] |= fabs((double)x[i]) >= threshold;
    codes a = encode(x, m, k, q->scales != LT_SCALE_TENSOR, q->zero, out), b = encode(w, n, k, q->scales == LT_SCALE_VECTOR, q->zero, none);
    double *y = calloc((size_t)(m * n), 8);
    for (int64_t r = 0; r < m; r++)
        for (int64_t o = 0; o < n; o++) {
            double qq = 0, qa = 0, qb = 0, kept = 0, apart = 0;
            for (int64_t i = 0; i < k; i++) {
                const double wo = q->exact ? w[o * k + i] : weight_as_coded(&b, k, o, i);
                if (out[i]) {
                    apart += x[r * k + i] * wo;
                    continue;
                }
                assert_true(fabs(a.q[r * k + i]) <= 127 && fabs(b.q[o * k + i]) <= 127);
                qq += a.q[r * k + i] * b.q[o * k + i], qa += a.q[r * k + i], qb += b.q[o * k + i], kept++;
            }
            const double factors = a.factor[r] * b.factor[o], sum = qq + qa * b.zero[o] + qb * a.zero[r] + kept * a.zero[r] * b.zero[o];
            y[r * n + o] = (factors > 0 ? sum / factors : 0) + apart;
        }
    free_codes(&a), free_codes(&b), free(out), free(none);
    return y;
}

static double size_of(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

static void as_defined(void **unused)
{
    lt_ctx *cx = new_context(2);
    int rules;
    const lt_quantizer *q = lt_quantizers(&rules);
    for (int round = 0; round < 30; round++) {
        lt_scope scope = lt_open(cx, NULL);
        const int64_t m = 1 + (int64_t)(uniform() * 20), n = 1 + (int64_t)(uniform() * 20), k = round % 5 ? 2 + (int64_t)(uniform() * 70) : 300;
        lt_tensor *x = gaussian(cx, m, k), *w = gaussian(cx, n, k);
        float *xs = x->data;
        for (int64_t i = 0; i < m * k; i++) xs[i] = xs[i] * 2 + (round % 3 == 0); /* beyond 6 now and then, and not around zero */
        if (m > 3) memset(xs + 2 * k, 0, (size_t)k * sizeof *xs);
        for (int i = 1; i < rules; i++) {
            int64_t columns, want = 0;
            if (q[i].by != LT_BY_RULE) continue;
            const lt_tensor *y = lt_quantized_product(cx, &q[i], 5, x, w, &columns);
            assert_done(cx, y && y->shape[0] == m && y->shape[1] == n);
            double *exact = reference(&q[i], 5, xs, data(w), m, n, k), *wrong = calloc((size_t)(m * n), 8);
            for (int64_t j = 0; j < m * n; j++) wrong[j] = data(y)[j] - exact[j];
            if (size_of(wrong, m * n) > 2e-6 * size_of(exact, m * n)) fail_msg("%s [%d, %d] x [%d, %d]: %g of %g", q[i].is.name, (int)m, (int)k, (int)n, (int)k,
                                                                              size_of(wrong, m * n), size_of(exact, m * n));
            for (int64_t c = 0; q[i].apart && c < k; c++) {
                bool any = false;
                for (int64_t r = 0; r < m; r++) any |= fabsf(xs[r * k + c]) >= 5;
                want += any;
            }
            assert_int_equal(columns, want);
            free(exact), free(wrong);
        }
        lt_end(cx, scope);
    }
    lt_ctx_free(cx);
}

/* ---- errors of the size that is known ---- */

static double error_of(lt_ctx *cx, const char *name, lt_tensor *x, lt_tensor *w)
{
    int64_t columns;
    const lt_tensor *y = lt_quantized_product(cx, rule(name), 6, x, w, &columns), *z = lt_matmul_t(cx, x, w);
    assert_done(cx, y && z);
    double wrong = 0, right = 0;
    for (int64_t i = 0; i < y->shape[0] * y->shape[1]; i++) {
        wrong += pow(data(y)[i] - data(z)[i], 2);
        right += pow(data(z)[i], 2);
    }
    return sqrt(wrong / right);
}

/* Six features of 512 times a factor, their weights divided by it. */
static void as_known(void **unused)
{
    static const struct {
        double factor, absmax, vector, exact, rounded;
    } known[] = {{1, 0.014, 0.010, 0.010, 0.010}, {20, 0.15, 0.079, 0.0104, 0.019}, {60, 0.54, 0.24, 0.0105, 0.049}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        lt_ctx *cx = new_context(2);
        lt_scope scope = lt_open(cx, NULL);
        lt_tensor *x = gaussian(cx, 256, 512), *w = gaussian(cx, 512, 512);
        for (int64_t r = 0; r < 512; r++)
            for (int64_t f = 40; f < 512; f += 80) {
                if (r < 256) ((float *)x->data)[r * 512 + f] *= (float)known[i].factor;
                ((float *)w->data)[r * 512 + f] /= (float)known[i].factor;
            }
        assert_true(fabs(error_of(cx, "absmax", x, w) / known[i].absmax - 1) < 0.2);
        assert_true(fabs(error_of(cx, "absmax-vector", x, w) / known[i].vector - 1) < 0.15);
        assert_true(fabs(error_of(cx, "llm.int8", x, w) / known[i].exact - 1) < 0.1);
        assert_true(fabs(error_of(cx, "llm.int8-rounded", x, w) / known[i].rounded - 1) < 0.15);
        assert_true(error_of(cx, "int8", x, w) < 1.15 * known[i].rounded); /* runs on rounded weights too, and a row's range is not wider */
        assert_true(error_of(cx, "f32", x, w) == 0);
        lt_end(cx, scope);
        lt_ctx_free(cx);
    }
}

/* ---- what holds exactly ---- */

static void thresholds_and_rows(void **unused)
{
    enum { M = 9, N = 14, K = 77 };
    lt_ctx *cx = new_context(1);
    lt_scope scope = lt_open(cx, NULL);
    int64_t columns;
    lt_tensor *x = gaussian(cx, M, K), *w = gaussian(cx, N, K);
    const lt_tensor *plain = lt_quantized_product(cx, rule("absmax-vector"), 6, x, w, &columns), *dense = lt_matmul_t(cx, x, w);
    const lt_tensor *none = lt_quantized_product(cx, rule("llm.int8"), 0, x, w, &columns);
    assert_int_equal(columns, 0);
    assert_memory_equal(none->data, plain->data, M * N * sizeof(float));
    none = lt_quantized_product(cx, rule("llm.int8"), 1e9f, x, w, &columns);
    assert_memory_equal(none->data, plain->data, M * N * sizeof(float));
    const lt_tensor *all = lt_quantized_product(cx, rule("llm.int8"), 1e-9f, x, w, &columns);
    assert_int_equal(columns, K);
    assert_memory_equal(all->data, dense->data, M * N * sizeof(float));
    /* A row times a power of two gives its result times it; rows in another order give theirs. */
    lt_tensor *turned = gaussian(cx, M, K);
    for (int r = 0; r < M; r++)
        for (int i = 0; i < K; i++) ((float *)turned->data)[r * K + i] = data(x)[(M - 1 - r) * K + i] * (r == 3 ? 4 : 1);
    const lt_tensor *y = lt_quantized_product(cx, rule("absmax-vector"), 0, turned, w, &columns);
    for (int r = 0; r < M; r++)
        for (int o = 0; o < N; o++) assert_true(data(y)[r * N + o] == data(plain)[(M - 1 - r) * N + o] * (r == 3 ? 4 : 1));
    /* Zeros, and values that are all the same. */
    int rules;
    const lt_quantizer *q = lt_quantizers(&rules);
    for (int i = 0; i < rules; i++)
        for (int same = 0; same < 2; same++) {
            for (int j = 0; j < M * K; j++) ((float *)x->data)[j] = same ? 3 : 0;
            const lt_tensor *z = lt_quantized_product(cx, &q[i], 6, x, w, &columns), *want = lt_matmul_t(cx, x, w);
            assert_done(cx, z);
            for (int j = 0; j < M * N; j++) assert_true(fabs(data(z)[j] - data(want)[j]) <= (same ? 3 * K * 4.0 / 127 : 0));
        }
    assert_null(lt_quantized_product(cx, rule("absmax"), 6, x, gaussian(cx, 3, 5), &columns));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_USAGE);
    lt_end(cx, scope);
    lt_ctx_free(cx);
}

/* ---- a model ---- */

static void try_all(const fixture *f, int threads, double inject, lt_trial *t)
{
    lt_ctx *cx = new_context(threads);
    lt_scope scope = lt_open(cx, NULL);
    int64_t begin[MAX_INPUTS + 1] = {0};
    for (int i = 0; i < f->n; i++) begin[i + 1] = begin[i] + f->length[i];
    lt_model *m = lt_model_open(cx, f->path, &(lt_model_options){.precision = LT_PRECISION_F32, .unpacked = true});
    assert_done(cx, m);
    lt_tensor *before = forward(cx, m, f, 0, f->n, LT_OUT_HIDDEN, NULL);
    assert_done(cx, lt_try_quantizers(cx, m, f->ids, begin, f->n, &(lt_trial_options){.threshold = 6, .inject = inject, .seed = 5}, t));
    lt_tensor *after = forward(cx, m, f, 0, f->n, LT_OUT_HIDDEN, NULL);
    assert_done(cx, before && after);
    assert_true(same_bits(before, 0, after, 0, before->shape[0]));
    lt_model_close(m);
    lt_end(cx, scope);
    lt_ctx_free(cx);
}

static void models(void **unused)
{
    enum { F32, ABSMAX, VECTOR = 4, LLM = 6 };
    fixture f;
    lt_trial t[3][16];
    lt_ctx *cx = new_context(1);
    read_fixture(cx, &f, "bert-tiny");
    try_all(&f, 1, 0, t[0]);
    try_all(&f, 1, 40, t[1]);
    try_all(&f, 3, 40, t[2]);
    int rules;
    lt_quantizers(&rules);
    for (int i = 0; i < rules; i++) {
        assert_true(t[1][i].error == t[2][i].error && t[1][i].cosine_min == t[2][i].cosine_min && t[1][i].columns == t[2][i].columns);
        assert_true(t[0][i].cosine_min > 0.98 && t[0][i].cosine_min <= t[0][i].cosine_mean && t[0][i].cosine_mean < 1.000001);
        assert_true((t[0][i].error > 1e-4) == (i != F32));
    }
    assert_true(t[0][F32].error == 0 && t[1][F32].error < 1e-6 && t[1][F32].cosine_min > 0.999999);
    assert_true(t[1][ABSMAX].error > 1.5 * t[1][VECTOR].error && t[1][VECTOR].error > 3 * t[1][LLM].error);
    assert_true(t[1][LLM].columns >= 1 && t[1][VECTOR].columns == 0);
    free_fixture(&f);
    lt_ctx_free(cx);
}

static bool is_dense(lt_ctx *cx, const lt_readers *r, void *arg)
{
    for (int i = 0; i < r->n; i++) assert_ptr_equal(r->l[i]->kind, &lt_linear_dense);
    return true;
}

/* Without room for it, a trial ends with an error, and the model is what it was. */
static void no_memory(void **unused)
{
    fixture f;
    lt_trial t[16];
    lt_ctx *cx = new_context(1);
    read_fixture(cx, &f, "bert-tiny");
    const int64_t begin[] = {0, f.length[0]};
    lt_model *m = lt_model_open(cx, f.path, &(lt_model_options){.precision = LT_PRECISION_F32, .no_tokenizer = true, .unpacked = true});
    assert_done(cx, m);
    int refused = 0;
    for (size_t limit = 1 << 12; limit < 1 << 20; limit += limit / 4) {
        lt_ctx *small = lt_ctx_new(&(lt_options){.threads = 1, .memory_limit = limit});
        if (!small) continue;
        const bool done = lt_try_quantizers(small, m, f.ids, begin, 1, &(lt_trial_options){.threshold = 6, .inject = 20}, t);
        assert_int_equal(lt_ctx_status(small), done ? LT_OK : LT_ERR_MEMORY);
        lt_model_readers(cx, m, is_dense, NULL);
        refused += !done;
        lt_ctx_free(small);
    }
    assert_true(refused > 0);
    lt_model_close(m);
    free_fixture(&f);
    lt_ctx_free(cx);
}

static void packed_is_refused(void **unused)
{
    fixture f;
    lt_trial t[16];
    lt_ctx *cx = new_context(1);
    read_fixture(cx, &f, "bert-tiny");
    const int64_t begin[] = {0, f.length[0]}, nothing[] = {0, 0};
    lt_model *m = lt_model_open(cx, f.path, &(lt_model_options){.precision = LT_PRECISION_F32, .no_tokenizer = true});
    assert_done(cx, m);
    assert_false(lt_try_quantizers(cx, m, f.ids, begin, 1, &(lt_trial_options){.threshold = 6}, t));
    assert_non_null(strstr(lt_ctx_error(cx), "unpacked"));
    lt_model_close(m);
    lt_ctx_free(cx);
    cx = new_context(1);
    m = lt_model_open(cx, f.path, &(lt_model_options){.precision = LT_PRECISION_F32, .no_tokenizer = true, .unpacked = true});
    assert_done(cx, m);
    assert_false(lt_try_quantizers(cx, m, f.ids, nothing, 1, &(lt_trial_options){.threshold = 6}, t));
    assert_non_null(strstr(lt_ctx_error(cx), "no tokens"));
    lt_model_close(m);
    free_fixture(&f);
    lt_ctx_free(cx);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_defined), cmocka_unit_test(as_known), cmocka_unit_test(thresholds_and_rows), cmocka_unit_test(models),
                                       cmocka_unit_test(packed_is_refused), cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests_name("quantizer", tests, NULL, NULL);
}
