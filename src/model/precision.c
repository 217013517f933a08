/* Precisions by name, the kind of linear that each one is, and which one an open model runs in: what the caller asked for, or what the
 * checkpoint was stored for. */
#include <string.h>

#include "model/model.h"

static const char *const names[LT_PRECISIONS] = {"stored", "f32", "bf16", "int8", "int4", "auto"};

const char *lt_precision_name(lt_precision p) { return p < LT_PRECISIONS ? names[p] : "unknown"; }

lt_precision lt_precision_named(const char *name)
{
    int p = 0;
    while (p < LT_PRECISIONS && strcmp(names[p], name) != 0) p++;
    return (lt_precision)p;
}

static bool multiplies_bf16(lt_ctx *cx)
{
    const lt_kernels *kn = lt_kernels_of(cx, LT_F32);
    return kn && kn->product[LT_PRODUCT_BF16]->row_bytes;
}

const char *lt_precision_slow(lt_ctx *cx, lt_precision p)
{
    if (p == LT_PRECISION_BF16 && !multiplies_bf16(cx))
        return "this processor does not multiply bf16: its arithmetic is that of f32, which is expected to be as fast or faster; memory is saved";
    if (p == LT_PRECISION_INT4) return "weights are unpacked for each product: memory is saved, but long inputs are expected to take longer than in f32";
    return NULL;
}

const lt_linear_kind *lt_precision_kind(lt_precision p)
{
    static const lt_linear_kind *const kinds[LT_PRECISIONS] = {
        [LT_PRECISION_BF16] = &lt_linear_bf16, [LT_PRECISION_INT8] = &lt_linear_int8, [LT_PRECISION_INT4] = &lt_linear_int4};
    return kinds[p];
}

bool lt_precision_settle(lt_ctx *cx, lt_model *m, const lt_model_options *o)
{
    const bool coded = m->quantized.precision == LT_PRECISION_INT8 || m->quantized.precision == LT_PRECISION_INT4;
    lt_precision p = o->precision, stored = m->quantized.precision;
    if (p == LT_PRECISION_AUTO) p = stored == LT_PRECISION_F32 && multiplies_bf16(cx) ? LT_PRECISION_BF16 : LT_PRECISION_STORED;
    if (m->compute != LT_F32 && (p == LT_PRECISION_STORED || o->precision == LT_PRECISION_AUTO)) p = LT_PRECISION_F32;
    const bool as_stored = p == LT_PRECISION_STORED || p == stored;
    if (!as_stored) m->quantized.threshold = LT_OUTLIER, m->quantized.symmetric = m->quantized.smoothed = false;
    if (o->threshold) m->quantized.threshold = o->threshold < 0 ? 0 : (float)o->threshold;
    m->expand = coded && !as_stored;
    m->few = p == LT_PRECISION_STORED && coded ? NULL : lt_precision_kind(as_stored ? stored : p);
    m->quantized.precision = as_stored ? stored : p;
    return lt_fail_if(cx, m->few && m->compute != LT_F32, LT_ERR_USAGE, "precision %s: models that compute in f64 have none", lt_precision_name(p));
}
