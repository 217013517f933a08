/* The linear slot: where a fused kernel and a differentiable product meet. Every projection of every model goes through
 * lt_project, so a new kind of weights serves all of them. */
#include "lathe/nn.h"

#include <inttypes.h>
#include <string.h>

static lt_tensor *project_in_ops(lt_ctx *cx, const lt_linear *l, lt_tensor *x, const lt_epilogue *e)
{
    lt_tensor *y = l->kind->forward(cx, l, x);
    if (e && e->act) y = lt_activate(cx, y, e->act);
    if (e && e->residual) y = lt_add(cx, y, e->residual);
    return y;
}

static bool is_recorded(lt_ctx *cx, const lt_linear *l, const lt_tensor *x, const lt_epilogue *e)
{
    return lt_recording(cx) && (lt_differentiated(x) || lt_differentiated(&l->weight.value) || lt_differentiated(&l->bias.value) || (e && lt_differentiated(e->residual)));
}

lt_tensor *lt_project(lt_ctx *cx, const lt_linear *l, lt_tensor *x, const lt_epilogue *e)
{
    if (!x) return NULL;
    lt_scope scope = lt_open(cx, l->name);
    lt_tensor *y = NULL;
    if (x->dtype == LT_BF16 && !x->coded && !(l->ready && l->kind->reads_bf16)) x = lt_cast(cx, x, l->dtype);
    if (x && (x->rank != 2 || x->shape[1] != l->in || (x->dtype != l->dtype && !l->kind->reads_bf16)))
        lt_fail(cx, LT_ERR_USAGE, "linear [%" PRId64 ", %" PRId64 "] of %s and an input %s of %s", l->out, l->in, lt_dtype_name(l->dtype), lt_shape(cx, x),
                lt_dtype_name(x->dtype));
    else if (!x) y = NULL;
    else if (l->watch && (l->watch(l->watch_arg, cx, l, x), !lt_ok(cx))) y = NULL;
    else if (l->ready && !is_recorded(cx, l, x, e)) y = l->kind->run(cx, l, x, e);
    else if (l->kind->forward) y = project_in_ops(cx, l, x, e);
    else lt_fail(cx, LT_ERR_UNSUPPORTED, "linear kind \"%s\" has no gradient", l->kind->is.name);
    return lt_close(cx, scope, y);
}

static bool same_coding(const lt_linear *a, const lt_linear *b)
{
    const lt_coding *x = &a->coding, *y = &b->coding;
    if (x->threshold != y->threshold || x->symmetric != y->symmetric || !x->multiply != !y->multiply) return false;
    return !x->multiply || (a->in == b->in && memcmp(x->multiply, y->multiply, (size_t)a->in * sizeof *x->multiply) == 0);
}

lt_tensor *lt_encode_for(lt_ctx *cx, const lt_linear *const *l, int n, lt_tensor *x)
{
    for (int i = 0; i < n; i++)
        if (l[i]->kind != l[0]->kind || !l[i]->ready || l[i]->watch || !same_coding(l[i], l[0])) return x;
    return x && l[0]->kind->encode && !lt_recording(cx) ? l[0]->kind->encode(cx, l[0], x) : x;
}

lt_tensor *lt_linear_rows(lt_ctx *cx, const lt_linear *l, const int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= l->out)
            return lt_fail(cx, LT_ERR_INPUT, "%s: id %d at token %" PRId64 ": expected 0 to %" PRId64, l->name, ids[i], i, l->out - 1);
    lt_tensor *w = lt_recording(cx) ? lt_param_use((lt_param *)&l->weight) : NULL;
    if (w && l->kind == &lt_linear_dense && w->dtype == l->dtype && !l->rounded) return lt_gather(cx, w, ids, n);
    if (lt_recording(cx) && l->weight.value.grad) return lt_fail(cx, LT_ERR_UNSUPPORTED, "%s: rows of kind \"%s\" have no gradient", l->name, l->kind->is.name);
    lt_tensor *out = lt_tensor_2d(cx, l->dtype, n, l->in);
    return out && l->kind->rows(cx, l, ids, n, out->data) ? out : NULL;
}

static bool load_as_stored(lt_decl *d, lt_param *p) { return lt_param_load(d->cx, p, p->as); }
static bool do_nothing(lt_decl *d, lt_param *p) { return true; }

bool lt_linear_expand(lt_ctx *cx, lt_linear *l)
{
    lt_linear dense = {.kind = &lt_linear_dense, .name = l->name, .in = l->in, .out = l->out, .dtype = l->dtype};
    lt_decl load = {.cx = cx, .visit = load_as_stored}, name = {.cx = cx, .visit = do_nothing};
    bool good = l->kind->declare(l, &load) && dense.kind->declare(&dense, &name) && lt_param_make(cx, &dense.weight, l->dtype);
    for (int32_t i = 0; good && i < l->out; i++)
        good = l->kind->rows(cx, l, &i, 1, (char *)dense.weight.value.data + (size_t)i * (size_t)l->in * lt_dtype_size(l->dtype));
    if (!good) {
        lt_param_free(&dense.weight);
        return false;
    }
    l->kind->release(l);
    lt_param_drop(&l->weight);
    lt_param_free(&l->weight);
    l->kind = dense.kind;
    l->weight = dense.weight;
    l->weight.value.param = &l->weight;
    return true;
}

void lt_linear_free(lt_linear *l)
{
    if (l->kind && l->kind->release) l->kind->release(l);
    lt_param_free(&l->weight);
    lt_param_free(&l->bias);
    lt_free(l->name);
    *l = (lt_linear){0};
}
