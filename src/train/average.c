/* Weights that are evaluated and saved beside those that are trained: an exponential moving average (Polyak & Juditsky 1992; --ema), or what an optimizer
 * makes of its own sequences. While they are shown they stand in the model's place, and the trained ones wait where the average was. */
#include <string.h>

#include "train/optimizer/optimizer.h"

bool lt_averages(const lt_run *r) { return r->o->ema > 0 || r->optimizer->shown; }

static size_t bytes_of(const lt_run *r, const lt_trained *t) { return (size_t)t->count * r->kn->elem; }

/* The average begins at the first weights, as in timm. */
bool lt_average_begin(lt_ctx *cx, lt_run *r)
{
    for (int i = 0; i < r->params && lt_averages(r); i++) {
        lt_trained *t = &r->param[i];
        if (!(t->average = lt_new(cx, t->count, r->kn->elem))) return false;
        memcpy(t->average, t->param->value.data, bytes_of(r, t));
    }
    return true;
}

static void exchange(char *a, char *b, size_t bytes)
{
    char room[4096];
    for (size_t i = 0, n; i < bytes; i += n) {
        n = bytes - i < sizeof room ? bytes - i : sizeof room;
        memcpy(room, a + i, n);
        memcpy(a + i, b + i, n);
        memcpy(b + i, room, n);
    }
}

static void exchange_one(void *arg, lt_ctx *cx, int64_t i)
{
    const lt_run *r = arg;
    const lt_trained *t = &r->param[i];
    if (r->optimizer->shown) { /* the trained ones, and then what they show */
        memcpy(t->average, t->param->value.data, bytes_of(r, t));
        lt_approach(r->kn, t->count, r->optimizer->shown(r), t->state[0].data, t->param->value.data);
    } else {
        exchange(t->average, t->param->value.data, bytes_of(r, t));
    }
}

bool lt_average_show(lt_ctx *cx, lt_run *r)
{
    lt_weights_changed(cx);
    return !lt_averages(r) || lt_parallel(cx, r->params, exchange_one, r);
}

void lt_average_hide(lt_ctx *cx, lt_run *r)
{
    lt_weights_changed(cx);
    for (int i = 0; i < r->params && lt_averages(r); i++) exchange(r->param[i].average, r->param[i].param->value.data, bytes_of(r, &r->param[i]));
}
