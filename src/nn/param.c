/* Parameters: named weights that come from a checkpoint. The value is the mapped file itself where its type is the one computed in;
 * else a converted copy. Declaring is how every walk over a model's parameters is done. */
#include "lathe/nn.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

bool lt_declare(lt_decl *d, lt_param *p, const char *owner, const char *name, int rank, const int64_t *shape, lt_init init)
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
    return d->visit(d, p);
}

/* A weight that is not finite would turn every result into NaN far from its cause. */
static bool check_finite(lt_ctx *cx, const lt_param *p, int64_t count)
{
    const void *data = p->value.data;
    bool wide = p->value.dtype == LT_F64, bad = false;
    if (wide)
        for (int64_t i = 0; i < count; i++) bad |= (((const uint64_t *)data)[i] & 0x7ff0000000000000u) == 0x7ff0000000000000u;
    else
        for (int64_t i = 0; i < count; i++) bad |= (((const uint32_t *)data)[i] & 0x7f800000u) == 0x7f800000u;
    if (!bad) return true;
    int64_t i = 0;
    while (isfinite(wide ? ((const double *)data)[i] : ((const float *)data)[i])) i++;
    return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: tensor \"%s\": element %" PRId64 " is not a finite number", p->stored->file, p->stored->name, i);
}

bool lt_param_load(lt_ctx *cx, lt_param *p, lt_dtype dtype)
{
    if (!p->name || (p->value.data && p->value.dtype == dtype)) return true;
    if (!p->stored) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: has no value", p->name);
    lt_param_drop(p);
    p->value.dtype = dtype;
    int64_t count = 1;
    for (int i = 0; i < p->value.rank; i++) count *= p->value.shape[i];
    if (p->stored->dtype == dtype && (uintptr_t)p->stored->data % lt_dtype_size(dtype) == 0) {
        p->value.data = (void *)p->stored->data;
        return check_finite(cx, p, count);
    }
    p->owned = lt_new(cx, count, lt_dtype_size(dtype));
    if (!p->owned || !lt_stored_read(cx, p->stored, dtype, p->owned)) return false;
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
