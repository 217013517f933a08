/* What one multiply-add does with words of 32 bits: a float; two bf16, one product after the other; or codes of int8 products, summed in
 * 32-bit integers that no more than 2^31 / (255 · 127) products may enter. With VNNI a word is four codes, unsigned inputs and signed
 * weights. Without, it is two of 16 bits, of which weights are stored as bytes and widened when they are loaded: VPMADDUBSW would take twice
 * as many at once, but its sums of two products do not fit 16 bits without as much work again. Words of the last two kinds are decoded to
 * floats: eight codes of 4 bits (int4), or two bf16 where no unit multiplies them. */
#ifndef LATHE_KERNELS_DOT_H
#define LATHE_KERNELS_DOT_H

#include "kernels/cpu/vec.h"
#include "lathe/kernels.h"

typedef enum { LT_WORD_F32, LT_WORD_BF16, LT_WORD_INT8, LT_WORD_INT4, LT_WORD_PAIR } lt_word;

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

/* Decoded kinds: values of a word, words of a group, vectors of scales before them. */
#define LT_CODED(KIND) ((KIND) == LT_WORD_INT4 || (KIND) == LT_WORD_PAIR)
#define LT_WORD_VALUES(KIND) ((KIND) == LT_WORD_INT4 ? 8 : 2)
#define LT_GROUP_WORDS(KIND) ((KIND) == LT_WORD_INT4 ? LT_INT4_GROUP / 8 : 1)
#define LT_GROUP_HEAD(KIND) ((KIND) == LT_WORD_INT4 ? 1 : 0)

/* Value i of words, whose scales are at `scale`. Four bits become a number where they stand, as the last of a float's fraction that counts,
 * without being shifted and converted: 2^(23 - at) + code. A fraction has room for the first five of a word. */
LT_INLINE vf v_decode(const lt_word KIND, const int i, vi word, const float *scale)
{
    if (KIND == LT_WORD_PAIR) return (vf)(i ? word & (int32_t)0xffff0000 : word << 16);
    const int at = i < 5 ? 4 * i : 4 * (i - 3);
    vi bits = ((i < 5 ? word : word >> 12) & (15 << at)) | (150 - at) << 23;
    return ((vf)bits - (float)((1 << (23 - at)) + 8)) * v_load(scale);
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
