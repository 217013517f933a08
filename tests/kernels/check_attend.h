/* Attention, against the reference (softmax and sums in double) and against itself. */
#ifndef LATHE_TESTS_CHECK_ATTEND_H
#define LATHE_TESTS_CHECK_ATTEND_H

#include "kernels/check.h"

typedef struct attention { /* buffers of one head and what the kernel is told of them */
    buffer q, k, v, out;
    lt_attend_args args;
} attention;

static attention attention_new(int64_t nq, int64_t nk, int64_t dim, int64_t value_dim)
{
    attention t = {.q = buffer_random(nq, dim, between(0, 9), PLAIN),
                   .k = buffer_random(nk, dim, between(0, 9), PLAIN),
                   .v = buffer_random(nk, value_dim, between(0, 9), PLAIN),
                   .out = buffer_new(nq, value_dim, between(0, 9))};
    t.args = (lt_attend_args){.q = t.q.data,
                              .k = t.k.data,
                              .v = t.v.data,
                              .out = t.out.data,
                              .q_stride = t.q.stride,
                              .k_stride = t.k.stride,
                              .v_stride = t.v.stride,
                              .out_stride = t.out.stride,
                              .nk = nk,
                              .dim = dim,
                              .value_dim = value_dim,
                              .scale = 3.0 / sqrt((double)dim),
                              .nq_total = nq,
                              .head = 3};
    return t;
}

static void attention_free(attention *t) { buffer_free(&t->q), buffer_free(&t->k), buffer_free(&t->v), buffer_free(&t->out); }

/* Rows q0 … in a scratch of exactly the size asked for, into `out`. */
static void attention_run(const lt_kernels *kn, attention *t, int64_t q0, int64_t nq, buffer *out)
{
    size_t bytes = kn->attend_scratch(t->args.nk, t->args.dim, t->args.value_dim);
    float *scratch = aligned_alloc(64, (bytes + 127) / 64 * 64);
    assert_non_null(scratch);
    memset(scratch, 0xff, (bytes + 127) / 64 * 64); /* NaNs: nothing of an earlier use may matter */
    t->args.out = out->data;
    t->args.out_stride = out->stride;
    kn->attend(&t->args, q0, nq, scratch);
    for (const unsigned char *p = (unsigned char *)scratch + bytes, *end = (unsigned char *)scratch + (bytes + 127) / 64 * 64;
         p < end; p++)
        if (*p != 0xff) fail_msg("%s attend: wrote past its scratch (seed %llu)", kn->isa, (unsigned long long)seed);
    free(scratch);
    buffer_check(out, kn, "attend");
}

static float bias_at(int64_t head, int64_t i, int64_t j) { return (float)((head * 7 + i * 3 + j * 5) % 11) * 0.3f - 1.5f; }

static void add_bias(const void *arg, int64_t head, int64_t q0, int64_t nq, int64_t k0, int64_t nk, void *scores, int64_t stride)
{
    const int64_t *hidden = arg; /* keys before it are hidden from even queries; all keys from query hidden[1] */
    for (int64_t i = 0; i < nq; i++)
        for (int64_t j = 0; j < nk; j++) {
            bool hide = (k0 + j < hidden[0] && (q0 + i) % 2 == 0) || q0 + i == hidden[1];
            ((float *)scores)[i * stride + j] += hide ? -INFINITY : bias_at(head, q0 + i, k0 + j);
        }
}

static void attend_round(const lt_kernels *kn, int64_t nq, int64_t nk, int64_t dim, int64_t value_dim)
{
    attention t = attention_new(nq, nk, dim, value_dim);
    buffer got = buffer_new(nq, value_dim, between(0, 9));
    int64_t hidden[2] = {between(0, 8), between(-1, nq)};
    t.args.causal = between(0, 1);
    if (between(0, 1)) t.args.bias = add_bias, t.args.bias_arg = hidden;
    if (between(0, 3) == 0) t.args.scale = -t.args.scale;
    for (int64_t q = 0; q < nq; q += kn->attend_block)
        attention_run(kn, &t, q, nq - q < kn->attend_block ? nq - q : kn->attend_block, &got);
    attention_run(reference(), &t, 0, nq, &t.out);
    /* Scores of at most 10 or so are rounded to 1e-6, which is their exponentials' relative error; values are at most 1. */
    expect_buffers_near(kn, "attend", &got, &t.out, 5e-6, 0);
    attention_free(&t);
    buffer_free(&got);
}

static inline void test_attend(void **unused)
{
    static const int64_t dims[] = {1, 7, 16, 32, 33, 64, 80, 96, 128};
    EACH_TABLE(kn)
    for (int round = 0; round < 150; round++) {
        int64_t nq = between(0, 3) ? odd_size(1, 70) : between(71, 200), nk = between(0, 1) ? nq : odd_size(1, 130);
        int64_t dim = dims[between(0, 8)], value_dim = between(0, 3) ? dim : dims[between(0, 8)];
        attend_round(kn, nq, nk, dim, value_dim);
    }
}

static inline void test_attend_long(void **unused)
{
    static const int64_t lengths[] = {511, 512, 513, 767, 768, 769, 1030};
    EACH_TABLE(kn)
    for (int round = 0; round < 14; round++) attend_round(kn, between(1, 40), lengths[round % 7], round % 2 ? 32 : 40, 24);
}

/* No keys, no visible keys, or scores of nothing but -inf: zeros, even where values are not finite. */
static inline void test_attend_nothing(void **unused)
{
    EACH_TABLE(kn)
    {
        attention t = attention_new(20, 0, 16, 19);
        attention_run(kn, &t, 0, 20, &t.out);
        for (int64_t r = 0; r < 20; r++)
            for (int64_t c = 0; c < 19; c++) expect_same(kn, "attend to nothing", t.out.data[r * t.out.stride + c], 0.0f, r, c);
        attention_free(&t);

        t = attention_new(20, 5, 16, 19);
        t.args.causal = true; /* the first 15 queries stand before all keys */
        attention_run(kn, &t, 0, 20, &t.out);
        for (int64_t r = 0; r < 20; r++)
            for (int64_t c = 0; c < 19; c++)
                if (same(t.out.data[r * t.out.stride + c], 0.0f) != (r < 15))
                    fail_msg("%s attend: row %lld sees %s", kn->isa, (long long)r, r < 15 ? "hidden keys" : "no keys");
        attention_free(&t);

        for (int64_t nk = 1; nk < 1100; nk = nk * 3 + 1) {
            t = attention_new(3, nk, 16, 19);
            const int64_t hidden[2] = {0, 1};
            t.args.bias = add_bias, t.args.bias_arg = hidden;
            buffer_fill(&t.v, EXTREME);
            t.v.data[0] = INFINITY;
            attention_run(kn, &t, 0, 3, &t.out);
            for (int64_t c = 0; c < 19; c++) expect_same(kn, "attend to -inf", t.out.data[t.out.stride + c], 0.0f, 1, c);
            attention_free(&t);
        }
    }
}

/* Blocks of queries may be cut anywhere. */
static inline void test_attend_rows_alone(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 40; round++) {
        int64_t nq = odd_size(2, 130), nk = round % 4 ? odd_size(1, 130) : between(513, 600), dim = between(1, 70);
        attention t = attention_new(nq, nk, dim, between(1, 70));
        const int64_t hidden[2] = {3, 5};
        t.args.causal = between(0, 1);
        if (between(0, 1)) t.args.bias = add_bias, t.args.bias_arg = hidden;
        attention_run(kn, &t, 0, nq, &t.out);
        buffer alone = buffer_new(nq, t.out.cols, 2);
        for (int64_t q = 0, n; q < nq; q += n) {
            n = between(1, nq - q < 15 ? nq - q : 15);
            attention_run(kn, &t, q, n, &alone);
        }
        expect_buffers_same(kn, "attend in parts", &alone, &t.out);
        attention_free(&t);
        buffer_free(&alone);
    }
}

/* A NaN in a query spoils its row; one in a key or a value the rows that see it, and no others. */
static inline void test_attend_nan(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 60; round++) {
        int64_t n = round % 4 ? odd_size(1, 100) : between(513, 700), bad = between(0, n - 1);
        attention t = attention_new(n, n, 16, 20);
        buffer clean = buffer_new(n, 20, 0);
        t.args.causal = true;
        attention_run(kn, &t, 0, n, &clean);
        int where = round % 3;
        buffer *b = where == 0 ? &t.q : where == 1 ? &t.k : &t.v;
        b->data[bad * b->stride + 5] = NAN;
        attention_run(kn, &t, 0, n, &t.out);
        for (int64_t r = 0; r < n; r++)
            for (int64_t c = 0; c < 20; c++) {
                bool spoilt = where == 0 ? r == bad : where == 1 ? r >= bad : r >= bad && c == 5;
                expect_same(kn, "attend with a NaN", t.out.data[r * t.out.stride + c], spoilt ? NAN : clean.data[r * 20 + c], r, c);
            }
        attention_free(&t);
        buffer_free(&clean);
    }
}

/* The f64 reference is the f32 one in double: they agree to float's precision on a chain of everything. */
static inline void test_f64(void **unused)
{
    enum { M = 5, N = 9, K = 13 };
    const lt_kernels *r64 = lt_kernels_f64(), *r32 = reference();
    float a[M * K], w[N * K], p[16 * K], c[M * N];
    double a64[M * K], w64[N * K], p64[16 * K], c64[M * N];
    for (int i = 0; i < M * K; i++) a64[i] = a[i] = uniform();
    for (int i = 0; i < N * K; i++) w64[i] = w[i] = uniform();
    assert_true(lt_packed_bytes(r64, N, K) <= sizeof p64);
    r32->pack(N, K, w, K, 1, p);
    r64->pack(N, K, w64, K, 1, p64);
    lt_gemm_epilogue e = {.act = LT_ACT_GELU};
    r32->gemm(M, N, K, a, K, p, c, N, &e);
    r64->gemm(M, N, K, a64, K, p64, c64, N, &e);
    for (int i = 0; i < M * N; i++) expect_near(r64, "gemm", c[i], (float)c64[i], 1e-6, 1e-6, i / N, i % N);
    r32->layer_norm(M, N, c, NULL, NULL, 1e-5, c);
    r64->layer_norm(M, N, c64, NULL, NULL, 1e-5, c64);
    r32->softmax(M, N, c, c);
    r64->softmax(M, N, c64, c64);
    for (int i = 0; i < M * N; i++) expect_near(r64, "norm, softmax", c[i], (float)c64[i], 1e-5, 1e-5, i / N, i % N);
    for (int i = 0; i < M; i++) {
        double sum = 0;
        for (int j = 0; j < N; j++) sum += c64[i * N + j];
        assert_true(fabs(sum - 1) < 1e-14); /* it is double that is computed in */
    }
}

#endif
