/* LLM.int8() (Dettmers et al. 2022, arXiv 2208.07339): weights of 8 bits with a scale for each output, inputs of 8 bits with a scale
 * (and a zero) for each row, and inputs of a magnitude above a threshold kept apart in f32. The paper takes out a column of inputs once
 * any row has an outlier in it; here a row loses its own outliers only, so that a text's result does not depend on its batch-mates.
 * Smoothed (Xiao et al. 2022, arXiv 2211.10438), inputs are divided by factors that the weights were multiplied by. */
#include "nn/linear/few.h"
#include "nn/linear/sparse.h"

#include <string.h>

static bool declare(lt_linear *l, lt_decl *d)
{
    lt_few *s = lt_few_state(d->cx, l);
    return s && lt_declare_as(d, &l->weight, l->name, "weight", LT_I8, 2, (int64_t[]){l->out, l->in}, LT_INIT_NORMAL) &&
           lt_declare(d, &s->scale, l->name, "weight_scale", 2, (int64_t[]){l->out, 1}, LT_INIT_NONE) &&
           (!l->smoothed || lt_declare(d, &s->multiply, l->name, "input_multiplier", 1, (int64_t[]){l->in}, LT_INIT_NONE)) && lt_few_bias(l, d);
}

static bool quantize(lt_ctx *cx, lt_linear *l, const float *w)
{
    lt_few *s = l->state;
    if (!lt_param_make(cx, &l->weight, LT_I8) || !lt_param_make(cx, &s->scale, LT_F32)) return false;
    lt_quantize_int8(l->out, l->in, w, l->weight.value.data, s->scale.value.data);
    return true;
}

static bool convert(lt_ctx *cx, lt_linear *l)
{
    lt_param dense;
    bool done = lt_few_take(cx, l, &dense) && quantize(cx, l, dense.value.data);
    lt_param_drop(&dense);
    lt_param_free(&dense);
    return done;
}

bool lt_linear_smooth_int8(lt_ctx *cx, lt_linear *l, const float *multiply)
{
    lt_param dense;
    l->kind = &lt_linear_int8;
    l->smoothed = true;
    float *w = lt_new(cx, l->out * l->in, sizeof *w);
    bool done = lt_few_take(cx, l, &dense) && w && lt_param_make(cx, &((lt_few *)l->state)->multiply, LT_F32);
    const float *from = dense.value.data;
    for (int64_t i = 0; done && i < l->out * l->in; i++) w[i] = from[i] / multiply[i % l->in];
    if (done) memcpy(((lt_few *)l->state)->multiply.value.data, multiply, (size_t)l->in * sizeof *multiply);
    done = done && quantize(cx, l, w);
    lt_free(w);
    lt_param_drop(&dense);
    lt_param_free(&dense);
    return done;
}

static bool rows(lt_ctx *cx, const lt_linear *l, const int32_t *ids, int64_t n, void *out)
{
    const lt_few *s = l->state;
    const int8_t *codes = l->weight.value.data;
    const float *scale = s->scale.value.data, *multiply = s->multiply.value.data;
    if (!codes) return lt_fail_if(cx, true, LT_ERR_USAGE, "%s: the codes are not in memory: they were packed for running", l->name);
    for (int64_t r = 0; r < n; r++)
        for (int64_t i = 0; i < l->in; i++)
            lt_few_put(l, out, r * l->in + i, (double)scale[ids[r]] * codes[ids[r] * l->in + i] * (multiply ? (double)multiply[i] : 1.0));
    return true;
}

/* Other writers use -128 too, which products do not take: such weights are quantised once more. */
static bool narrow_codes(lt_ctx *cx, lt_linear *l)
{
    const int8_t *codes = l->weight.value.data;
    const float *scale = ((const lt_few *)l->state)->scale.value.data;
    bool wide = false;
    for (int64_t i = 0; i < l->out * l->in; i++) wide |= codes[i] == INT8_MIN;
    if (!wide) return true;
    float *w = lt_new(cx, l->out * l->in, sizeof *w);
    for (int64_t i = 0; w && i < l->out * l->in; i++) w[i] = scale[i / l->in] * (float)codes[i];
    bool done = w && quantize(cx, l, w);
    lt_free(w);
    return done;
}

static bool prepare(lt_ctx *cx, lt_linear *l)
{
    lt_few *s = lt_few_state(cx, l);
    if (!s || !lt_param_load(cx, &l->weight, LT_I8) || !lt_param_load(cx, &s->scale, LT_F32) || !lt_param_load(cx, &s->multiply, LT_F32) ||
        !narrow_codes(cx, l))
        return false;
    l->coding.multiply = s->multiply.value.data;
    const void *codes = l->weight.value.data;
    bool done = lt_sparse_pays(cx, l, codes) ? lt_sparse_prepare(cx, l, codes, s->scale.value.data)
                                             : lt_few_pack(cx, l, LT_PRODUCT_INT8, codes, s->scale.value.data);
    lt_param_drop(&l->weight);
    lt_param_drop(&s->scale);
    return done;
}

static lt_tensor *encode(lt_ctx *cx, const lt_linear *l, lt_tensor *x) { return lt_few_encode(cx, l, LT_PRODUCT_INT8, x); }
static lt_tensor *run(lt_ctx *cx, const lt_linear *l, lt_tensor *x, const lt_epilogue *e) { return lt_few_run(cx, l, LT_PRODUCT_INT8, x, e); }

const lt_linear_kind lt_linear_int8 = {
    .is = {"linear", "int8", "weights and inputs of 8 bits, a scale for each output and each row, outliers apart", "Dettmers et al. 2022, arXiv 2208.07339"},
    .declare = declare,
    .run = run,
    .encode = encode,
    .reads_bf16 = true,
    .rows = rows,
    .prepare = prepare,
    .convert = convert,
    .release = lt_few_release,
};
