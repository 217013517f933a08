/* Dense weights: one matrix [out, in] and a bias. For running they are packed once into the panels of this machine's product kernel,
 * and the pages they came from go back to the system. */
#include "nn/linear/sparse.h"

#include <string.h>

static bool declare(lt_linear *l, lt_decl *d)
{
    return lt_declare_as(d, &l->weight, l->name, "weight", l->rounded ? LT_BF16 : LT_F32, 2, (int64_t[]){l->out, l->in}, LT_INIT_NORMAL) &&
           (!l->has_bias || lt_declare(d, &l->bias, l->name, "bias", 1, (int64_t[]){l->out}, LT_INIT_ZERO));
}

static lt_tensor *forward(lt_ctx *cx, const lt_linear *l, lt_tensor *x)
{
    lt_tensor *w = lt_param_use((lt_param *)&l->weight), *b = lt_param_use((lt_param *)&l->bias);
    if (!w) return lt_fail(cx, LT_ERR_USAGE, "the plain weights are not in memory: they were packed for running");
    lt_tensor *y = lt_matmul_t(cx, x, w);
    return l->has_bias ? lt_add_row(cx, y, b) : y;
}

static lt_tensor *run(lt_ctx *cx, const lt_linear *l, lt_tensor *x, const lt_epilogue *e)
{
    const lt_kernels *kn = lt_kernels_of(cx, l->dtype);
    if (kn != l->packed_for)
        return kn ? lt_fail(cx, LT_ERR_USAGE, "the weights were packed for \"%s\", this context runs \"%s\"", l->packed_for->isa, kn->isa) : NULL;
    lt_gemm_epilogue g = {.bias = l->has_bias ? l->bias.value.data : NULL};
    if (e) {
        g.act = e->act;
        if (e->residual) {
            g.residual = e->residual->data;
            g.residual_stride = e->residual->stride[0];
        }
    }
    return lt_gemm(cx, x, l->packed, l->out, &g, e ? e->out : NULL);
}

/* A row of the plain weight, which may lie in memory as bf16. */
static void read_row(const lt_linear *l, int64_t id, void *to)
{
    const lt_tensor *w = &l->weight.value;
    const size_t row = (size_t)l->in * lt_dtype_size(w->dtype);
    const char *from = (const char *)w->data + (size_t)id * row;
    if (w->dtype == LT_BF16) lt_bf16_to_f32(l->in, from, to);
    else if (l->rounded) lt_round_to_bf16(l->in, (const float *)from, to);
    else memcpy(to, from, row);
}

static bool rows(lt_ctx *cx, const lt_linear *l, const int32_t *ids, int64_t n, void *out)
{
    const size_t row = (size_t)l->in * lt_dtype_size(l->dtype);
    for (int64_t i = 0; i < n; i++) {
        void *to = (char *)out + (size_t)i * row;
        if (l->weight.value.data) read_row(l, ids[i], to);
        else l->packed_for->unpack_row(l->in, l->packed, ids[i], to);
    }
    return true;
}

/* In memory of its own: the file is only read. */
static bool round_weight(lt_ctx *cx, lt_linear *l)
{
    lt_param rounded = l->weight;
    rounded.owned = NULL;
    if (!lt_param_make(cx, &rounded, LT_F32)) return false;
    lt_round_to_bf16(l->out * l->in, l->weight.value.data, rounded.value.data);
    lt_param_drop(&l->weight);
    l->weight = rounded;
    return true;
}

static bool prepare(lt_ctx *cx, lt_linear *l)
{
    const lt_kernels *kn = lt_kernels_of(cx, l->dtype);
    if (!kn || !lt_param_load(cx, &l->weight, l->dtype) || (l->rounded && !round_weight(cx, l))) return false;
    if (lt_sparse_pays(cx, l, l->weight.value.data)) return lt_sparse_prepare(cx, l, l->weight.value.data, NULL);
    l->packed = lt_new(cx, (int64_t)lt_packed_bytes(kn, l->out, l->in), 1);
    if (!l->packed) return false;
    kn->pack(l->out, l->in, l->weight.value.data, l->in, 1, l->packed);
    lt_param_drop(&l->weight);
    l->packed_for = kn;
    l->ready = true;
    return true;
}

static void release(lt_linear *l)
{
    lt_free(l->packed);
    l->packed = NULL;
    l->ready = false;
}

const lt_linear_kind lt_linear_dense = {
    .is = {"linear", "dense", "one matrix and a bias, packed for the machine's product kernel", ""},
    .declare = declare,
    .forward = forward,
    .run = run,
    .rows = rows,
    .prepare = prepare,
    .release = release,
};
