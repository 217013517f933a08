/* An anchor: a penalty on how far weights have moved from where the run began, half its weight times the squared distance (L2-SP: Li, Grandvalet & Davoine
 * 2018, arXiv 1802.01483). Its gradient is added to the loss's, so that clipping and the optimizer see both; the loss that is logged is without it. */
#include <string.h>

#include "train/optimizer/optimizer.h"

bool lt_anchor_begin(lt_ctx *cx, lt_run *r)
{
    for (int i = 0; i < r->params && r->o->anchor > 0; i++) {
        lt_trained *t = &r->param[i];
        if (!(t->start = lt_new(cx, t->count, r->kn->elem))) return false;
        memcpy(t->start, t->param->value.data, (size_t)t->count * r->kn->elem);
    }
    return true;
}

/* The difference first: what is left of two products would be their rounding. */
static void pull_one(void *arg, lt_ctx *cx, int64_t at)
{
    enum { BLOCK = 512 };
    const lt_run *r = arg;
    const lt_trained *t = &r->param[at];
    double room[BLOCK];
    for (int64_t i = 0; i < t->count && t->grad.reached; i += BLOCK) {
        const int64_t n = t->count - i < BLOCK ? t->count - i : BLOCK;
        memcpy(room, lt_element(r->kn, t->param->value.data, i), (size_t)n * r->kn->elem);
        r->kn->axpy(n, -1, lt_element(r->kn, t->start, i), room);
        r->kn->axpy(n, r->o->anchor, room, lt_element(r->kn, t->grad.data, i));
    }
}

bool lt_anchor_pull(lt_ctx *cx, lt_run *r) { return !(r->o->anchor > 0) || lt_parallel(cx, r->params, pull_one, r); }
