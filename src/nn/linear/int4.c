/* Weights of 4 bits in groups of 32 along the input that share a scale, chosen for the least squared error; inputs and arithmetic
 * are f32. Parameters hold eight codes in each 32-bit number, the first in its lowest bits. */
#include "nn/linear/few.h"
#include "nn/linear/sparse.h"

#include <string.h>

static int64_t groups(const lt_linear *l) { return (l->in + LT_INT4_GROUP - 1) / LT_INT4_GROUP; }
static int64_t words(const lt_linear *l) { return (l->in + 7) / 8; }

static bool declare(lt_linear *l, lt_decl *d)
{
    lt_few *s = lt_few_state(d->cx, l);
    return s && lt_declare_as(d, &l->weight, l->name, "weight_packed", LT_I32, 2, (int64_t[]){l->out, words(l)}, LT_INIT_NONE) &&
           lt_declare(d, &s->scale, l->name, "weight_scale", 2, (int64_t[]){l->out, groups(l)}, LT_INIT_NONE) &&
           lt_declare_as(d, &s->shape, l->name, "weight_shape", LT_I64, 1, (int64_t[]){2}, LT_INIT_NONE) && lt_few_bias(l, d);
}

static void pack_row(int64_t n, const uint8_t *codes, uint32_t *to)
{
    memset(to, 0, (size_t)(n + 7) / 8 * sizeof *to);
    for (int64_t i = 0; i < n; i++) to[i / 8] |= (uint32_t)codes[i] << 4 * (i % 8);
}

static void unpack_row(int64_t n, const uint32_t *from, uint8_t *codes)
{
    for (int64_t i = 0; i < n; i++) codes[i] = from[i / 8] >> 4 * (i % 8) & 15;
}

static bool make(lt_ctx *cx, lt_linear *l)
{
    lt_few *s = l->state;
    if (!lt_param_make(cx, &l->weight, LT_I32) || !lt_param_make(cx, &s->scale, LT_F32) || !lt_param_make(cx, &s->shape, LT_I64)) return false;
    memcpy(s->shape.value.data, (int64_t[]){l->out, l->in}, 2 * sizeof(int64_t));
    return true;
}

static bool quantize(lt_ctx *cx, lt_linear *l, const float *w)
{
    lt_few *s = l->state;
    uint8_t *codes = lt_new(cx, l->in, 1);
    bool done = codes && make(cx, l);
    for (int64_t j = 0; done && j < l->out; j++) {
        lt_quantize_int4(1, l->in, w + j * l->in, codes, (float *)s->scale.value.data + j * groups(l));
        pack_row(l->in, codes, (uint32_t *)l->weight.value.data + j * words(l));
    }
    lt_free(codes);
    return done;
}

bool lt_linear_set_int4(lt_ctx *cx, lt_linear *l, const uint8_t *codes, const float *scale)
{
    lt_param dense;
    l->kind = &lt_linear_int4;
    bool done = lt_few_take(cx, l, &dense) && make(cx, l);
    for (int64_t j = 0; done && j < l->out; j++) pack_row(l->in, codes + j * l->in, (uint32_t *)l->weight.value.data + j * words(l));
    if (done) memcpy(((lt_few *)l->state)->scale.value.data, scale, (size_t)(l->out * groups(l)) * sizeof *scale);
    lt_param_drop(&dense);
    lt_param_free(&dense);
    return done;
}

static bool convert(lt_ctx *cx, lt_linear *l)
{
    lt_param dense;
    bool done = lt_few_take(cx, l, &dense) && quantize(cx, l, dense.value.data);
    lt_param_drop(&dense);
    lt_param_free(&dense);
    return done;
}

static bool check_shape(lt_ctx *cx, const lt_linear *l)
{
    const int64_t *shape = ((const lt_few *)l->state)->shape.value.data;
    if (shape[0] == l->out && shape[1] == l->in) return true;
    return lt_fail_if(cx, true, LT_ERR_INPUT, "tensor \"%s.weight_shape\": [%lld, %lld], expected [%lld, %lld] by config.json", l->name, (long long)shape[0],
                      (long long)shape[1], (long long)l->out, (long long)l->in);
}

static bool rows(lt_ctx *cx, const lt_linear *l, const int32_t *ids, int64_t n, void *out)
{
    const lt_few *s = l->state;
    const uint32_t *packed = l->weight.value.data;
    const float *scale = s->scale.value.data;
    if (!packed) return lt_fail_if(cx, true, LT_ERR_USAGE, "%s: the codes are not in memory: they were packed for running", l->name);
    if (!check_shape(cx, l)) return false;
    for (int64_t r = 0; r < n; r++)
        for (int64_t i = 0; i < l->in; i++) {
            int code = (int)(packed[ids[r] * words(l) + i / 8] >> 4 * (i % 8) & 15);
            lt_few_put(l, out, r * l->in + i, (double)scale[ids[r] * groups(l) + i / LT_INT4_GROUP] * (code - 8));
        }
    return true;
}

/* Whether to look at blocks at all, for which the weights must be floats. */
static bool mostly_zero(const lt_linear *l, const uint8_t *codes)
{
    int64_t zeros = 0;
    for (int64_t i = 0; i < l->out * l->in; i++) zeros += codes[i] == 8;
    return zeros >= l->out * l->in / 10 * 9;
}

static bool pack(lt_ctx *cx, lt_linear *l, const uint8_t *codes)
{
    const float *scale = ((const lt_few *)l->state)->scale.value.data;
    float *w = mostly_zero(l, codes) ? lt_new(cx, l->out * l->in, sizeof *w) : NULL;
    for (int64_t i = 0; w && i < l->out * l->in; i++) w[i] = scale[i / l->in * groups(l) + i % l->in / LT_INT4_GROUP] * (float)(codes[i] - 8);
    if (!lt_ok(cx)) return false;
    const bool done = w && lt_sparse_pays(cx, l, w) ? lt_sparse_prepare(cx, l, w, NULL) : lt_few_pack(cx, l, LT_PRODUCT_INT4, codes, scale);
    lt_free(w);
    return done;
}

static bool prepare(lt_ctx *cx, lt_linear *l)
{
    lt_few *s = lt_few_state(cx, l);
    if (!s || !lt_param_load(cx, &l->weight, LT_I32) || !lt_param_load(cx, &s->scale, LT_F32) || !lt_param_load(cx, &s->shape, LT_I64) || !check_shape(cx, l))
        return false;
    uint8_t *codes = lt_new(cx, l->out * l->in, 1);
    for (int64_t j = 0; codes && j < l->out; j++) unpack_row(l->in, (const uint32_t *)l->weight.value.data + j * words(l), codes + j * l->in);
    bool done = codes && pack(cx, l, codes);
    lt_free(codes);
    lt_param_drop(&l->weight);
    lt_param_drop(&s->scale);
    return done;
}

static lt_tensor *run(lt_ctx *cx, const lt_linear *l, lt_tensor *x, const lt_epilogue *e) { return lt_few_run(cx, l, LT_PRODUCT_INT4, x, e); }

const lt_linear_kind lt_linear_int4 = {
    .is = {"linear", "int4", "weights of 4 bits, a scale for each 32 inputs of each output", "Dettmers & Zettlemoyer 2023, arXiv 2212.09720"},
    .declare = declare,
    .run = run,
    .rows = rows,
    .prepare = prepare,
    .convert = convert,
    .release = lt_few_release,
};
