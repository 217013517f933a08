/* Packing and products. */
#ifndef LATHE_TESTS_CHECK_GEMM_H
#define LATHE_TESTS_CHECK_GEMM_H

#include "kernels/check.h"

static buffer packed_new(const lt_kernels *kn, int64_t n, int64_t k, const float *b, int64_t stride_n, int64_t stride_k)
{
    buffer p = buffer_new(1, lt_panels(kn, n) * kn->nr * k, 0);
    kn->pack(n, k, b, stride_n, stride_k, p.data);
    buffer_check(&p, kn, "pack");
    return p;
}

/* The layout is public: panel, then k, then column. */
static void test_pack(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 300; round++) {
        int64_t n = odd_size(1, 90), k = odd_size(1, 70), gap = between(0, 5), step = between(1, 3);
        bool by_rows = between(0, 1); /* b[n][k], else b[k][n] */
        buffer b = buffer_random(by_rows ? n : k, (by_rows ? k : n) * step, gap, SPECIAL);
        int64_t stride_n = by_rows ? b.stride : step, stride_k = by_rows ? step : b.stride;
        buffer p = packed_new(kn, n, k, b.data, stride_n, stride_k), row = buffer_new(1, k, 0);
        assert_int_equal(lt_packed_bytes(kn, n, k), (size_t)p.cols * sizeof(float));
        for (int64_t i = 0; i < p.cols; i++) {
            int64_t j = i / (kn->nr * k) * kn->nr + i % kn->nr, l = i / kn->nr % k;
            expect_same(kn, "pack", p.data[i], j < n ? b.data[j * stride_n + l * stride_k] : 0.0f, j, l);
        }
        int64_t j = between(0, n - 1);
        kn->unpack_row(k, p.data, j, row.data);
        buffer_check(&row, kn, "unpack_row");
        for (int64_t l = 0; l < k; l++) expect_same(kn, "unpack_row", row.data[l], b.data[j * stride_n + l * stride_k], j, l);
        buffer_free(&b), buffer_free(&p), buffer_free(&row);
    }
}

static void product(const lt_kernels *kn, const buffer *a, const buffer *w, buffer *c, const lt_gemm_epilogue *e)
{
    buffer p = packed_new(kn, w->rows, w->cols, w->data, w->stride, 1);
    kn->gemm(a->rows, w->rows, a->cols, a->data, a->stride, p.data, c->data, c->stride, e);
    buffer_check(c, kn, "gemm");
    buffer_free(&p);
}

/* Without FMA each of k steps rounds twice, by half an ulp of a partial sum that |a|·|w| bounds. */
static void expect_product_near(const lt_kernels *kn, const buffer *a, const buffer *w, const buffer *got, const buffer *want)
{
    for (int64_t r = 0; r < got->rows; r++)
        for (int64_t c = 0; c < got->cols; c++) {
            double sum = 0;
            for (int64_t l = 0; l < a->cols; l++) sum += fabs((double)a->data[r * a->stride + l] * w->data[c * w->stride + l]);
            if (!isfinite(sum) || sum > 1e37) continue;
            double bound = 2.0 * (double)a->cols * (FLT_EPSILON * sum + 1e-45);
            expect_near(kn, "gemm", got->data[r * got->stride + c], want->data[r * want->stride + c], bound, 0, r, c);
        }
}

static void test_gemm_product(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 500; round++) {
        int64_t m = odd_size(0, 40), n = odd_size(1, 140), k = between(0, 20) ? odd_size(1, 400) : 0;
        data_kind kind = (data_kind)between(0, DATA_KINDS - 1);
        buffer a = buffer_random(m, k, between(0, 9), kind), w = buffer_random(n, k, between(0, 9), kind);
        buffer got = buffer_new(m, n, between(0, 9)), want = buffer_new(m, n, 0);
        product(kn, &a, &w, &got, NULL);
        product(reference(), &a, &w, &want, NULL);
        if (fuses(kn))
            expect_buffers_same(kn, "gemm", &got, &want);
        else
            expect_product_near(kn, &a, &w, &got, &want);
        buffer_free(&a), buffer_free(&w), buffer_free(&got), buffer_free(&want);
    }
}

/* Bias, activation, residual are the bare product followed by the table's own kernels, bit for bit. */
static void test_gemm_epilogue(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 500; round++) {
        int64_t m = odd_size(1, 40), n = odd_size(1, 140), k = odd_size(1, 300);
        data_kind kind = between(0, 3) ? PLAIN : SPECIAL;
        buffer a = buffer_random(m, k, between(0, 9), kind), w = buffer_random(n, k, 0, PLAIN);
        buffer bias = buffer_random(1, n, 0, kind), residual = buffer_random(m, n, between(0, 9), kind);
        buffer got = buffer_new(m, n, between(0, 9)), want = buffer_new(m, n, 0);
        bool in_place = between(0, 1), has_bias = between(0, 1), has_residual = between(0, 1);
        lt_gemm_epilogue e = {.act = (lt_act)between(0, LT_ACT_COUNT - 1)};
        if (has_bias) e.bias = bias.data;
        if (has_residual) e.residual = residual.data, e.residual_stride = residual.stride;
        if (has_residual && in_place) {
            for (int64_t r = 0; r < m; r++)
                memcpy(got.data + r * got.stride, residual.data + r * residual.stride, (size_t)n * sizeof(float));
            e.residual = got.data, e.residual_stride = got.stride;
        }
        product(kn, &a, &w, &got, &e);
        product(kn, &a, &w, &want, NULL);
        for (int64_t r = 0; r < m; r++) {
            float *y = want.data + r * want.stride;
            if (has_bias) kn->add(n, y, bias.data, y);
            kn->act(e.act, n, y, y);
            if (has_residual) kn->add(n, y, residual.data + r * residual.stride, y);
        }
        expect_buffers_same(kn, "gemm epilogue", &got, &want);
        buffer_free(&a), buffer_free(&w), buffer_free(&bias), buffer_free(&residual), buffer_free(&got), buffer_free(&want);
    }
}

/* Any rows, from any panel on, give the bits that the whole gives: work may be cut anywhere. */
static void test_gemm_rows_alone(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 100; round++) {
        int64_t m = odd_size(2, 60), n = odd_size(kn->nr + 1, 200), k = odd_size(1, 200);
        buffer a = buffer_random(m, k, 3, PLAIN), w = buffer_random(n, k, 0, PLAIN), bias = buffer_random(1, n, 0, PLAIN);
        buffer whole = buffer_new(m, n, 0), p = packed_new(kn, n, k, w.data, w.stride, 1);
        lt_gemm_epilogue e = {.bias = bias.data, .act = (lt_act)between(0, LT_ACT_COUNT - 1)};
        kn->gemm(m, n, k, a.data, a.stride, p.data, whole.data, whole.stride, &e);
        for (int part = 0; part < 4; part++) {
            int64_t r = between(0, m - 1), rows = between(1, m - r), panel = between(0, (n - 1) / kn->nr), j = panel * kn->nr;
            int64_t cols = between(1, n - j);
            buffer some = buffer_new(rows, cols, 1);
            e.bias = bias.data + j;
            kn->gemm(rows, cols, k, a.data + r * a.stride, a.stride, p.data + j * k, some.data, some.stride, &e);
            buffer_check(&some, kn, "gemm of a part");
            for (int64_t i = 0; i < rows; i++)
                for (int64_t c = 0; c < cols; c++)
                    expect_same(kn, "gemm of a part", some.data[i * some.stride + c], whole.data[(r + i) * whole.stride + j + c],
                                r + i, j + c);
            buffer_free(&some);
        }
        buffer_free(&a), buffer_free(&w), buffer_free(&bias), buffer_free(&whole), buffer_free(&p);
    }
}

/* Depths at which a panel, and the rows, no longer fit the caches. */
static void test_gemm_deep(void **unused)
{
    EACH_TABLE(kn)
    {
        const int64_t m = 26, n = 100, k = 5003;
        buffer a = buffer_random(m, k, 1, PLAIN), w = buffer_random(n, k, 0, PLAIN);
        buffer got = buffer_new(m, n, 0), want = buffer_new(m, n, 0);
        product(kn, &a, &w, &got, NULL);
        product(reference(), &a, &w, &want, NULL);
        if (fuses(kn))
            expect_buffers_same(kn, "deep gemm", &got, &want);
        else
            expect_product_near(kn, &a, &w, &got, &want);
        buffer_free(&a), buffer_free(&w), buffer_free(&got), buffer_free(&want);
    }
}

#endif
