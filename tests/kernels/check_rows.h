/* Activations, elementwise operations, norms, softmax, and folds over columns. */
#ifndef LATHE_TESTS_CHECK_ROWS_H
#define LATHE_TESTS_CHECK_ROWS_H

#include "kernels/check.h"

/* Tolerances are test_activations' figures, taken together; what is checked here is tails, alignment, place and NaN. */
static void test_act(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 300; round++) {
        int64_t n = odd_size(0, 100);
        lt_act act = (lt_act)(round % LT_ACT_COUNT);
        data_kind kind = (data_kind)between(0, DATA_KINDS - 1);
        buffer x = buffer_random(1, n, 0, kind), got = buffer_new(1, n, 0), want = buffer_new(1, n, 0);
        for (int64_t i = 0; i < n && kind == PLAIN; i++) x.data[i] *= 8.0f;
        kn->act(act, n, x.data, got.data);
        buffer_check(&got, kn, "act");
        reference()->act(act, n, x.data, want.data);
        for (int64_t i = 0; i < n; i++) {
            double size = fabs((double)x.data[i]);
            expect_near(kn, "act", got.data[i], want.data[i], 1.2e-7 * (size > 1 && size < 100 ? size : 1), 1e-6, act, i);
            float alone;
            kn->act(act, 1, x.data + i, &alone);
            expect_same(kn, "act alone", alone, got.data[i], act, i);
        }
        kn->act(act, n, x.data, x.data);
        expect_buffers_same(kn, "act in place", &x, &got);
        buffer_free(&x), buffer_free(&got), buffer_free(&want);
    }
}

/* Infinities and NaN: what the formula gives, as PyTorch has it. */
static void test_act_ends(void **unused)
{
    static const struct {
        lt_act act;
        float at_minus, at_plus;
    } ends[] = {
        {LT_ACT_NONE, -INFINITY, INFINITY}, {LT_ACT_RELU, 0, INFINITY},   {LT_ACT_GELU, NAN, INFINITY},
        {LT_ACT_GELU_TANH, NAN, INFINITY},  {LT_ACT_SILU, NAN, INFINITY}, {LT_ACT_QUICK_GELU, NAN, INFINITY},
        {LT_ACT_MISH, NAN, INFINITY},       {LT_ACT_TANH, -1, 1},         {LT_ACT_SIGMOID, 0, 1},
        {LT_ACT_RELU2, 0, INFINITY},
    };
    EACH_TABLE(kn)
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        float x[3] = {-INFINITY, INFINITY, NAN};
        kn->act(ends[i].act, 3, x, x);
        expect_same(kn, "act at -inf", x[0], ends[i].at_minus, ends[i].act, 0);
        expect_same(kn, "act at inf", x[1], ends[i].at_plus, ends[i].act, 0);
        expect_same(kn, "act at NaN", x[2], NAN, ends[i].act, 0);
    }
}

/* One rounding each: the same bits everywhere. */
static void test_elementwise(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 300; round++) {
        int64_t rows = odd_size(0, 5), cols = odd_size(0, 70), n = rows * cols;
        data_kind kind = (data_kind)between(0, DATA_KINDS - 1);
        buffer x = buffer_random(1, n, 0, kind), z = buffer_random(1, n > cols ? n : cols, 0, kind), y = buffer_new(1, n, 0);
        const double by = uniform();
        for (int op = 0; op < 4; op++) {
            const char *name = (const char *[]){"add", "mul", "scale", "add_row"}[op];
            if (op == 0) kn->add(n, x.data, z.data, y.data);
            if (op == 1) kn->mul(n, x.data, z.data, y.data);
            if (op == 2) kn->scale(n, by, x.data, y.data);
            if (op == 3) kn->add_row(rows, cols, x.data, z.data, y.data);
            buffer_check(&y, kn, name);
            for (int64_t i = 0; i < n; i++) {
                float a = x.data[i], b = op == 3 ? z.data[i % cols] : z.data[i];
                expect_same(kn, name, y.data[i], op == 1 ? a * b : op == 2 ? a * (float)by : a + b, op, i);
            }
        }
        kn->add(n, x.data, z.data, y.data);
        kn->add(n, x.data, z.data, x.data);
        expect_buffers_same(kn, "add in place", &x, &y);
        buffer_free(&x), buffer_free(&z), buffer_free(&y);
    }
}

typedef enum { LAYER_NORM, RMS_NORM, L2, SOFTMAX, ROW_OPS } row_op;
static const char *const row_op_name[] = {"layer_norm", "rms_norm", "l2_normalize", "softmax"};

static void run_rows(const lt_kernels *kn, row_op op, int64_t rows, int64_t cols, const float *x, const float *gamma,
                     const float *beta, float *y)
{
    if (op == LAYER_NORM) kn->layer_norm(rows, cols, x, gamma, beta, 1e-5, y);
    if (op == RMS_NORM) kn->rms_norm(rows, cols, x, gamma, 1e-6, y);
    if (op == L2) kn->l2_normalize(rows, cols, x, 1e-12, y);
    if (op == SOFTMAX) kn->softmax(rows, cols, x, y);
}

/* Sums of at most 400 terms in float over LT_LANES × 4 chains: relative error some ulp; the mean's error, not the row's, is what
 * layer_norm divides by the deviation, which data in [-1, 1] keeps near 0.6 but rows of two or three elements may make small. */
static void test_norms(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 400; round++) {
        int64_t rows = odd_size(0, 5), cols = between(0, 3) ? odd_size(1, 70) : between(71, 400);
        row_op op = (row_op)(round % 3);
        data_kind kind = (data_kind[]){PLAIN, ZEROS, LARGE, DENORMAL}[between(0, 3)];
        if (kind == DENORMAL && op != LAYER_NORM) kind = PLAIN; /* squares of denormals are zero in float, not in double */
        buffer x = buffer_random(1, rows * cols, 0, kind), g = buffer_random(1, cols, 0, PLAIN),
               b = buffer_random(1, cols, 0, PLAIN);
        buffer got = buffer_new(1, rows * cols, 0), want = buffer_new(1, rows * cols, 0);
        const float *gamma = between(0, 2) ? g.data : NULL, *beta = between(0, 2) ? b.data : NULL;
        run_rows(kn, op, rows, cols, x.data, gamma, beta, got.data);
        buffer_check(&got, kn, row_op_name[op]);
        run_rows(reference(), op, rows, cols, x.data, gamma, beta, want.data);
        expect_buffers_near(kn, row_op_name[op], &got, &want, op == LAYER_NORM ? (cols < 4 ? 1e-2 : 1e-5) : 1e-6, 1e-6);
        run_rows(kn, op, rows, cols, x.data, gamma, beta, x.data);
        expect_buffers_same(kn, "norm in place", &x, &got);
        buffer_free(&x), buffer_free(&g), buffer_free(&b), buffer_free(&got), buffer_free(&want);
    }
}

/* The tolerance is test_activations': 5 + 1.3 |x - max| ulp, and x - max was itself rounded; |x - max| < 88 where anything is left. */
static void test_softmax(void **unused)
{
    EACH_TABLE(kn)
    {
        for (int round = 0; round < 400; round++) {
            int64_t rows = odd_size(0, 5), cols = between(0, 3) ? odd_size(0, 70) : between(71, 400);
            data_kind kind = (data_kind)between(0, DATA_KINDS - 1);
            buffer x = buffer_random(1, rows * cols, 0, kind), got = buffer_new(1, rows * cols, 0),
                   want = buffer_new(1, rows * cols, 0);
            for (int64_t i = 0; i < rows * cols && kind == PLAIN; i++) x.data[i] *= 50.0f;
            kn->softmax(rows, cols, x.data, got.data);
            buffer_check(&got, kn, "softmax");
            reference()->softmax(rows, cols, x.data, want.data);
            expect_buffers_near(kn, "softmax", &got, &want, 1e-37, 2e-5);
            kn->softmax(rows, cols, x.data, x.data);
            expect_buffers_same(kn, "softmax in place", &x, &got);
            buffer_free(&x), buffer_free(&got), buffer_free(&want);
        }
        for (int64_t n = 1; n < 70; n++) {
            float x[70];
            for (int64_t i = 0; i < n; i++) x[i] = -INFINITY;
            kn->softmax(1, n, x, x);
            for (int64_t i = 0; i < n; i++) expect_same(kn, "softmax of -inf", x[i], 0.0f, n, i);
            for (int64_t i = 0; i < n; i++) x[i] = -INFINITY;
            x[between(0, n - 1)] = NAN;
            kn->softmax(1, n, x, x);
            for (int64_t i = 0; i < n; i++) expect_same(kn, "softmax of NaN", x[i], NAN, n, i);
        }
    }
}

/* A row's bits come from the row alone: not from its neighbours, not from its alignment. */
static void test_rows_alone(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 200; round++) {
        int64_t rows = odd_size(1, 9), cols = between(0, 3) ? odd_size(1, 70) : between(71, 400);
        row_op op = (row_op)(round % ROW_OPS);
        buffer x = buffer_random(1, rows * cols, 0, between(0, 3) ? PLAIN : SPECIAL), gamma = buffer_random(1, cols, 0, PLAIN);
        buffer all = buffer_new(1, rows * cols, 0), in = buffer_new(1, cols, 0), alone = buffer_new(1, cols, 0);
        run_rows(kn, op, rows, cols, x.data, gamma.data, NULL, all.data);
        for (int64_t r = 0; r < rows; r++) {
            memcpy(in.data, x.data + r * cols, (size_t)cols * sizeof(float));
            run_rows(kn, op, 1, cols, in.data, gamma.data, NULL, alone.data);
            bool nan = false;
            for (int64_t c = 0; c < cols; c++) nan = nan || isnan(in.data[c]);
            for (int64_t c = 0; c < cols; c++) {
                expect_same(kn, row_op_name[op], alone.data[c], all.data[r * cols + c], r, c);
                if (nan) expect_same(kn, "NaN in a row", alone.data[c], NAN, r, c);
            }
        }
        buffer_free(&x), buffer_free(&gamma), buffer_free(&all), buffer_free(&in), buffer_free(&alone);
    }
}

static void test_columns(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 300; round++) {
        int64_t rows = odd_size(1, 40), cols = odd_size(1, 150);
        data_kind kind = (data_kind)between(0, DATA_KINDS - 1);
        buffer x = buffer_random(rows, cols, between(0, 9), kind), got = buffer_new(1, cols, 0);
        kn->col_sum(rows, cols, x.data, x.stride, got.data);
        buffer_check(&got, kn, "col_sum");
        for (int64_t c = 0; c < cols; c++) {
            float s = x.data[c];
            for (int64_t r = 1; r < rows; r++) s += x.data[r * x.stride + c];
            expect_same(kn, "col_sum", got.data[c], s, rows, c);
        }
        kn->col_max(rows, cols, x.data, x.stride, got.data);
        buffer_check(&got, kn, "col_max");
        for (int64_t c = 0; c < cols; c++) {
            float m = x.data[c];
            for (int64_t r = 1; r < rows; r++) {
                float v = x.data[r * x.stride + c];
                if (isnan(v) || v > m) m = isnan(m) ? m : v;
            }
            expect_same(kn, "col_max", got.data[c], m, rows, c);
        }
        buffer_free(&x), buffer_free(&got);
    }
}

#endif
