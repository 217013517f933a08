/* How exact the vectorised functions are: every table's activations over a stride of all 2^32 floats and densely where they bend,
 * against double precision. The limits are those that src/kernels/cpu/act.h states; `-v` prints what was measured. */
#include "kernels/check.h"

enum { STRIDE = 8191, DENSE = 200000 }; /* an odd stride visits all exponents and, over them, all low bits */

static bool verbose;

static double sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }

static double exactly(lt_act act, double x)
{
    switch (act) {
    case LT_ACT_RELU:
        return x < 0 ? 0 : x;
    case LT_ACT_GELU:
        return x * 0.5 * erfc(-x * 0.70710678118654752440);
    case LT_ACT_GELU_TANH:
        return x * sigmoid(2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x));
    case LT_ACT_QUICK_GELU:
        return x * sigmoid(1.702 * x);
    case LT_ACT_SILU:
        return x * sigmoid(x);
    case LT_ACT_MISH:
        return x * tanh(x > 40 ? x : log1p(exp(x)));
    case LT_ACT_TANH:
        return tanh(x);
    case LT_ACT_SIGMOID:
        return sigmoid(x);
    case LT_ACT_RELU2:
        return x < 0 ? 0 : x * x;
    default:
        return x;
    }
}

/* The distance to the next float at |x|; that of the smallest normal numbers below them. */
static double ulp(double x)
{
    int e;
    frexp(x, &e);
    return ldexp(1, (e < -125 ? -125 : e) - 24);
}

/* In ulp of the result, where it is not minute (x e^x near the end of the range inherits a subnormal e^x); and, for
 * what is a product of a rounded sigmoid or a tail cut off, in units of 1e-7 max(1, |x|); a correctly rounded float
 * has 0.6 of these. */
static const struct {
    lt_act act;
    const char *name;
    double ulps, absolute; /* 0: not promised; both 0: exact */
} promise[] = {
    {LT_ACT_NONE, "none", 0, 0},
    {LT_ACT_RELU, "relu", 0, 0},
    {LT_ACT_GELU, "gelu", 0, 1.1},
    {LT_ACT_GELU_TANH, "gelu_tanh", 0, 1.5},
    {LT_ACT_QUICK_GELU, "quick_gelu", 0, 1.5},
    {LT_ACT_SILU, "silu", 4, 1.5},
    {LT_ACT_MISH, "mish", 6, 1.5},
    {LT_ACT_TANH, "tanh", 3, 1.2},
    {LT_ACT_SIGMOID, "sigmoid", 3, 1},
    {LT_ACT_RELU2, "relu2", 0.5, 0},
};
enum { PROMISES = sizeof promise / sizeof *promise };

static float point(int64_t i, int64_t strided)
{
    uint32_t u = (uint32_t)(i * STRIDE);
    float x;
    memcpy(&x, &u, sizeof x);
    return i < strided ? x : ((float)(i - strided) / DENSE - 0.5f) * 24.0f;
}

static void measure(const lt_kernels *kn, int p, int64_t n, const float *x, const double *want, const float *y)
{
    double ulps = 0, absolute = 0;
    float ulps_at = 0, absolute_at = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(want[i]) || fabs(want[i]) > FLT_MAX) {
            if (!same(y[i], (float)want[i])) fail_msg("%s %s(%.9g) is %.9g", kn->isa, promise[p].name, (double)x[i], (double)y[i]);
            continue;
        }
        double e = fabs((double)y[i] - want[i]), u = e / ulp(want[i]), a = e / (1e-7 * fmax(1, fabs((double)x[i])));
        if (!(u <= ulps) && fabs(want[i]) > 1e-30) ulps = u, ulps_at = x[i];
        if (!(a <= absolute)) absolute = a, absolute_at = x[i];
    }
    if (verbose)
        printf("# %-7s %-10s %8.2f ulp at %-14.8g %6.3f e-7 max(1, |x|) at %.8g\n", kn->isa, promise[p].name, ulps, (double)ulps_at,
               absolute, (double)absolute_at);
    if (promise[p].ulps > 0 && !(ulps <= promise[p].ulps))
        fail_msg("%s %s(%.9g): %g ulp, promised %g", kn->isa, promise[p].name, (double)ulps_at, ulps, promise[p].ulps);
    if (promise[p].absolute > 0 && !(absolute <= promise[p].absolute))
        fail_msg("%s %s(%.9g): %g e-7, promised %g", kn->isa, promise[p].name, (double)absolute_at, absolute, promise[p].absolute);
    if (promise[p].ulps == 0 && promise[p].absolute == 0 && ulps > 0) fail_msg("%s %s is not exact", kn->isa, promise[p].name);
}

static void test_accuracy(void **unused)
{
    const int64_t strided = (int64_t)1 + 0xffffffff / STRIDE, n = strided + DENSE + 1;
    float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y);
    double *want = malloc((size_t)n * sizeof *want);
    assert_true(x && y && want);
    for (int64_t i = 0; i < n; i++) x[i] = point(i, strided);
    for (int p = 0; p < PROMISES; p++) {
        for (int64_t i = 0; i < n; i++) want[i] = exactly(promise[p].act, (double)x[i]);
        EACH_TABLE(kn)
        {
            kn->act(promise[p].act, n, x, y);
            measure(kn, p, n, x, want, y);
        }
    }
    free(x), free(y), free(want);
}

/* exp itself, by way of a softmax over two scores 0 and x <= 0: e^x / (1 + e^x). y = x log2 e is rounded once, as log2 e is,
 * before 2^y; sum and quotient are rounded too: 5 + 1.3 |x| ulp. */
static void test_exp(void **unused)
{
    EACH_TABLE(kn)
    {
        double worst = 0, at = 0;
        for (int64_t i = 0; i < 400000; i++) {
            const float x = -(float)i * 87.0f / 400000;
            float pair[2] = {0.0f, x};
            kn->softmax(1, 2, pair, pair);
            const double want = exp((double)x) / (1 + exp((double)x)),
                         e = fabs((double)pair[1] - want) / ulp(want) / (5 - 1.3 * (double)x);
            if (e > worst) worst = e, at = (double)x;
        }
        if (verbose) printf("# %-7s softmax: %.2f (5 + 1.3 |x|) ulp at %g\n", kn->isa, worst, at);
        if (worst > 1) fail_msg("%s softmax: at %.9g %g times the promised error", kn->isa, at, worst);
    }
}

int main(int argc, char **argv)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_accuracy), cmocka_unit_test(test_exp)};
    return cmocka_run_group_tests_name("activations", tests, NULL, NULL);
}
