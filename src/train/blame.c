/* What a run that has to stop says: the step, the rows of its batch, the parameter. And when a loss is no longer like those before it: large against
 * their median, which a few large ones do not move (Chowdhery et al. 2022, arXiv 2204.02311, section 5.1, tell of such spikes). */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/train.h"

enum { TEXT_MOST = 500, RECENT_LEAST = 10 };

/* "rows.tsv:3,17,40 (3 rows)" */
static void put_rows(lt_str *s, const lt_examples *e, const lt_minibatch *b, int batches)
{
    int64_t rows = 0, shown = 0;
    int32_t file = -1;
    const size_t begin = s->size;
    for (int i = 0; i < batches; i++)
        for (int32_t k = 0; k < b[i].examples; k++, rows++) {
            const lt_example *x = &e->at[b[i].example[k]];
            if (s->size - begin > TEXT_MOST) continue;
            if (x->line > 0 && (int32_t)x->file < e->files && (int32_t)x->file != file) lt_str_printf(s, "%s%s:", shown ? " " : "", e->file[file = (int32_t)x->file]);
            else if (shown) lt_str_puts(s, ",");
            lt_str_printf(s, "%" PRId64, x->line > 0 ? (int64_t)x->line : b[i].example[k] + 1);
            shown++;
        }
    lt_str_printf(s, "%s (%" PRId64 " row%s)", shown < rows ? ",…" : "", rows, rows == 1 ? "" : "s");
}

static bool stop(lt_ctx *cx, const lt_run *r, const lt_minibatch *b, int batches, lt_str *s)
{
    lt_str_puts(s, "; the batch: ");
    put_rows(s, &r->train, b, batches);
    lt_fail_if(cx, true, LT_ERR_INPUT, "step %" PRId64 ": %s", r->place.step + 1, s->failed ? "it has to stop" : s->data);
    lt_str_free(s);
    return false;
}

static const char *first_not_finite(const lt_run *r, bool of_weights)
{
    for (int i = 0; i < r->params; i++) {
        const lt_trained *t = &r->param[i];
        if (!isfinite(r->kn->sum_squares(t->count, of_weights ? t->param->value.data : t->grad.data))) return t->param->name;
    }
    return NULL;
}

bool lt_blame_not_finite(lt_ctx *cx, const lt_run *r, const char *what, const lt_minibatch *b, int batches)
{
    const char *weight = first_not_finite(r, true), *gradient = weight ? NULL : first_not_finite(r, false);
    lt_str s = {0};
    lt_str_printf(&s, "the %s is not a finite number", what);
    if (weight) lt_str_printf(&s, "; the first parameter that is not either: %s", weight);
    if (gradient) lt_str_printf(&s, "; the first gradient that is not either: of %s", gradient);
    lt_str_puts(&s, "; a smaller rate or clipping may help");
    return stop(cx, r, b, batches, &s);
}

bool lt_blame_update(lt_ctx *cx, const lt_run *r, const lt_minibatch *b, int batches)
{
    lt_str s = {0};
    const char *weight = first_not_finite(r, true);
    lt_str_printf(&s, "parameter \"%s\" is not finite after the update; a smaller rate or clipping may help", weight ? weight : "");
    return stop(cx, r, b, batches, &s);
}

/* ---- spikes ---- */

static int by_size(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(const lt_place *p)
{
    double x[LT_RECENT];
    memcpy(x, p->recent, (size_t)p->recents * sizeof *x);
    qsort(x, (size_t)p->recents, sizeof *x, by_size);
    return (x[(p->recents - 1) / 2] + x[p->recents / 2]) / 2;
}

static void remember(lt_place *p, double loss)
{
    if (p->recents == LT_RECENT) memmove(p->recent, p->recent + 1, (size_t)(--p->recents) * sizeof *p->recent);
    p->recent[p->recents++] = loss;
}

static const char *largest_gradient(const lt_run *r, double *norm)
{
    const char *name = "";
    *norm = 0;
    for (int i = 0; i < r->params; i++) {
        const double x = sqrt(r->kn->sum_squares(r->param[i].count, r->param[i].grad.data));
        if (x < *norm) continue;
        *norm = x;
        name = r->param[i].param->name;
    }
    return name;
}

bool lt_blame_spike(lt_ctx *cx, lt_run *r, double loss, const lt_minibatch *b, int batches)
{
    lt_place *p = &r->place;
    if (!(r->o->spike > 0)) return true;
    const double middle = p->recents >= RECENT_LEAST ? median(p) : INFINITY;
    if (loss <= r->o->spike * middle) {
        remember(p, loss);
        return true;
    }
    lt_str s = {0};
    double norm;
    const char *name = largest_gradient(r, &norm);
    lt_str_printf(&s, "the loss of %.6g is more than %g times %.6g, the median of the last %d steps; the largest gradient: of %s (norm %.4g)", loss, r->o->spike,
                  middle, p->recents, name, norm);
    return stop(cx, r, b, batches, &s);
}
