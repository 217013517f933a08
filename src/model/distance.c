/* How far apart the weights of two models are: the norm of their difference over all tensors that both files hold, in f64. Heads and poolers that only one
 * of them has are left out; so is what stands before a name in a model with a head ("bert."). */
#include "model/model.h"

#include <math.h>
#include <string.h>

static bool same_name(const char *a, const char *b)
{
    const char *of_a = strchr(a, '.'), *of_b = strchr(b, '.');
    return strcmp(a, b) == 0 || (of_a && strcmp(of_a + 1, b) == 0) || (of_b && strcmp(a, of_b + 1) == 0);
}

static bool is_float(const lt_stored *s) { return s->dtype == LT_F32 || s->dtype == LT_F64 || s->dtype == LT_F16 || s->dtype == LT_BF16; }

static const lt_stored *partner(const lt_weights *w, const lt_stored *a)
{
    const lt_stored *b = lt_weights_find(w, a->name);
    for (int i = 0; !b && i < lt_weights_count(w); i++)
        if (same_name(a->name, lt_weights_at(w, i)->name)) b = lt_weights_at(w, i);
    if (!b || a->rank != b->rank || !is_float(a) || !is_float(b)) return NULL;
    for (int d = 0; d < a->rank; d++)
        if (a->shape[d] != b->shape[d]) return NULL;
    return b;
}

static bool add(lt_ctx *cx, const lt_stored *a, const lt_stored *b, lt_distance *d)
{
    int64_t n = 1;
    for (int i = 0; i < a->rank; i++) n *= a->shape[i];
    lt_scope scope = lt_open(cx, a->name);
    double *x = lt_alloc_array(cx, n, sizeof *x), *y = lt_alloc_array(cx, n, sizeof *y);
    const bool good = x && y && lt_stored_read(cx, a, LT_F64, x) && lt_stored_read(cx, b, LT_F64, y);
    for (int64_t i = 0; good && i < n; i++) {
        d->apart += (x[i] - y[i]) * (x[i] - y[i]);
        d->norm += y[i] * y[i];
    }
    d->parameters += n;
    lt_stored_release(a);
    lt_stored_release(b);
    lt_end(cx, scope);
    return good;
}

bool lt_model_distance(lt_ctx *cx, const char *model, const char *from, lt_distance *d)
{
    *d = (lt_distance){0};
    lt_weights *a = lt_weights_open(cx, model), *b = a ? lt_weights_open(cx, from) : NULL;
    bool good = b != NULL;
    for (int i = 0; good && i < lt_weights_count(a); i++) {
        const lt_stored *x = lt_weights_at(a, i), *y = partner(b, x);
        if (y) good = add(cx, x, y, d);
    }
    lt_weights_close(a);
    lt_weights_close(b);
    d->apart = sqrt(d->apart);
    d->norm = sqrt(d->norm);
    return good && lt_fail_if(cx, d->parameters == 0, LT_ERR_INPUT, "%s: no tensor has the name, the shape and a type of floats of one in %s", model, from) &&
           lt_fail_if(cx, !isfinite(d->apart), LT_ERR_INPUT, "%s or %s: a weight is not a finite number", model, from);
}
