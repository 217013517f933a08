/* Calibration: a model runs some texts, and taps on its linears note what they read: largest magnitudes, outliers, moments and, where asked
 * for, the Gram matrix. Batches are cut by tokens and run one after another on the caller's thread (threads work inside operations), so that
 * sums have one order. */
#include <math.h>
#include <string.h>

#include "compress/batches.h"

typedef struct run { /* of one calibration */
    lt_calibration *c;
    bool gram;
    lt_noted *next;  /* while taps are set */
} run;

typedef struct tapped { /* what a watch is handed */
    const lt_calibration *c;
    lt_noted *noted;
} tapped;

/* ---- what is noted ---- */

static bool add_gram(lt_ctx *cx, lt_noted *t, const float *x, int64_t rows)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *turned = lt_tensor_2d(cx, LT_F32, t->in, rows);
    for (int64_t r = 0; turned && r < rows; r++)
        for (int64_t i = 0; i < t->in; i++) ((float *)turned->data)[i * rows + r] = x[r * t->in + i];
    const lt_tensor *g = lt_matmul_t(cx, turned, turned);
    for (int64_t i = 0; g && i < t->in * t->in; i++) t->gram[i] += (double)((const float *)g->data)[i];
    lt_end(cx, scope);
    return g != NULL;
}

static void note_row(lt_noted *t, const float *x, float threshold)
{
    double part[4] = {0};
    for (int64_t i = 0; i < t->in; i++) {
        const float size = fabsf(x[i]);
        const double a = x[i], b = a * a;
        t->most[i] = size > t->most[i] ? size : t->most[i];
        t->over[i] += size >= threshold;
        part[0] += a;
        part[1] += b;
        part[2] += a * b;
        part[3] += b * b;
    }
    for (int i = 0; i < 4; i++) t->sum[i] += part[i];
}

static void note(void *arg, lt_ctx *cx, const lt_linear *l, const lt_tensor *x)
{
    const tapped *tap = arg;
    lt_noted *t = tap->noted;
    if (x->dtype != LT_F32 || x->rank != 2 || x->shape[1] != t->in || x->stride[0] != t->in) {
        lt_fail(cx, LT_ERR_USAGE, "%s: calibrating takes a model opened in f32", l->name);
        return;
    }
    const float *rows = x->data;
    for (int64_t r = 0; r < x->shape[0]; r++) note_row(t, rows + r * t->in, (float)tap->c->threshold);
    t->rows += x->shape[0];
    if (!isfinite(t->sum[1])) lt_fail(cx, LT_ERR_INPUT, "%s: its input has numbers that are not finite", l->name);
    else if (t->gram && x->shape[0]) add_gram(cx, t, rows, x->shape[0]);
}

/* ---- linears ---- */

static bool note_weights(lt_ctx *cx, lt_noted *t, const lt_linear *l)
{
    lt_scope scope = lt_open(cx, NULL);
    float *w = lt_alloc_array(cx, t->in, sizeof *w);
    bool good = w != NULL;
    for (int32_t j = 0; good && j < l->out; j++) {
        good = l->kind->rows(cx, l, &j, 1, w);
        for (int64_t i = 0; good && i < t->in; i++) t->weight[i] = fabsf(w[i]) > t->weight[i] ? fabsf(w[i]) : t->weight[i];
    }
    lt_end(cx, scope);
    return good;
}

static bool count(lt_ctx *cx, const lt_readers *r, void *arg)
{
    run *k = arg;
    k->c->n++;
    k->c->layers = r->layer + 1;
    return true;
}

static bool begin(lt_ctx *cx, const lt_readers *r, void *arg)
{
    run *k = arg;
    lt_noted *t = k->next++;
    *t = (lt_noted){.layer = r->layer, .at = r->at, .readers = r->n, .in = r->l[0]->in};
    t->most = lt_new(cx, t->in, sizeof *t->most);
    t->weight = lt_new(cx, t->in, sizeof *t->weight);
    t->over = lt_new(cx, t->in, sizeof *t->over);
    if (k->gram && lt_ok(cx)) t->gram = lt_new(cx, t->in * t->in, sizeof *t->gram);
    for (int i = 0; lt_ok(cx) && i < r->n; i++) {
        if (r->l[i]->dtype != LT_F32 || !r->l[i]->kind->rows)
            return lt_fail_if(cx, true, LT_ERR_USAGE, "%s: calibrating takes a model opened in f32", r->l[i]->name);
        t->name[i] = lt_strdup(cx, r->l[i]->name);
        note_weights(cx, t, r->l[i]);
    }
    return lt_ok(cx);
}

typedef struct taps {
    tapped *next;
    bool set;
} taps;

/* One of the readers is enough. */
static bool set_tap(lt_ctx *cx, const lt_readers *r, void *arg)
{
    taps *t = arg;
    r->l[0]->watch = t->set ? note : NULL;
    r->l[0]->watch_arg = t->set ? t->next++ : NULL;
    return true;
}

/* ---- running ---- */

static bool run_batch(void *arg, lt_ctx *cx, const lt_batch *batch, int64_t first) { return lt_model_hidden(cx, arg, batch) != NULL; }

lt_calibration *lt_calibrate(lt_ctx *cx, lt_model *m, const int32_t *ids, const int64_t *begin_at, int64_t n, const lt_calibrate_options *o)
{
    if (!m || !lt_ok(cx)) return NULL;
    lt_calibration *c = lt_new(cx, 1, sizeof *c);
    if (!c) return NULL;
    run k = {.c = c, .gram = o && o->gram};
    c->threshold = o && o->threshold > 0 ? o->threshold : 6;
    lt_model_readers(cx, m, count, &k);
    tapped *tap = lt_new(cx, c->n + 1, sizeof *tap);
    k.next = c->noted = lt_new(cx, c->n + 1, sizeof *c->noted);
    for (int i = 0; tap && c->noted && i < c->n; i++) tap[i] = (tapped){c, &c->noted[i]};
    bool good = tap && c->noted && lt_fail_if(cx, begin_at[n] == begin_at[0], LT_ERR_INPUT, "the inputs have no tokens") &&
                lt_model_readers(cx, m, begin, &k) && lt_model_readers(cx, m, set_tap, &(taps){tap, true});
    good = good && lt_each_batch(cx, "calibrating", ids, begin_at, n, run_batch, m);
    lt_model_readers(cx, m, set_tap, &(taps){NULL, false});
    lt_free(tap);
    if (good) return c;
    lt_calibration_free(c);
    return NULL;
}

void lt_calibration_free(lt_calibration *c)
{
    for (int i = 0; c && c->noted && i < c->n; i++) {
        lt_noted *t = &c->noted[i];
        for (int j = 0; j < t->readers; j++) lt_free(t->name[j]);
        lt_free(t->most);
        lt_free(t->weight);
        lt_free(t->over);
        lt_free(t->gram);
    }
    if (c) lt_free(c->noted);
    lt_free(c);
}

const lt_noted *lt_calibration_of(const lt_calibration *c, const char *linear)
{
    for (int i = 0; i < c->n; i++)
        for (int j = 0; j < c->noted[i].readers; j++)
            if (strcmp(c->noted[i].name[j], linear) == 0) return &c->noted[i];
    return NULL;
}
