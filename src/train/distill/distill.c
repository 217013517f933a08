/* Distillation: a teacher sees what the student sees, and some of what it makes of it is the student's target. Each loss is a mean over the tokens of
 * a sequence, then over the step's sequences; they stand beside the objective's own loss, or alone. What both see is what the objective made of the
 * texts, in the pass that is the objective's too, or the texts as they were read, in a pass of its own behind that. */
#include "train/distill/distill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is asked for ---- */

static bool add_loss(lt_ctx *cx, lt_distill *d, const char *name, size_t size, double weight)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)size, name);
    if (strcmp(text, "objective") == 0) {
        d->own = weight;
        return true;
    }
    const lt_distill_kind *kind = lt_distill_named(text);
    if (!kind) return lt_fail_if(cx, true, LT_ERR_USAGE, "losses: \"%s\" is not known (known: logits, hidden, attention, values, queries, keys, cls; objective)", text);
    if (d->losses == LT_DISTILL_LOSSES) return lt_fail_if(cx, true, LT_ERR_USAGE, "losses: more than %d", LT_DISTILL_LOSSES);
    d->loss[d->losses].kind = kind;
    d->loss[d->losses++].weight = weight;
    return true;
}

/* "attention,values=0.5" */
static bool parse(lt_ctx *cx, lt_distill *d, const char *losses)
{
    d->own = 1;
    for (const char *p = losses; *p;) {
        const size_t all = strcspn(p, ","), name = strcspn(p, ",=");
        double weight = 1;
        if (name < all) {
            char *end;
            weight = strtod(p + name + 1, &end);
            if (end != p + all || end == p + name + 1 || !(weight >= 0 && weight < 1e30))
                return lt_fail_if(cx, true, LT_ERR_USAGE, "losses: \"%.*s\": a weight from 0 on is expected behind '='", (int)all, p);
        }
        if (!add_loss(cx, d, p, name, weight)) return false;
        p += all + (p[all] == ',');
    }
    return lt_fail_if(cx, d->losses == 0, LT_ERR_USAGE, "losses: one at least of logits, hidden, attention, values, queries, keys, cls is expected");
}

bool lt_distill_open(lt_ctx *cx, lt_run *r)
{
    const lt_train_options *o = r->o;
    lt_distill *d = r->distill = lt_new(cx, 1, sizeof *d);
    if (!d || !parse(cx, d, o->losses)) return false;
    d->temperature = o->temperature;
    d->relation_heads = o->relation_heads;
    d->clean = o->clean_inputs;
    return (d->teacher = lt_model_open(cx, o->teacher, &(lt_model_options){.no_tokenizer = true})) && (d->about = lt_model_inspect(cx, o->teacher));
}

static bool is_clean(const lt_distill *d, int i) { return d->clean || d->loss[i].kind->clean; }

bool lt_distills(const lt_run *r, bool clean)
{
    for (int i = 0; r->distill && i < r->distill->losses; i++)
        if (is_clean(r->distill, i) == clean) return true;
    return false;
}

static bool has_in(const lt_run *r, bool clean, bool (*is)(const lt_distill_kind *))
{
    for (int i = 0; r->distill && i < r->distill->losses; i++)
        if (is_clean(r->distill, i) == clean && is(r->distill->loss[i].kind)) return true;
    return false;
}

static bool has(const lt_run *r, bool (*is)(const lt_distill_kind *)) { return has_in(r, false, is) || has_in(r, true, is); }

static bool of_logits(const lt_distill_kind *k) { return k->logits; }
static bool of_states(const lt_distill_kind *k) { return k->states; }
static bool of_projection(const lt_distill_kind *k) { return k->projects; }
static bool of_relations(const lt_distill_kind *k) { return k->relates; }

const lt_model_info *lt_distill_head(const lt_run *r) { return has(r, of_logits) ? r->distill->about : NULL; }

/* The student is open: do the two fit? */
bool lt_distill_fit(lt_ctx *cx, lt_run *r)
{
    lt_distill *d = r->distill;
    if (!d) return true;
    const lt_model_info *s = lt_model_about(r->model), *t = d->about;
    if (s->vocab != t->vocab)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: a vocabulary of %d, the teacher's is %d: both have to read the same tokens", s->path, s->vocab, t->vocab);
    if (r->limit > t->max_tokens) r->limit = t->max_tokens;
    const int heads = d->relation_heads;
    if (has(r, of_relations) && !heads && s->heads != t->heads)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %d attention heads, the teacher has %d: equal numbers are expected, or --relation-heads for values, queries and keys",
                          s->path, s->heads, t->heads);
    if (heads && (s->hidden % heads || t->hidden % heads))
        return lt_fail_if(cx, true, LT_ERR_USAGE, "relation-heads: %d does not divide both widths, %d and %d", heads, s->hidden, t->hidden);
    if (!has(r, of_projection) || s->hidden == t->hidden) return true;
    lt_param *p = &d->projection;
    p->name = lt_strdup(cx, "distill.projection.weight");
    p->value = (lt_tensor){.dtype = LT_F32, .rank = 2, .param = p};
    for (int i = 0; i < LT_MAX_RANK; i++) p->value.shape[i] = i == 0 ? t->hidden : i == 1 ? s->hidden : 1;
    for (int i = 0; i < LT_MAX_RANK; i++) p->value.stride[i] = i == 0 ? s->hidden : 1;
    if (!p->name || !lt_param_make(cx, p, LT_F32)) return false;
    lt_param_normal(p, r->o->seed, 0.02);
    r->extra = p;
    return true;
}

void lt_distill_close(lt_distill *d)
{
    if (!d) return;
    lt_model_close(d->teacher);
    lt_param_free(&d->projection);
    lt_free(d);
}

/* ---- what the models show ---- */

static void keep(void *arg, lt_tap_place place, int layer, lt_tensor *x)
{
    lt_states *s = arg;
    if (layer <= s->layers) s->at[place][layer] = x;
}

/* `taps`: a tape records, so that what passes stays as it was. */
static lt_tensor *watch(lt_ctx *cx, lt_states *s, const lt_model *m, const lt_batch *batch, bool taps)
{
    s->model = m;
    s->layers = lt_model_about(m)->layers;
    for (int i = 0; i < LT_TAPS && taps; i++) {
        if (!(s->at[i] = lt_alloc_array(cx, s->layers + 1, sizeof **s->at))) return NULL;
        memset(s->at[i], 0, (size_t)(s->layers + 1) * sizeof **s->at);
    }
    if (taps) lt_tap_on(cx, keep, s);
    s->last = lt_model_hidden(cx, m, batch);
    lt_tap_on(cx, NULL, NULL);
    return s->last;
}

/* ---- one batch ---- */

/* The tokens whose logits are compared: those that count, or all. */
static int64_t rows_of_logits(const lt_minibatch *b, int32_t *at)
{
    const int64_t tokens = lt_seqs_rows(b->batch.seqs);
    int64_t n = 0;
    for (int64_t i = 0; i < tokens; i++)
        if (!b->labels || b->counted == 0 || b->labels[i] >= 0) at[n++] = (int32_t)i;
    return n;
}

/* One over how many of the rows are of the same sequence. */
static double *shares(lt_ctx *cx, const lt_seqs *s, const int32_t *at, int64_t n)
{
    double *w = lt_alloc_array(cx, n, sizeof *w);
    int32_t seq = 0;
    for (int64_t i = 0, end; w && i < n; i = end) {
        while (at[i] >= s->offset[seq + 1]) seq++;
        for (end = i; end < n && at[end] < s->offset[seq + 1];) end++;
        for (int64_t k = i; k < end; k++) w[k] = 1 / (double)(end - i);
    }
    return w;
}

static bool heads(lt_ctx *cx, lt_distilled *x, lt_states *student, lt_states *teacher, const lt_minibatch *b, bool clean, int32_t *at)
{
    lt_tensor *mine = student->last, *theirs = teacher->last;
    const lt_seqs *s = x->seqs;
    if (lt_model_head_per_token(student->model) && lt_model_head_per_token(teacher->model)) {
        const int64_t n = clean ? lt_seqs_rows(s) : rows_of_logits(b, at);
        if (!(x->logit_weight = shares(cx, s, at, n))) return false;
        mine = lt_gather(cx, mine, at, n);
        theirs = lt_gather(cx, theirs, at, n);
    }
    return (student->logits = lt_model_head(cx, student->model, mine, s)) && (teacher->logits = lt_model_head(cx, teacher->model, theirs, s));
}

static lt_tensor *sum(lt_ctx *cx, lt_tensor *a, lt_tensor *b) { return a && b ? lt_add(cx, a, b) : NULL; }

static lt_tensor *compare(lt_ctx *cx, const lt_run *r, const lt_minibatch *b, bool clean, lt_states *student, lt_states *teacher, double by_sequences)
{
    const lt_distill *d = r->distill;
    lt_distilled x = {.d = d, .seqs = clean ? b->clean.seqs : b->batch.seqs, .student = student, .teacher = teacher};
    const int64_t tokens = lt_seqs_rows(x.seqs);
    int32_t *at = lt_alloc_array(cx, tokens, sizeof *at);
    lt_tensor *loss = NULL;
    for (int64_t i = 0; at && i < tokens; i++) at[i] = (int32_t)i;
    if (!at || !(x.row_weight = shares(cx, x.seqs, at, tokens))) return NULL;
    if (has_in(r, clean, of_logits) && !heads(cx, &x, student, teacher, b, clean, at)) return NULL;
    for (int i = 0; i < d->losses; i++) {
        if (is_clean(d, i) != clean) continue;
        lt_tensor *one = d->loss[i].kind->loss(cx, &x, d->loss[i].weight * by_sequences);
        if (!one) return NULL;
        loss = loss ? sum(cx, loss, one) : one;
    }
    return loss;
}

lt_tensor *lt_batch_loss(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, double by_counted, double by_sequences)
{
    lt_states student = {0}, teacher = {0};
    const bool taught = lt_distills(r, false), taps = has_in(r, false, of_states);
    lt_dropout_rows(cx, lt_seqs_rows(b->batch.seqs), b->token_row);
    lt_tensor *hidden = watch(cx, &student, r->model, &b->batch, taps), *own = NULL;
    if (!hidden) return NULL;
    lt_dropout_rows(cx, b->outputs, b->output_row);
    if (b->counted && !(own = r->objective->loss(cx, r, e, b, hidden, r->distill ? r->distill->own * by_counted : by_counted))) return NULL;
    if (r->objective->also) {
        lt_tensor *also = r->objective->also(cx, r, e, b, hidden, r->distill ? r->distill->own * by_sequences : by_sequences);
        own = b->counted ? sum(cx, own, also) : also;
        if (!own) return NULL;
    }
    if (!taught) return own;
    if (!watch(cx, &teacher, r->distill->teacher, &b->batch, taps)) return NULL;
    lt_tensor *loss = compare(cx, r, b, false, &student, &teacher, by_sequences);
    return own ? sum(cx, own, loss) : loss;
}

lt_tensor *lt_clean_loss(lt_ctx *cx, const lt_run *r, const lt_minibatch *b, double by_sequences)
{
    lt_states student = {0}, teacher = {0};
    const bool taps = has_in(r, true, of_states);
    /* Nothing of the teacher's goes back: it is done, and its scratch given back, before a tape holds on to everything. */
    if (taps && !lt_tape_begin(cx)) return NULL;
    if (!watch(cx, &teacher, r->distill->teacher, &b->clean, taps)) return NULL;
    if (!taps && !lt_tape_begin(cx)) return NULL;
    lt_dropout_rows(cx, lt_seqs_rows(b->clean.seqs), b->token_row);
    if (!watch(cx, &student, r->model, &b->clean, taps)) return NULL;
    return compare(cx, r, b, true, &student, &teacher, by_sequences);
}
