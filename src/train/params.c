/* What a run learns: the parameters of its model that are not frozen, each with its gradient and the optimizer's states. */
#include <regex.h>
#include <string.h>

#include "train/train.h"

typedef struct gathering {
    lt_run *r;
    int room;
    regex_t freeze;
    bool freezes;
} gathering;

static bool gather_param(void *arg, lt_ctx *cx, lt_param *p)
{
    gathering *g = arg;
    lt_run *r = g->r;
    for (int i = 0; i < r->params; i++)
        if (r->param[i].param == p) return true;
    if (g->freezes && regexec(&g->freeze, p->name, 0, NULL, 0) == 0) return true;
    if (r->params == g->room) {
        lt_trained *more = lt_resize(cx, r->param, g->room + 64, sizeof *more);
        if (!more) return false;
        r->param = more;
        g->room += 64;
    }
    lt_trained *t = &r->param[r->params++];
    *t = (lt_trained){.param = p, .count = 1, .grad = p->value, .rate = 1};
    for (int i = 0; i < p->value.rank; i++) t->count *= p->value.shape[i];
    t->grad.param = NULL;
    t->grad.data = lt_new(cx, t->count, r->kn->elem);
    return t->grad.data != NULL;
}

static bool make_states(lt_ctx *cx, const lt_run *r, lt_trained *t)
{
    const lt_optimizer_kind *kind = r->optimizer;
    for (int k = 0; k < LT_STATES && kind->state[k]; k++) {
        lt_tensor s = {.dtype = t->param->value.dtype, .rank = t->param->value.rank};
        memcpy(s.shape, t->param->value.shape, sizeof s.shape);
        if (kind->has && !kind->has(r, t, k, &s)) continue;
        int64_t count = 1;
        for (int i = 0; i < s.rank; i++) count *= s.shape[i];
        if (!(s.data = lt_new(cx, count, r->kn->elem))) return false;
        t->state[k] = s;
    }
    if (kind->begin) kind->begin(r, t);
    return true;
}

bool lt_params_gather(lt_ctx *cx, lt_run *r)
{
    gathering g = {.r = r};
    if (r->o->freeze) {
        const int code = regcomp(&g.freeze, r->o->freeze, REG_EXTENDED | REG_NOSUB);
        char why[200];
        if (code) regerror(code, &g.freeze, why, sizeof why);
        if (code) return lt_fail_if(cx, true, LT_ERR_USAGE, "freeze: %s: %s", r->o->freeze, why);
        g.freezes = true;
    }
    bool good = lt_model_params(cx, r->model, gather_param, &g) && (!r->extra || gather_param(&g, cx, r->extra));
    if (g.freezes) regfree(&g.freeze);
    if (!good || !lt_fail_if(cx, r->params == 0, LT_ERR_USAGE, "freeze: %s leaves no parameter to train", r->o->freeze) || !lt_roles_give(cx, r)) return false;
    for (int i = 0; i < r->params; i++)
        if (!make_states(cx, r, &r->param[i])) return false;
    lt_params_wake(r); /* the array has stopped moving */
    return lt_average_begin(cx, r) && lt_anchor_begin(cx, r);
}

void lt_params_wake(lt_run *r)
{
    for (int i = 0; i < r->params; i++) {
        lt_trained *t = &r->param[i];
        t->param->value.grad = r->place.step >= t->frozen ? &t->grad : NULL;
    }
}

void lt_params_free(lt_run *r)
{
    for (int i = 0; i < r->params; i++) {
        r->param[i].param->value.grad = NULL;
        lt_free(r->param[i].grad.data);
        lt_free(r->param[i].average);
        lt_free(r->param[i].start);
        for (int k = 0; k < LT_STATES; k++) lt_free(r->param[i].state[k].data);
    }
    lt_free(r->param);
}
