/* Elements of a stored tensor as f32 or f64, in pieces, from bytes of any alignment; and giving the pages of a mapped file back
 * once what was in them lies elsewhere. */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format/safetensors.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors and .npy are read as little-endian memory");

enum { PIECE = 4096 };

/* One element of a rarer type; its bytes may lie anywhere. */
static double element(lt_dtype dtype, const uint8_t *p)
{
    union {
        double f64;
        int8_t i8;
        uint8_t u8;
        int16_t i16;
        int32_t i32;
        int64_t i64;
    } x;
    memcpy(&x, p, lt_dtype_size(dtype));
    switch (dtype) {
    case LT_F64:
        return x.f64;
    case LT_I8:
        return x.i8;
    case LT_I16:
        return x.i16;
    case LT_I32:
        return x.i32;
    case LT_I64:
        return (double)x.i64;
    default: /* u8 and bool */
        return x.u8;
    }
}

static bool is_small_float(lt_dtype dtype) { return dtype == LT_F32 || dtype == LT_F16 || dtype == LT_BF16; }

static void to_f32(lt_dtype dtype, int64_t n, const uint8_t *src, float *dst)
{
    if (dtype == LT_F32) memcpy(dst, src, (size_t)n * sizeof *dst);
    if (dtype == LT_F16) lt_f16_to_f32(n, src, dst);
    if (dtype == LT_BF16) lt_bf16_to_f32(n, src, dst);
    size_t size = lt_dtype_size(dtype);
    for (int64_t i = 0; i < n && !is_small_float(dtype); i++) dst[i] = (float)element(dtype, src + (size_t)i * size);
}

static void to_f64(lt_dtype dtype, int64_t n, const uint8_t *src, double *dst)
{
    float f32[PIECE];
    size_t size = lt_dtype_size(dtype);
    if (is_small_float(dtype)) to_f32(dtype, n, src, f32);
    for (int64_t i = 0; i < n; i++) dst[i] = is_small_float(dtype) ? f32[i] : element(dtype, src + (size_t)i * size);
}

bool lt_stored_read(lt_ctx *cx, const lt_stored *s, lt_dtype dtype, void *dst)
{
    if (!s || !dst || !lt_ok(cx)) return false;
    char quoted[LT_QUOTED];
    if (s->dtype >= LT_DTYPES)
        return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: tensor %s: elements of type %s cannot be read", s->file,
                          lt_quoted(s->name, quoted), s->type ? s->type : "unknown");
    if (dtype != LT_F32 && dtype != LT_F64)
        return lt_fail_if(cx, true, LT_ERR_USAGE, "%s: tensor %s: it can be read as f32 or f64, not as %s", s->file,
                          lt_quoted(s->name, quoted), lt_dtype_name(dtype));
    size_t size = lt_dtype_size(s->dtype), to = lt_dtype_size(dtype);
    int64_t count = (int64_t)(s->bytes / size);
    for (int64_t i = 0; i < count && lt_ok(cx); i += PIECE) {
        int64_t n = count - i < PIECE ? count - i : PIECE;
        const uint8_t *src = (const uint8_t *)s->data + (size_t)i * size;
        if (dtype == LT_F32)
            to_f32(s->dtype, n, src, (float *)((uint8_t *)dst + (size_t)i * to));
        else
            to_f64(s->dtype, n, src, (double *)((uint8_t *)dst + (size_t)i * to));
    }
    return lt_ok(cx);
}

/* Only pages that hold nothing else are dropped: those at the ends may belong to a neighbour too. */
void lt_stored_release(const lt_stored *s)
{
    if (!s || !s->mapped) return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)s->data;
    uintptr_t begin = (at + page - 1) / page * page, end = (at + s->bytes) / page * page;
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}
