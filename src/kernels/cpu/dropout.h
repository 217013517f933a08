/* Dropout (Srivastava et al. 2014) by counters: whether an element stays is a word of Philox4x32-10 (Salmon et al. 2011) at a counter that says where
 * it stands, so a mask is made again rather than kept. Sixty-four elements share the counters g·16 … g·16+15 of their group g; word w of counter l
 * decides element 16 w + l. */
#ifndef LATHE_KERNELS_DROPOUT_H
#define LATHE_KERNELS_DROPOUT_H

#include "kernels/cpu/back.h"

/* Both halves of the 64-bit products of each lane. */
LT_INLINE void v_mul_wide(vu a, uint32_t by, vu *low, vu *high)
{
#if defined(__AVX512F__)
    const __m512i m = _mm512_set1_epi32((int)by), even = _mm512_mul_epu32((__m512i)a, m), odd = _mm512_mul_epu32(_mm512_srli_epi64((__m512i)a, 32), m);
    *low = (vu)_mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
    *high = (vu)_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
#elif defined(__AVX2__)
    const __m256i m = _mm256_set1_epi32((int)by), even = _mm256_mul_epu32((__m256i)a, m), odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)a, 32), m);
    *low = (vu)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
    *high = (vu)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
#else
    for (int i = 0; i < LT_LANES; i++) {
        const uint64_t p = (uint64_t)a[i] * by;
        (*low)[i] = (uint32_t)p;
        (*high)[i] = (uint32_t)(p >> 32);
    }
#endif
}

/* Counters first … first+LT_LANES-1 of a row. */
LT_INLINE void v_philox(uint32_t first, const uint32_t rest[3], const uint32_t key[2], vu c[4])
{
    vu lane;
    for (int i = 0; i < LT_LANES; i++) lane[i] = (uint32_t)i;
    uint32_t k0 = key[0], k1 = key[1];
    c[0] = lane + first;
    for (int i = 0; i < 3; i++) c[i + 1] = rest[i] - (vu){0};
    for (int round = 0; round < 10; round++) {
        vu a_low, a_high, b_low, b_high;
        v_mul_wide(c[0], 0xD2511F53u, &a_low, &a_high);
        v_mul_wide(c[2], 0xCD9E8D57u, &b_low, &b_high);
        c[0] = b_high ^ c[1] ^ k0;
        c[1] = b_low;
        c[2] = a_high ^ c[3] ^ k1;
        c[3] = a_low;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

static void dropout(int64_t n, double p, const uint32_t key[2], const uint32_t place[3], const void *x, void *y)
{
    const vu least = (uint32_t)(p * 0x1p32) - (vu){0};
    const vf factor = v_set((float)(1 / (1 - p)));
    for (int64_t g = 0; g < n; g += 64)
        for (int l = 0; l < 16; l += LT_LANES) {
            vu word[4];
            v_philox((uint32_t)(g / 4) + (uint32_t)l, place, key, word);
            LT_UNROLL
            for (int w = 0; w < 4; w++) {
                const int64_t i = g + 16 * w + l;
                if (i >= n) continue;
                const vf kept = row_load((const float *)x + i, n - i) * factor;
                row_store((float *)y + i, n - i, v_select((vi)(word[w] >= least), kept, v_set(0.0f)));
            }
        }
}

#endif
