/* Parameters: named weights that come from a checkpoint. The value is the mapped file itself where its type is the one computed in;
 * else a converted copy. Declaring is how every walk over a model's parameters is done. */
#include "lathe/nn.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

bool lt_declare(lt_decl *d, lt_param *p, const char *owner, const char *name, int rank, const int64_t *shape, lt_init init)
{
    return lt_declare_as(d, p, owner, name, LT_F32, rank, shape, init);
}

bool lt_declare_as(lt_decl *d, lt_param *p, const char *owner, const char *name, lt_dtype as, int rank, const int64_t *shape, lt_init init)
{
    if (!p->name) {
        char full[512];
        if (*owner && *name) snprintf(full, sizeof full, "%s.%s", owner, name);
        else snprintf(full, sizeof full, "%s%s", owner, name);
        p->name = lt_strdup(d->cx, full);
        if (!p->name) return false;
        p->value = (lt_tensor){.dtype = LT_F32, .rank = rank, .param = p};
        int64_t stride = 1;
        for (int i = LT_MAX_RANK - 1; i >= 0; i--) {
            p->value.shape[i] = i < rank ? shape[i] : 1;
            p->value.stride[i] = stride;
            stride *= p->value.shape[i];
        }
        p->init = init;
    }
    p->as = as;
    return d->visit(d, p);
}

/* A weight that is not finite would turn every result into NaN far from its cause. */
static bool check_finite(lt_ctx *cx, const lt_param *p, int64_t count)
{
    const void *data = p->value.data;
    const bool wide = p->value.dtype == LT_F64, half = p->value.dtype == LT_BF16;
    bool bad = false;
    if (!wide && !half && p->value.dtype != LT_F32) return true; /* codes */
    if (half)
        for (int64_t i = 0; i < count; i++) bad |= (((const uint16_t *)data)[i] & 0x7f80u) == 0x7f80u;
    else if (wide)
        for (int64_t i = 0; i < count; i++) bad |= (((const uint64_t *)data)[i] & 0x7ff0000000000000u) == 0x7ff0000000000000u;
    else
        for (int64_t i = 0; i < count; i++) bad |= (((const uint32_t *)data)[i] & 0x7f800000u) == 0x7f800000u;
    if (!bad) return true;
    int64_t i = 0;
    if (half)
        while ((((const uint16_t *)data)[i] & 0x7f80u) != 0x7f80u) i++;
    else
        while (isfinite(wide ? ((const double *)data)[i] : ((const float *)data)[i])) i++;
    return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: tensor \"%s\": element %" PRId64 " is not a finite number", p->stored->file, p->stored->name, i);
}

static int64_t count_of(const lt_param *p)
{
    int64_t count = 1;
    for (int i = 0; i < p->value.rank; i++) count *= p->value.shape[i];
    return count;
}

bool lt_param_make(lt_ctx *cx, lt_param *p, lt_dtype dtype)
{
    lt_param_drop(p);
    p->value.dtype = dtype;
    p->value.data = p->owned = lt_new(cx, count_of(p), lt_dtype_size(dtype));
    return p->owned != NULL;
}

bool lt_param_load(lt_ctx *cx, lt_param *p, lt_dtype dtype)
{
    if (!p->name || (p->value.data && p->value.dtype == dtype)) return true;
    if (!p->stored) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: has no value", p->name);
    lt_param_drop(p);
    p->value.dtype = dtype;
    const int64_t count = count_of(p);
    if (p->stored->dtype == dtype && (uintptr_t)p->stored->data % lt_dtype_size(dtype) == 0) {
        p->value.data = (void *)p->stored->data;
        return check_finite(cx, p, count);
    }
    p->owned = lt_new(cx, count, lt_dtype_size(dtype));
    if (!p->owned) return false;
    if (p->stored->dtype == dtype) memcpy(p->owned, p->stored->data, p->stored->bytes);
    else if (!lt_stored_read(cx, p->stored, dtype, p->owned)) return false;
    lt_stored_release(p->stored);
    p->value.data = p->owned;
    return check_finite(cx, p, count);
}

void lt_param_drop(lt_param *p)
{
    lt_free(p->owned);
    p->owned = NULL;
    p->value.data = NULL;
    if (p->stored) lt_stored_release(p->stored);
}

void lt_param_free(lt_param *p)
{
    lt_free(p->owned);
    lt_free(p->name);
    *p = (lt_param){0};
}

lt_tensor *lt_param_use(lt_param *p) { return p->name && p->value.data ? &p->value : NULL; }

/* Keyed by the name, so that no other parameter moves its numbers. */
void lt_param_normal(lt_param *p, uint64_t seed, double deviation)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, hash = 2166136261u, bits[4];
    for (const char *c = p->name; *c; c++) hash = (hash ^ (uint8_t)*c) * 16777619u; /* FNV-1a */
    for (int64_t i = 0; i < count_of(p); i++) {
        if (i % 2 == 0) lt_philox((const uint32_t[4]){(uint32_t)(i / 2), (uint32_t)(i / 2 >> 32), hash, 1}, key, bits);
        const double u = ((double)bits[0] + 0.5) * 0x1p-32, angle = 6.283185307179586 * (((double)bits[1] + 0.5) * 0x1p-32);
        const double x = deviation * sqrt(-2 * log(u)) * (i % 2 ? sin(angle) : cos(angle)); /* Box & Muller 1958 */
        if (p->value.dtype == LT_F64) ((double *)p->value.data)[i] = x;
        else ((float *)p->value.data)[i] = (float)x;
    }
}
