/* What a run's words stand for: the optimizer with the settings behind its name, the schedule, how gradients are clipped, and what the loss is a mean over.
 * In these published pipelines differ, and their results with them; each default is what most of them do. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/dist/dist.h"

/* ---- settings of an optimizer ---- */

/* The number of a word in "no|yes"; -1: it is none of them. */
static int word_number(const char *words, const char *word, size_t size)
{
    for (int i = 0;; i++) {
        const size_t n = strcspn(words, "|");
        if (n == size && memcmp(words, word, n) == 0) return i;
        if (!words[n]) return -1;
        words += n + 1;
    }
}

/* The default first: "yes|no". */
static void put_setting(lt_str *s, const lt_setting *x)
{
    lt_str_printf(s, "%s=", x->name);
    if (!x->words) lt_str_printf(s, "%g", x->initial);
    for (int pass = 0; x->words && pass < 2; pass++) {
        int number = 0;
        for (const char *w = x->words; *w; number++) {
            const size_t n = strcspn(w, "|");
            if ((number == (int)x->initial) == (pass == 0)) lt_str_printf(s, "%s%.*s", pass ? "|" : "", (int)n, w);
            w += n + (w[n] == '|');
        }
    }
}

char *lt_train_settings(lt_ctx *cx, const char *optimizer)
{
    const lt_optimizer_kind *kind = lt_optimizer_named(optimizer);
    lt_str s = {0};
    for (const lt_setting *x = kind ? kind->settings : NULL; x && x->name; x++) {
        if (x > kind->settings) lt_str_puts(&s, ", ");
        put_setting(&s, x);
    }
    char *text = s.failed ? NULL : lt_sprintf(cx, "%s", s.data ? s.data : "");
    lt_str_free(&s);
    return text;
}

static bool set(lt_ctx *cx, lt_run *r, const char *p, size_t all)
{
    const size_t name = strcspn(p, ",=");
    const lt_setting *x = r->optimizer->settings;
    while (x && x->name && (strlen(x->name) != name || memcmp(x->name, p, name) != 0)) x++;
    if (!x || !x->name) {
        const char *known = lt_train_settings(cx, r->optimizer->is.name);
        return lt_fail_if(cx, true, LT_ERR_USAGE, "optimizer %s: \"%.*s\" is none of its settings (%s)", r->optimizer->is.name, (int)name, p,
                          known && *known ? known : "it has none");
    }
    const char *text = p + (name < all ? name + 1 : name);
    const size_t size = (size_t)(p + all - text);
    char *end = NULL;
    const double value = x->words ? word_number(x->words, text, size) : size ? strtod(text, &end) : NAN;
    const bool good = x->words ? value >= 0 : end == p + all && value >= x->min && value <= x->max;
    if (good) r->setting[x - r->optimizer->settings] = value;
    if (good) return true;
    const char *kind = r->optimizer->is.name;
    if (x->words) return lt_fail_if(cx, true, LT_ERR_USAGE, "optimizer %s: %s=%.*s: one of %s is expected", kind, x->name, (int)size, text, x->words);
    return lt_fail_if(cx, true, LT_ERR_USAGE, "optimizer %s: %s=%.*s: a number from %g to %g is expected", kind, x->name, (int)size, text, x->min, x->max);
}

static bool find_optimizer(lt_ctx *cx, lt_run *r, const char *text)
{
    char name[64];
    const size_t size = strcspn(text, ":");
    snprintf(name, sizeof name, "%.*s", (int)size, text);
    r->optimizer = lt_optimizer_named(name);
    if (!r->optimizer) return lt_fail_if(cx, true, LT_ERR_USAGE, "optimizer \"%s\" is not known", name);
    const lt_setting *x = r->optimizer->settings;
    for (int i = 0; x && x[i].name; i++) r->setting[i] = x[i].initial;
    for (const char *p = text + size; *p;) {
        p++; /* the colon, or a comma */
        const size_t all = strcspn(p, ",");
        if (!set(cx, r, p, all)) return false;
        p += all;
    }
    return true;
}

bool lt_details_find(lt_ctx *cx, lt_run *r)
{
    const lt_train_options *o = r->o;
    const char *schedule = o->schedule ? o->schedule : "constant", *by = o->clip_by ? o->clip_by : "global", *mean = o->mean ? o->mean : "step";
    if (!find_optimizer(cx, r, o->optimizer ? o->optimizer : "adamw")) return false;
    r->schedule = lt_schedule_named(schedule);
    r->clip_tensors = strcmp(by, "tensor") == 0;
    r->clip_workers = strcmp(by, "worker") == 0;
    const int over = word_number("step|batch|sequence|none", mean, strlen(mean));
    r->mean = over < 0 ? LT_OVER_STEP : over;
    return lt_fail_if(cx, !r->schedule, LT_ERR_USAGE, "schedule \"%s\" is not known", schedule) &&
           lt_fail_if(cx, r->clip_workers && !r->dist->calls, LT_ERR_USAGE,
                      "clip-by worker: this run has no workers, only data-parallel ones have; global or tensor is expected") &&
           lt_fail_if(cx, !r->clip_tensors && !r->clip_workers && strcmp(by, "global") != 0, LT_ERR_USAGE, "clip-by \"%s\": global, tensor or worker is expected", by) &&
           lt_fail_if(cx, over < 0, LT_ERR_USAGE, "loss-mean \"%s\": step, batch, sequence or none is expected", mean) &&
           lt_fail_if(cx, !(o->ema >= 0 && o->ema < 1), LT_ERR_USAGE, "ema %g: from 0 to less than 1 is expected", o->ema) &&
           lt_fail_if(cx, !(o->anchor >= 0 && o->anchor <= 1e6), LT_ERR_USAGE, "anchor %g: from 0 to 1e6 is expected", o->anchor) &&
           lt_fail_if(cx, !(o->layer_decay > 0 && o->layer_decay <= 1), LT_ERR_USAGE, "layer-decay %g: more than 0, and 1 at most, is expected",
                      o->layer_decay) &&
           (!r->optimizer->fits || r->optimizer->fits(cx, r));
}

/* ---- what the loss is a mean over ---- */

/* One over how many targets a token's sequence has; the number of sequences that have some. */
static int64_t weigh_sequences(lt_ctx *cx, lt_minibatch *b)
{
    const lt_seqs *s = b->batch.seqs;
    double *weight = lt_alloc_array(cx, lt_seqs_rows(s), sizeof *weight);
    int64_t with = 0;
    for (int32_t i = 0; weight && i < s->n; i++) {
        int64_t n = 0;
        for (int32_t k = s->offset[i]; k < s->offset[i + 1]; k++) n += b->labels[k] >= 0;
        for (int32_t k = s->offset[i]; k < s->offset[i + 1]; k++) weight[k] = n ? 1 / (double)n : 0;
        with += n > 0;
    }
    b->weight = weight;
    return with;
}

bool lt_losses_weigh(lt_ctx *cx, const lt_run *r, lt_minibatch *b, int batches, double *by_counted, double *by_sequences)
{
    int64_t counted = 0, sequences = 0, with = 0;
    for (int i = 0; i < batches; i++) {
        /* A target of a whole sequence is that sequence's mean. */
        counted += r->mean == LT_OVER_SEQUENCE && b[i].labels ? weigh_sequences(cx, &b[i]) : b[i].counted;
        sequences += b[i].batch.seqs->n;
        with += b[i].counted > 0;
    }
    for (int i = 0; i < batches; i++) {
        const double n = (double)b[i].batch.seqs->n;
        by_counted[i] = r->mean == LT_OVER_NOTHING ? 1 : r->mean == LT_OVER_BATCH ? 1 / ((double)b[i].counted * (double)with) : 1 / (double)counted;
        by_sequences[i] = r->mean == LT_OVER_NOTHING ? 1 : r->mean == LT_OVER_BATCH ? 1 / (n * batches) : 1 / (double)sequences;
    }
    return lt_ok(cx);
}
