/* What every kernel test stands on, in the manner of dav1d's checkasm: hostile numbers from a printed seed, buffers between guards
 * at any alignment, and comparisons that name the table, the operation and the place. */
#ifndef LATHE_TESTS_CHECK_H
#define LATHE_TESTS_CHECK_H

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lathe/kernels.h"

/* ---- random numbers ---------------------------------------------------------------------------------------------- */

static uint64_t seed, state;

static inline uint64_t next_random(void) /* splitmix64 (Steele, Lea & Flood 2014) */
{
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline int64_t between(int64_t lo, int64_t hi) { return lo + (int64_t)(next_random() % (uint64_t)(hi - lo + 1)); }
static inline float uniform(void) { return (float)(int64_t)(next_random() >> 40) * 0x1p-23f - 1.0f; } /* [-1, 1) */

/* Sizes about the borders of tiles and vectors more often than others. */
static inline int64_t odd_size(int64_t lo, int64_t hi)
{
    static const int64_t borders[] = {1,  2,  3,  4,  5,  6,  7,  8,  11, 12, 13, 15, 16,
                                      17, 24, 25, 31, 32, 33, 47, 48, 49, 63, 64, 65, 70};
    int64_t n = between(0, 2) ? borders[between(0, (int64_t)(sizeof borders / sizeof *borders) - 1)] : between(lo, hi);
    return n < lo ? lo : n > hi ? hi : n;
}

/* Seed from LATHE_SEED, else a fixed one; printed, so that a failure can be had again. */
static inline void seed_tests(void)
{
    const char *s = getenv("LATHE_SEED");
    seed = s ? strtoull(s, NULL, 10) : 20240607;
    printf("# LATHE_SEED=%llu\n", (unsigned long long)seed);
}

static inline int reseed(void **unused) /* before each test, so that each can be had alone */
{
    state = seed;
    return 0;
}

typedef enum { PLAIN, ZEROS, DENORMAL, LARGE, EXTREME, SPECIAL, DATA_KINDS } data_kind;

static inline float draw(data_kind kind)
{
    static const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, FLT_MAX, -FLT_MAX, FLT_MIN, 1e-45f, -1e-45f};
    switch (kind) {
    case ZEROS:
        return between(0, 1) ? 0.0f : -0.0f;
    case DENORMAL:
        return uniform() * FLT_MIN;
    case LARGE:
        return uniform() * 1e15f;
    case EXTREME:
        return between(0, 1) ? FLT_MAX : -FLT_MAX;
    case SPECIAL:
        return between(0, 15) ? uniform() * 4.0f : special[between(0, 9)];
    default:
        return uniform();
    }
}

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

enum { GUARD = 64 };
#define UNTOUCHED 0x7fa5a5a5u /* a NaN: whoever reads it shows it */

typedef struct buffer {
    float *data; /* rows × cols, rows `stride` apart, at a random alignment */
    int64_t rows, cols, stride;
    float *block;
    int64_t size;
} buffer;

static inline uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline void buffer_wipe(buffer *b)
{
    const uint32_t u = UNTOUCHED;
    for (int64_t i = 0; i < b->size; i++) memcpy(b->block + i, &u, sizeof u);
}

static inline buffer buffer_new(int64_t rows, int64_t cols, int64_t gap)
{
    buffer b = {.rows = rows, .cols = cols, .stride = cols + gap};
    b.size = rows * b.stride + 2 * GUARD;
    b.block = malloc((size_t)b.size * sizeof(float));
    assert_non_null(b.block);
    b.data = b.block + GUARD - between(0, 15);
    buffer_wipe(&b);
    return b;
}

static inline void buffer_fill(buffer *b, data_kind kind)
{
    for (int64_t r = 0; r < b->rows; r++)
        for (int64_t c = 0; c < b->cols; c++) b->data[r * b->stride + c] = draw(kind);
}

static inline buffer buffer_random(int64_t rows, int64_t cols, int64_t gap, data_kind kind)
{
    buffer b = buffer_new(rows, cols, gap);
    buffer_fill(&b, kind);
    return b;
}

/* Nothing outside the rows and columns was written. */
static inline void buffer_check(const buffer *b, const lt_kernels *kn, const char *op)
{
    for (int64_t i = 0; i < b->size; i++) {
        int64_t at = b->block + i - b->data;
        bool inside = at >= 0 && at < b->rows * b->stride && at % b->stride < b->cols;
        if (!inside && bits_of(b->block[i]) != UNTOUCHED)
            fail_msg("%s %s: wrote outside [%lld, %lld] at element %lld (seed %llu)", kn->isa, op, (long long)b->rows,
                     (long long)b->cols, (long long)at, (unsigned long long)seed);
    }
}

static inline void buffer_free(buffer *b) { free(b->block); }

/* ---- comparisons ------------------------------------------------------------------------------------------------- */

/* Equal bits; NaNs are all alike, for their payload is the machine's choice. */
static inline bool same(float x, float y) { return bits_of(x) == bits_of(y) || (isnan(x) && isnan(y)); }

static inline bool near(float x, float y, double absolute, double relative)
{
    if (same(x, y) || x == y) return true;
    if (isnan(x) || isnan(y) || isinf(x) || isinf(y)) return false;
    return fabs((double)x - (double)y) <= absolute + relative * fabs((double)y);
}

static inline void expect_same(const lt_kernels *kn, const char *op, float got, float want, int64_t r, int64_t c)
{
    if (!same(got, want))
        fail_msg("%s %s: at [%lld, %lld] %.9g (%08x), expected %.9g (%08x) (seed %llu)", kn->isa, op, (long long)r, (long long)c,
                 (double)got, bits_of(got), (double)want, bits_of(want), (unsigned long long)seed);
}

static inline void expect_near(const lt_kernels *kn, const char *op, float got, float want, double absolute, double relative,
                               int64_t r, int64_t c)
{
    if (!near(got, want, absolute, relative))
        fail_msg("%s %s: at [%lld, %lld] %.9g, expected %.9g within %g + %g relative (seed %llu)", kn->isa, op, (long long)r,
                 (long long)c, (double)got, (double)want, absolute, relative, (unsigned long long)seed);
}

static inline void expect_buffers_same(const lt_kernels *kn, const char *op, const buffer *got, const buffer *want)
{
    for (int64_t r = 0; r < got->rows; r++)
        for (int64_t c = 0; c < got->cols; c++)
            expect_same(kn, op, got->data[r * got->stride + c], want->data[r * want->stride + c], r, c);
}

static inline void expect_buffers_near(const lt_kernels *kn, const char *op, const buffer *got, const buffer *want, double absolute,
                                       double relative)
{
    for (int64_t r = 0; r < got->rows; r++)
        for (int64_t c = 0; c < got->cols; c++)
            expect_near(kn, op, got->data[r * got->stride + c], want->data[r * want->stride + c], absolute, relative, r, c);
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

#define EACH_TABLE(kn)                                                                                                             \
    const lt_kernels *kn = lt_kernels_at(0);                                                                                       \
    for (int table_ = 0; (kn = lt_kernels_at(table_)) != NULL; table_++)

static inline const lt_kernels *reference(void) { return lt_kernels_at(0); }

/* x86-64 without FMA rounds products too; every other table promises the reference's bits. */
static inline bool fuses(const lt_kernels *kn)
{
#if defined(__x86_64__)
    return strcmp(kn->isa, "base") != 0;
#else
    return true;
#endif
}

#endif
