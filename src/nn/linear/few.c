/* What linear kinds with weights of fewer bits share: declaring, packing, running and releasing. */
#include "nn/linear/few.h"

lt_few *lt_few_state(lt_ctx *cx, lt_linear *l)
{
    if (!l->state) l->state = lt_new(cx, 1, sizeof(lt_few));
    return l->state;
}

bool lt_few_bias(lt_linear *l, lt_decl *d)
{
    return !l->has_bias || lt_declare(d, &l->bias, l->name, "bias", 1, (int64_t[]){l->out}, LT_INIT_ZERO);
}

static bool do_nothing(lt_decl *d, lt_param *p) { return true; }

bool lt_few_take(lt_ctx *cx, lt_linear *l, lt_param *dense)
{
    lt_decl d = {.cx = cx, .visit = do_nothing};
    *dense = l->weight;
    l->weight = (lt_param){0};
    return l->kind->declare(l, &d);
}

bool lt_few_pack(lt_ctx *cx, lt_linear *l, lt_product_id id, const void *codes, const float *scale)
{
    const lt_kernels *kn = lt_kernels_of(cx, l->dtype);
    if (!kn || !kn->product[id])
        return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: %s weights need f32 arithmetic, not %s", l->name, l->kind->is.name, lt_dtype_name(l->dtype));
    l->packed = lt_new(cx, (int64_t)lt_product_bytes(kn, id, l->out, l->in), 1);
    if (!l->packed) return false;
    kn->product[id]->pack(l->out, l->in, codes, scale, l->packed);
    l->packed_for = kn;
    l->ready = true;
    return true;
}

lt_tensor *lt_few_encode(lt_ctx *cx, const lt_linear *l, lt_product_id id, lt_tensor *x) { return lt_code_rows(cx, id, x, &l->coding); }

lt_tensor *lt_few_run(lt_ctx *cx, const lt_linear *l, lt_product_id id, lt_tensor *x, const lt_epilogue *e)
{
    const lt_kernels *kn = lt_kernels_of(cx, l->dtype);
    if (kn != l->packed_for)
        return kn ? lt_fail(cx, LT_ERR_USAGE, "the weights were packed for \"%s\", this context runs \"%s\"", l->packed_for->isa, kn->isa) : NULL;
    lt_gemm_epilogue g = {.bias = l->has_bias ? l->bias.value.data : NULL};
    if (e) {
        g.act = e->act;
        g.to_bf16 = e->narrow;
        if (e->residual) {
            g.residual = e->residual->data;
            g.residual_stride = e->residual->stride[0];
        }
    }
    return lt_product_run(cx, id, x, &l->coding, l->packed, l->out, &g, e ? e->out : NULL);
}

void lt_few_put(const lt_linear *l, void *out, int64_t i, double x)
{
    if (l->dtype == LT_F64) ((double *)out)[i] = x;
    else ((float *)out)[i] = (float)x;
}

void lt_few_release(lt_linear *l)
{
    lt_free(l->packed);
    l->packed = NULL;
    l->ready = false;
    lt_few *s = l->state;
    if (s) {
        lt_param_free(&s->scale);
        lt_param_free(&s->shape);
        lt_param_free(&s->multiply);
    }
    lt_free(s);
    l->state = NULL;
    l->coding.multiply = NULL;
}
