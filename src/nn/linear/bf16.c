/* Weights rounded to bf16: half the memory. Inputs are rounded too where the machine multiplies bf16 (AVX512-BF16, AMX); elsewhere the
 * arithmetic is f32. */
#include "nn/linear/few.h"
#include "nn/linear/sparse.h"

static bool declare(lt_linear *l, lt_decl *d)
{
    return lt_declare_as(d, &l->weight, l->name, "weight", LT_BF16, 2, (int64_t[]){l->out, l->in}, LT_INIT_NORMAL) && lt_few_bias(l, d);
}

/* The product rounds when it packs, a file when it is written: until then the weight stays as it is. */
static bool convert(lt_ctx *cx, lt_linear *l) { return lt_few_state(cx, l) != NULL; }

static bool prepare(lt_ctx *cx, lt_linear *l)
{
    if (!lt_param_load(cx, &l->weight, LT_F32)) return false;
    if (lt_sparse_pays(cx, l, l->weight.value.data)) return lt_sparse_prepare(cx, l, l->weight.value.data, NULL);
    bool done = lt_few_pack(cx, l, LT_PRODUCT_BF16, l->weight.value.data, NULL);
    lt_param_drop(&l->weight);
    return done;
}

static lt_tensor *encode(lt_ctx *cx, const lt_linear *l, lt_tensor *x) { return lt_few_encode(cx, l, LT_PRODUCT_BF16, x); }
static lt_tensor *run(lt_ctx *cx, const lt_linear *l, lt_tensor *x, const lt_epilogue *e) { return lt_few_run(cx, l, LT_PRODUCT_BF16, x, e); }

const lt_linear_kind lt_linear_bf16 = {
    .is = {"linear", "bf16", "weights, and inputs where the machine can, of 16 bits", "Kalamkar et al. 2019, arXiv 1905.12322"},
    .declare = declare,
    .run = run,
    .encode = encode,
    .reads_bf16 = true,
    .prepare = prepare,
    .convert = convert,
    .release = lt_few_release,
};
