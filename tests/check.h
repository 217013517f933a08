/* What the tests of several rooms share: cmocka with its includes, seeded numbers, and comparisons that say where they failed. */
#ifndef LT_TESTS_CHECK_H
#define LT_TESTS_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lathe/tensor.h"

/* Numbers in [-1, 1) that depend on seed and index alone. */
static inline double check_number(uint32_t seed, int64_t i)
{
    uint32_t out[4], counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), 0, 0}, key[2] = {seed, 7};
    lt_philox(counter, key, out);
    return 2 * (double)lt_uniform(out[0]) - 1;
}

static inline double check_at(const lt_tensor *t, int64_t row, int64_t col)
{
    int64_t i = t->rank == 1 ? col : row * t->stride[0] + col;
    return t->dtype == LT_F64 ? ((double *)t->data)[i] : (double)((float *)t->data)[i];
}

static inline void check_set(lt_tensor *t, int64_t row, int64_t col, double x)
{
    int64_t i = t->rank == 1 ? col : row * t->stride[0] + col;
    if (t->dtype == LT_F64) ((double *)t->data)[i] = x;
    else ((float *)t->data)[i] = (float)x;
}

/* A [rows, cols] tensor of such numbers times `scale`; rows 0: rank 1. */
static inline lt_tensor *check_random(lt_ctx *cx, lt_dtype dtype, int64_t rows, int64_t cols, uint32_t seed, double scale)
{
    lt_tensor *t = rows ? lt_tensor_2d(cx, dtype, rows, cols) : lt_tensor_new(cx, dtype, 1, &cols);
    assert_non_null(t);
    for (int64_t r = 0; r < (rows ? rows : 1); r++)
        for (int64_t c = 0; c < cols; c++) check_set(t, r, c, scale * check_number(seed, r * cols + c));
    return t;
}

static inline double check_distance(const lt_tensor *x, const lt_tensor *y)
{
    double worst = 0;
    assert_int_equal(x->shape[0], y->shape[0]);
    assert_int_equal(x->shape[1], y->shape[1]);
    int64_t rows = x->rank == 1 ? 1 : x->shape[0], cols = x->rank == 1 ? x->shape[0] : x->shape[1];
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            double d = fabs(check_at(x, r, c) - check_at(y, r, c));
            if (!(d <= worst)) worst = d; /* NaN wins */
        }
    return worst;
}

static inline bool check_same_bits(const lt_tensor *x, const lt_tensor *y)
{
    if (x->dtype != y->dtype || memcmp(x->shape, y->shape, sizeof x->shape) != 0) return false;
    size_t row = (size_t)x->shape[x->rank - 1] * lt_dtype_size(x->dtype);
    for (int64_t r = 0; r < (x->rank == 1 ? 1 : x->shape[0]); r++)
        if (memcmp((char *)x->data + (size_t)(r * (x->rank == 1 ? 0 : x->stride[0])) * lt_dtype_size(x->dtype),
                   (char *)y->data + (size_t)(r * (y->rank == 1 ? 0 : y->stride[0])) * lt_dtype_size(x->dtype), row) != 0)
            return false;
    return true;
}

#endif
