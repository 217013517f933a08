/* The reference of products with weights of fewer bits. Packed weights are plain floats here: a column's scale, then its weights or, for
 * int8, its codes. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/tables.h"

static size_t panel_bytes(int64_t k) { return (size_t)(k + 1) * LT_REF_NR * sizeof(float); }
static float *column(const void *packed, int64_t k, int64_t j) { return (float *)packed + j * (k + 1); }

static float bf16_round(float x)
{
    uint16_t h;
    float y;
    lt_f32_to_bf16(1, &x, &h);
    lt_bf16_to_f32(1, &h, &y);
    return y;
}

static float bf16_at(const void *x, int64_t i)
{
    float y;
    lt_bf16_to_f32(1, (const char *)x + 2 * i, &y);
    return y;
}

/* Element i, or rather where it ends up: bias, activation, residual, rounding. */
static void finish(float y, int64_t i, int64_t j, void *c, int64_t c_stride, const lt_gemm_epilogue *e)
{
    if (e) lt_kernels_ref_float.act(e->act, 1, &y, &y);
    if (e && e->residual) y += ((const float *)e->residual)[i * e->residual_stride + j];
    if (e && e->to_bf16)
        lt_f32_to_bf16(1, &y, (uint16_t *)c + i * c_stride + j);
    else
        ((float *)c)[i * c_stride + j] = y;
}

static float bias_of(const lt_gemm_epilogue *e, int64_t j) { return e && e->bias ? ((const float *)e->bias)[j] : 0.0f; }

/* ---- bf16, both sides rounded ---- */

static int64_t bf16_row_bytes(int64_t k) { return (2 * k + 63) / 64 * 64; }

static void bf16_encode(int64_t rows, int64_t k, const void *x, bool x_bf16, int64_t x_stride, const lt_coding *how, lt_coded_rows *to)
{
    for (int64_t r = 0; r < rows; r++) {
        char *y = (char *)to->data + r * to->stride;
        memset(y, 0, (size_t)bf16_row_bytes(k));
        if (x_bf16)
            memcpy(y, (const uint16_t *)x + r * x_stride, (size_t)k * 2);
        else
            lt_f32_to_bf16(k, (const float *)x + r * x_stride, y);
    }
}

static void bf16_pack(int64_t n, int64_t k, const void *w, const float *scale, void *packed)
{
    for (int64_t j = 0; j < (n + LT_REF_NR - 1) / LT_REF_NR * LT_REF_NR; j++) {
        float *out = column(packed, k, j);
        *out++ = 1.0f;
        for (int64_t i = 0; i < k; i++) out[i] = j < n ? bf16_round(((const float *)w)[j * k + i]) : 0.0f;
    }
}

static void bf16_encode_turned(int64_t rows, int64_t k, const float *x, int64_t x_stride, lt_coded_rows *to)
{
    for (int64_t r = 0; r < rows; r++) {
        uint16_t *y = (uint16_t *)((char *)to->data + r * to->stride);
        memset(y, 0, (size_t)bf16_row_bytes(k));
        for (int64_t i = 0; i < k; i++) lt_f32_to_bf16(1, x + i * x_stride + r, y + i);
    }
}

static void bf16_pack_turned(int64_t n, int64_t k, const float *w, int64_t w_stride, void *packed)
{
    for (int64_t j = 0; j < (n + LT_REF_NR - 1) / LT_REF_NR * LT_REF_NR; j++) {
        float *out = column(packed, k, j);
        *out++ = 1.0f;
        for (int64_t i = 0; i < k; i++) out[i] = j < n ? bf16_round(w[i * w_stride + j]) : 0.0f;
    }
}

static void bf16_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, void *c, int64_t c_stride,
                      const lt_gemm_epilogue *e)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            const char *x = (const char *)a->data + (first + i) * a->stride;
            const float *w = column(packed, k, j) + 1;
            double sum = 0;
            for (int64_t l = 0; l < k; l++) sum += (double)bf16_at(x, l) * w[l];
            finish((float)sum + bias_of(e, j), i, j, c, c_stride, e);
        }
}

/* ---- int8 ---- */

static int64_t int8_row_bytes(int64_t k) { return (k + 63) / 64 * 64; }

static void int8_encode_row(int64_t k, const float *x, const lt_coding *how, uint8_t *q, lt_code *code, lt_outlier *list)
{
    float low = 0, high = 0;
    bool finite = true;
    code->outliers = 0;
    for (int64_t i = 0; i < k; i++) {
        if (how->threshold > 0 && fabsf(x[i]) >= how->threshold) {
            list[code->outliers++] = (lt_outlier){(int32_t)i, x[i]};
            continue;
        }
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
        finite = finite && isfinite(x[i]);
    }
    const float steps = how->symmetric ? 254 : 255;
    if (how->symmetric) {
        low = high > -low ? -high : low;
        high = -low;
    }
    const float range = finite ? high - low : NAN;
    const bool normal = range >= 0x1p-100f && range <= FLT_MAX;
    const float inverse = normal ? steps / range : 0, zero = !normal ? 0 : how->symmetric ? 128 : rintf(-low * inverse);
    code->scale = normal ? range / steps : range < 0x1p-100f ? 0 : NAN;
    code->zero = (int32_t)zero;
    for (int64_t i = 0, o = 0; i < k; i++) {
        const bool apart = o < code->outliers && list[o].at == i;
        o += apart;
        float t = fmaf(apart ? 0 : x[i], inverse, zero);
        q[i] = (uint8_t)(t > 255 ? 255 : t > 0 ? rintf(t) : 0);
    }
}

enum { MOST = 1 << 16 }; /* the longest row here */

static void int8_encode(int64_t rows, int64_t k, const void *x, bool x_bf16, int64_t x_stride, const lt_coding *how, lt_coded_rows *to)
{
    static _Thread_local float row[MOST];
    int64_t listed = 0;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < k; i++) {
            row[i] = x_bf16 ? bf16_at(x, r * x_stride + i) : ((const float *)x)[r * x_stride + i];
            if (how->multiply) row[i] *= how->multiply[i];
        }
        to->code[r].outlier = listed;
        uint8_t *q = (uint8_t *)to->data + r * to->stride;
        int8_encode_row(k, row, how, q, &to->code[r], to->outlier ? to->outlier + listed : NULL);
        memset(q + k, 0, (size_t)(int8_row_bytes(k) - k));
        listed += to->code[r].outliers;
    }
}

static void int8_pack(int64_t n, int64_t k, const void *w, const float *scale, void *packed)
{
    for (int64_t j = 0; j < (n + LT_REF_NR - 1) / LT_REF_NR * LT_REF_NR; j++) {
        float *out = column(packed, k, j);
        *out++ = j < n ? scale[j] : 0.0f;
        for (int64_t i = 0; i < k; i++) out[i] = j < n ? ((const int8_t *)w)[j * k + i] : 0.0f;
    }
}

static void int8_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, void *c, int64_t c_stride,
                      const lt_gemm_epilogue *e)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            const uint8_t *x = (const uint8_t *)a->data + (first + i) * a->stride;
            const lt_code *code = &a->code[first + i];
            const float *w = column(packed, k, j);
            int32_t sum = 0;
            for (int64_t l = 0; l < k; l++) sum += (x[l] - code->zero) * (int32_t)w[1 + l];
            float y = (float)sum * code->scale;
            for (int32_t o = 0; o < code->outliers; o++) {
                const lt_outlier *out = &a->outlier[code->outlier + o];
                y = fmaf(out->value, w[1 + out->at], y);
            }
            finish(fmaf(y, w[0], bias_of(e, j)), i, j, c, c_stride, e);
        }
}

/* ---- int4 ---- */

static void int4_pack(int64_t n, int64_t k, const void *w, const float *scale, void *packed)
{
    const int64_t groups = (k + LT_INT4_GROUP - 1) / LT_INT4_GROUP;
    for (int64_t j = 0; j < (n + LT_REF_NR - 1) / LT_REF_NR * LT_REF_NR; j++) {
        float *out = column(packed, k, j);
        *out++ = 1.0f;
        for (int64_t i = 0; i < k; i++)
            out[i] = j < n ? (float)(((const uint8_t *)w)[j * k + i] - 8) * scale[j * groups + i / LT_INT4_GROUP] : 0.0f;
    }
}

static void int4_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, void *c, int64_t c_stride,
                      const lt_gemm_epilogue *e)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            const float *x = (const float *)((const char *)a->data + (first + i) * a->stride), *w = column(packed, k, j) + 1;
            double sum = 0;
            for (int64_t l = 0; l < k; l++) sum += (double)x[l] * w[l];
            finish((float)sum + bias_of(e, j), i, j, c, c_stride, e);
        }
}

const lt_product lt_product_ref_bf16 = {
    .name = "reference",
    .row_bytes = bf16_row_bytes,
    .encode = bf16_encode,
    .encode_turned = bf16_encode_turned,
    .pack_turned = bf16_pack_turned,
    .panel_bytes = panel_bytes,
    .pack = bf16_pack,
    .gemm = bf16_gemm,
};
const lt_product lt_product_ref_int8 = {
    .name = "reference",
    .row_bytes = int8_row_bytes,
    .encode = int8_encode,
    .panel_bytes = panel_bytes,
    .pack = int8_pack,
    .gemm = int8_gemm,
};
const lt_product lt_product_ref_int4 = {
    .name = "reference",
    .panel_bytes = panel_bytes,
    .pack = int4_pack,
    .gemm = int4_gemm,
};
