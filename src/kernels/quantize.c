/* Weights rounded to codes of 8 and 4 bits. */
#include <math.h>

#include "kernels/tables.h"

/* Four partial maxima, so that compilers may keep them in a vector. */
static float largest(int64_t n, const float *x)
{
    float m[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int l = 0; l < 4; l++) m[l] = fabsf(x[i + l]) > m[l] ? fabsf(x[i + l]) : m[l];
    for (; i < n; i++) m[0] = fabsf(x[i]) > m[0] ? fabsf(x[i]) : m[0];
    m[0] = m[0] > m[1] ? m[0] : m[1];
    m[2] = m[2] > m[3] ? m[2] : m[3];
    return m[0] > m[2] ? m[0] : m[2];
}

void lt_quantize_int8(int64_t n, int64_t k, const float *w, int8_t *codes, float *scale)
{
    for (int64_t j = 0; j < n; j++, w += k, codes += k) {
        const float most = largest(k, w), inverse = most < 0x1p-100f ? 0.0f : 127.0f / most;
        scale[j] = inverse == 0.0f ? 0.0f : most / 127.0f;
        for (int64_t i = 0; i < k; i++) {
            float t = w[i] * inverse + 12582912.0f; /* 1.5 · 2^23: the sum's last bits are the nearest integer */
            union { float f; int32_t i; } u = {t};
            codes[i] = (int8_t)(u.i - 0x4b400000);
        }
    }
}

static float error_of(int64_t n, const float *w, float scale, uint8_t *codes)
{
    const float inverse = scale == 0.0f ? 0.0f : 1.0f / scale;
    float error = 0.0f;
    for (int64_t i = 0; i < n; i++) {
        float q = rintf(w[i] * inverse);
        q = q < -8.0f ? -8.0f : q > 7.0f ? 7.0f : q;
        codes[i] = (uint8_t)(q + 8.0f);
        error += (w[i] - q * scale) * (w[i] - q * scale);
    }
    return error;
}

/* The code of the largest weight is -8 or 7; scales about that are tried for the least squared error. */
static void quantize_group(int64_t n, const float *w, uint8_t *codes, float *scale)
{
    float most = 0.0f, best = INFINITY;
    for (int64_t i = 0; i < n; i++)
        if (fabsf(w[i]) > fabsf(most)) most = w[i];
    *scale = fabsf(most) < 0x1p-100f ? 0.0f : -most / 8.0f;
    const float end = *scale;
    for (int try = 0; try < 8; try++) {
        float s = end * (0.78f + 0.05f * (float)try), error = error_of(n, w, s, codes);
        if (error < best) best = error, *scale = s;
    }
    error_of(n, w, *scale, codes);
}

void lt_quantize_int4(int64_t n, int64_t k, const float *w, uint8_t *codes, float *scale)
{
    const int64_t groups = (k + LT_INT4_GROUP - 1) / LT_INT4_GROUP;
    for (int64_t j = 0; j < n; j++)
        for (int64_t g = 0; g < groups; g++) {
            const int64_t at = j * k + g * LT_INT4_GROUP, left = k - g * LT_INT4_GROUP;
            quantize_group(left < LT_INT4_GROUP ? left : LT_INT4_GROUP, w + at, codes + at, &scale[j * groups + g]);
        }
}
