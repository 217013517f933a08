/* One small vector type, of whatever width the instruction set has: everything in this folder is written over it once.
 * Arithmetic is GCC/Clang vector extensions (+ - * / << >> & | ~ and comparisons work as they stand); the few functions here
 * are what the language cannot say. LT_LANES floats in a vector, LT_VREGS vector registers. */
#ifndef LATHE_KERNELS_VEC_H
#define LATHE_KERNELS_VEC_H

#include <float.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define LT_LANES 16
#define LT_VREGS 32
#elif defined(__AVX2__) && defined(__FMA__)
#define LT_LANES 8
#define LT_VREGS 16
#elif defined(__aarch64__)
#define LT_LANES 4
#define LT_VREGS 32
#else
#define LT_LANES 4
#define LT_VREGS 16
#endif

#define LT_INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define LT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LT_UNROLL _Pragma("GCC unroll 32")
#endif

typedef float vf __attribute__((vector_size(4 * LT_LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LT_LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LT_LANES)));
typedef float vf_mem __attribute__((vector_size(4 * LT_LANES), aligned(4), may_alias)); /* a vector at any float's address */

LT_INLINE vf v_load(const float *p) { return *(const vf_mem *)p; }
LT_INLINE void v_store(float *p, vf x) { *(vf_mem *)p = x; }
LT_INLINE vf v_set(float x) { return x - (vf){0}; } /* minus zero keeps the sign of -0, plus zero would not */

/* The first n < LT_LANES elements at p, the other lanes `fill`; touches no other memory. */
LT_INLINE vf v_load_n(const float *p, int64_t n, vf fill)
{
#if defined(__AVX512F__)
    return (vf)_mm512_mask_loadu_ps((__m512)fill, (__mmask16)((1u << n) - 1), p);
#else
    float t[LT_LANES] __attribute__((aligned(4 * LT_LANES)));
    memcpy(t, &fill, sizeof t);
    for (int64_t i = 0; i < n; i++) t[i] = p[i];
    return v_load(t);
#endif
}

LT_INLINE void v_store_n(float *p, int64_t n, vf x)
{
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
#else
    float t[LT_LANES] __attribute__((aligned(4 * LT_LANES)));
    v_store(t, x);
    for (int64_t i = 0; i < n; i++) p[i] = t[i];
#endif
}

/* a * b + c: one rounding where the machine has it, two on x86 without FMA. */
LT_INLINE vf v_fma(vf a, vf b, vf c)
{
#if defined(__AVX512F__)
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif LT_LANES == 8
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

LT_INLINE vf v_select(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }

/* The larger and the smaller. Where x is NaN the result is NaN: bounds go first, data second. */
LT_INLINE vf v_max(vf bound, vf x)
{
#if defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)bound, (__m512)x);
#elif LT_LANES == 8
    return (vf)_mm256_max_ps((__m256)bound, (__m256)x);
#elif defined(__aarch64__)
    return (vf)vmaxq_f32((float32x4_t)bound, (float32x4_t)x);
#else
    return v_select(bound > x, bound, x);
#endif
}

LT_INLINE vf v_min(vf bound, vf x)
{
#if defined(__AVX512F__)
    return (vf)_mm512_min_ps((__m512)bound, (__m512)x);
#elif LT_LANES == 8
    return (vf)_mm256_min_ps((__m256)bound, (__m256)x);
#elif defined(__aarch64__)
    return (vf)vminq_f32((float32x4_t)bound, (float32x4_t)x);
#else
    return v_select(bound < x, bound, x);
#endif
}

LT_INLINE vf v_abs(vf x) { return (vf)((vi)x & 0x7fffffff); }
LT_INLINE vf v_copysign(vf x, vf sign) { return (vf)(((vi)x & 0x7fffffff) | ((vi)sign & (int32_t)0x80000000)); }

/* Lane i exchanged with lane i ^ h. */
#if LT_LANES == 16
#define V_SWAP(x, h)                                                                                                               \
    __builtin_shufflevector(x, x, 0 ^ h, 1 ^ h, 2 ^ h, 3 ^ h, 4 ^ h, 5 ^ h, 6 ^ h, 7 ^ h, 8 ^ h, 9 ^ h, 10 ^ h, 11 ^ h, 12 ^ h,    \
                            13 ^ h, 14 ^ h, 15 ^ h)
#elif LT_LANES == 8
#define V_SWAP(x, h) __builtin_shufflevector(x, x, 0 ^ h, 1 ^ h, 2 ^ h, 3 ^ h, 4 ^ h, 5 ^ h, 6 ^ h, 7 ^ h)
#else
#define V_SWAP(x, h) __builtin_shufflevector(x, x, 0 ^ h, 1 ^ h, 2 ^ h, 3 ^ h)
#endif

/* Lanes folded in halves: one fixed order. */
LT_INLINE float v_sum(vf x)
{
#if LT_LANES > 8
    x += V_SWAP(x, 8);
#endif
#if LT_LANES > 4
    x += V_SWAP(x, 4);
#endif
    x += V_SWAP(x, 2);
    x += V_SWAP(x, 1);
    return x[0];
}

LT_INLINE float v_largest(vf x)
{
#if LT_LANES > 8
    x = v_max(x, V_SWAP(x, 8));
#endif
#if LT_LANES > 4
    x = v_max(x, V_SWAP(x, 4));
#endif
    x = v_max(x, V_SWAP(x, 2));
    x = v_max(x, V_SWAP(x, 1));
    return x[0];
}

/* Interleaves the lower (upper) halves: a0 b0 a1 b1 … */
#if LT_LANES == 16
#define V_LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define V_HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif LT_LANES == 8
#define V_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define V_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define V_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define V_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

/* A square of LT_LANES vectors: as many perfect shuffles as a lane's number has bits exchange rows and columns. */
LT_INLINE void v_transpose(vf x[LT_LANES])
{
    LT_UNROLL
    for (int bit = 1; bit < LT_LANES; bit *= 2) {
        vf y[LT_LANES];
        LT_UNROLL
        for (int i = 0; i < LT_LANES / 2; i++) {
            y[2 * i] = V_LOW(x[i], x[i + LT_LANES / 2]);
            y[2 * i + 1] = V_HIGH(x[i], x[i + LT_LANES / 2]);
        }
        LT_UNROLL
        for (int i = 0; i < LT_LANES; i++) x[i] = y[i];
    }
}

#endif
