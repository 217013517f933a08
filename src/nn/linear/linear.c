/* The linear slot: where a fused kernel and a differentiable product meet. Every projection of every model goes through
 * lt_project, so a new kind of weights serves all of them. */
#include "lathe/nn.h"

#include <inttypes.h>

static lt_tensor *project_in_ops(lt_ctx *cx, const lt_linear *l, lt_tensor *x, const lt_epilogue *e)
{
    lt_tensor *y = l->kind->forward(cx, l, x);
    if (e && e->act) y = lt_activate(cx, y, e->act);
    if (e && e->residual) y = lt_add(cx, y, e->residual);
    return y;
}

lt_tensor *lt_project(lt_ctx *cx, const lt_linear *l, lt_tensor *x, const lt_epilogue *e)
{
    if (!x) return NULL;
    lt_scope scope = lt_open(cx, l->name);
    lt_tensor *y = NULL;
    if (x->rank != 2 || x->shape[1] != l->in || x->dtype != l->dtype)
        lt_fail(cx, LT_ERR_USAGE, "linear [%" PRId64 ", %" PRId64 "] of %s and an input %s of %s", l->out, l->in, lt_dtype_name(l->dtype), lt_shape(cx, x),
                lt_dtype_name(x->dtype));
    else if (l->ready && !lt_recording(cx)) y = l->kind->run(cx, l, x, e);
    else if (l->kind->forward) y = project_in_ops(cx, l, x, e);
    else lt_fail(cx, LT_ERR_UNSUPPORTED, "linear kind \"%s\" has no gradient", l->kind->is.name);
    return lt_close(cx, scope, y);
}

static const lt_op op_linear_rows = {.name = "linear_rows"};

lt_tensor *lt_linear_rows(lt_ctx *cx, const lt_linear *l, const int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= l->out)
            return lt_fail(cx, LT_ERR_INPUT, "%s: id %d at token %" PRId64 ": expected 0 to %" PRId64, l->name, ids[i], i, l->out - 1);
    if (lt_recording(cx)) return lt_fail(cx, LT_ERR_UNSUPPORTED, "%s: %s has no gradient", l->name, op_linear_rows.name);
    lt_tensor *out = lt_tensor_2d(cx, l->dtype, n, l->in);
    return out && l->kind->rows(cx, l, ids, n, out->data) ? out : NULL;
}

void lt_linear_free(lt_linear *l)
{
    if (l->kind && l->kind->release) l->kind->release(l);
    lt_param_free(&l->weight);
    lt_param_free(&l->bias);
    lt_free(l->name);
    *l = (lt_linear){0};
}
