/* What one multiply-add does with words of 32 bits: a float; two bf16, one product after the other; or codes of int8 products, summed in
 * 32-bit integers that no more than 2^31 / (255 · 127) products may enter. With VNNI a word is four codes, unsigned inputs and signed
 * weights. Without, it is two of 16 bits, of which weights are stored as bytes and widened when they are loaded: VPMADDUBSW would take twice
 * as many at once, but its sums of two products do not fit 16 bits without as much work again. */
#ifndef LATHE_KERNELS_DOT_H
#define LATHE_KERNELS_DOT_H

#include "kernels/cpu/vec.h"

typedef enum { LT_WORD_F32, LT_WORD_BF16, LT_WORD_INT8 } lt_word;

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#define LT_CODES 4 /* of a word */
#else
#define LT_CODES 2
#endif
#ifdef __AVX512BF16__
#define LT_HAS_BF16 1
#else
#define LT_HAS_BF16 0
#endif

typedef int32_t word_mem __attribute__((may_alias));
typedef vi vi_mem __attribute__((aligned(4), may_alias));
LT_INLINE vi v_load_words(const void *p) { return *(const vi_mem *)p; }
LT_INLINE void v_store_words(void *p, vi x) { *(vi_mem *)p = x; }
LT_INLINE vf v_word(const float *p) { return (vf)(*(const word_mem *)p - (vi){0}); } /* one word in every lane, bit for bit */

/* GCC 12 spills accumulators that pass through its VNNI and BF16 intrinsics, hence assembly. */
LT_INLINE vi v_dot_bytes(vi a, vi b, vi c)
{
#if defined(__AVX512VNNI__)
    __asm__("vpdpbusd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
#elif defined(__AVXVNNI__)
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
#elif defined(__AVX512BW__)
    return c + (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return c + (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
    return c + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
#endif
}

/* Floats from one k of a panel to the next, and a vector of weights there. */
LT_INLINE int64_t v_panel_step(const lt_word KIND, int64_t columns) { return KIND == LT_WORD_INT8 && LT_CODES == 2 ? columns / 2 : columns; }

LT_INLINE vf v_load_weights(const lt_word KIND, const float *p)
{
    if (KIND != LT_WORD_INT8 || LT_CODES == 4) return v_load(p);
#if defined(__AVX512BW__)
    return (vf)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p));
#elif defined(__AVX2__)
    return (vf)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
#else
    typedef int8_t bytes __attribute__((vector_size(2 * LT_LANES)));
    typedef int16_t pairs __attribute__((vector_size(4 * LT_LANES)));
    bytes b;
    memcpy(&b, p, sizeof b);
    return (vf)__builtin_convertvector(b, pairs);
#endif
}

#if LT_HAS_BF16
LT_INLINE vf v_dot_bf16(vf a, vf b, vf c)
{
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}
#endif

LT_INLINE vf v_dot(const lt_word KIND, vf a, vf b, vf c)
{
    switch (KIND) {
    case LT_WORD_INT8:
        return (vf)v_dot_bytes((vi)a, (vi)b, (vi)c);
#if LT_HAS_BF16
    case LT_WORD_BF16:
        return v_dot_bf16(a, b, c);
#endif
    default:
        return v_fma(a, b, c);
    }
}

#endif
