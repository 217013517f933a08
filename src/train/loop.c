/* The loop: read the examples, open the model, then step after step: gradients of all batches of a step, their norm, an update; between steps
 * the log, validations and checkpoints. */
#include "train/train.h"

#include <inttypes.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const lt_train_options lt_train_defaults = {.objective = "classify", .batch = 32, .accumulate = 1, .optimizer = "adamw", .lr = 5e-5, .weight_decay = 0.01,
                                            .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .momentum = 0.9, .clip = 1, .dropout = -1, .schedule = "constant", .temperature = 1};

/* ---- parameters ---- */

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
    *t = (lt_trained){.param = p, .count = 1, .grad = p->value, .decays = p->value.rank > 1};
    for (int i = 0; i < p->value.rank; i++) t->count *= p->value.shape[i];
    t->grad.param = NULL;
    t->grad.data = lt_new(cx, t->count, r->kn->elem);
    bool good = t->grad.data != NULL;
    for (int k = 0; k < r->optimizer->moments; k++) good = good && (t->moment[k] = lt_new(cx, t->count, r->kn->elem));
    return good;
}

static bool gather_params(lt_ctx *cx, lt_run *r)
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
    for (int i = 0; good && i < r->params; i++) r->param[i].param->value.grad = &r->param[i].grad; /* the array has stopped moving */
    return good && lt_fail_if(cx, r->params == 0, LT_ERR_USAGE, "freeze: %s leaves no parameter to train", r->o->freeze);
}

/* ---- one step ---- */

static double number(const lt_tensor *t) { return t->dtype == LT_F64 ? *(double *)t->data : (double)*(float *)t->data; }

static const char *first_not_finite(const lt_run *r, bool of_weights)
{
    for (int i = 0; i < r->params; i++) {
        const lt_trained *t = &r->param[i];
        if (!isfinite(r->kn->sum_squares(t->count, of_weights ? t->param->value.data : t->grad.data))) return t->param->name;
    }
    return NULL;
}

static bool not_finite(lt_ctx *cx, const lt_run *r, const char *what)
{
    const char *weight = first_not_finite(r, true), *gradient = weight ? NULL : first_not_finite(r, false);
    return lt_fail_if(cx, true, LT_ERR_INPUT, "step %" PRId64 ": the %s is not a finite number%s%s%s; a smaller rate or clipping may help", r->place.step + 1, what,
                      weight ? "; the first parameter that is not either: " : gradient ? "; the first gradient that is not either: of " : "",
                      weight ? weight : gradient ? gradient : "", "");
}

static void clear(const lt_run *r, lt_trained *t)
{
    memset(t->grad.data, 0, (size_t)t->count * r->kn->elem);
    t->grad.reached = false;
}

static bool gradients(lt_ctx *cx, lt_run *r, lt_train_step *s)
{
    const int batches = r->o->accumulate > 1 ? r->o->accumulate : 1;
    lt_minibatch *b = lt_alloc_array(cx, batches, sizeof *b);
    int64_t counted = 0, sequences = 0;
    for (int i = 0; b && i < batches; i++) {
        if (!lt_next_batch(cx, r, &b[i])) return false;
        counted += b[i].counted;
        sequences += b[i].batch.seqs->n;
        s->tokens += lt_seqs_rows(b[i].batch.seqs);
    }
    for (int i = 0; i < r->params; i++) clear(r, &r->param[i]);
    for (int i = 0; b && i < batches; i++) {
        if (b[i].counted == 0 && !r->distill) continue;
        if (!lt_tape_begin(cx)) return false;
        lt_tensor *loss = lt_batch_loss(cx, r, &r->train, &b[i], 1 / (double)counted, 1 / (double)sequences);
        const bool good = loss && lt_backward(cx, loss, NULL);
        if (good) s->loss += number(loss);
        lt_tape_end(cx);
        if (!good) return false;
    }
    return b != NULL;
}

/* ---- pieces of parameters, for all threads ---- */

enum { PIECE = 1 << 15 };

static int64_t count_pieces(const lt_run *r)
{
    int64_t pieces = 0;
    for (int p = 0; p < r->params; p++) pieces += (r->param[p].count + PIECE - 1) / PIECE;
    return pieces;
}

/* Piece i over all parameters one after another. */
static const lt_trained *piece(const lt_run *r, int64_t i, int64_t *begin, int64_t *n)
{
    int p = 0;
    for (int64_t here; i >= (here = (r->param[p].count + PIECE - 1) / PIECE); i -= here) p++;
    const lt_trained *t = &r->param[p];
    *begin = i * PIECE;
    *n = t->count - *begin < PIECE ? t->count - *begin : PIECE;
    return t;
}

typedef struct updating {
    const lt_run *r;
    double lr, scale;
} updating;

static void update_piece(void *arg, lt_ctx *cx, int64_t i)
{
    const updating *u = arg;
    int64_t begin = 0, n;
    const lt_trained *t = u->r->optimizer->whole ? &u->r->param[i] : piece(u->r, i, &begin, &n);
    if (!t->grad.reached) return; /* no loss depends on it: it neither moves nor decays */
    if (u->r->optimizer->whole) n = t->count;
    u->r->optimizer->step(u->r, u->r->kn, t, u->r->place.step + 1, u->lr, u->scale, begin, n);
}

typedef struct summing {
    const lt_run *r;
    bool weights;
    double *partial;
} summing;

static void sum_piece(void *arg, lt_ctx *cx, int64_t i)
{
    const summing *s = arg;
    int64_t begin, n;
    const lt_trained *t = piece(s->r, i, &begin, &n);
    s->partial[i] = s->r->kn->sum_squares(n, (const char *)(s->weights ? t->param->value.data : t->grad.data) + (size_t)begin * s->r->kn->elem);
}

/* Σ of the squares of all weights or all gradients: infinite or NaN if one of them is. */
static bool sum_all(lt_ctx *cx, const lt_run *r, bool weights, double *sum)
{
    const int64_t pieces = count_pieces(r);
    lt_scope scope = lt_open(cx, NULL);
    summing s = {r, weights, lt_alloc_array(cx, pieces, sizeof(double))};
    const bool good = s.partial && lt_parallel(cx, pieces, sum_piece, &s);
    *sum = 0;
    for (int64_t i = 0; good && i < pieces; i++) *sum += s.partial[i];
    lt_end(cx, scope);
    return good;
}

static bool take_step(lt_ctx *cx, lt_run *r, lt_train_step *s)
{
    const double start = lt_now();
    lt_scope scope = lt_open(cx, NULL);
    const int64_t step = r->place.step;
    lt_dropout_on(cx, r->o->seed, (uint32_t)step);
    *s = (lt_train_step){.step = step + 1, .steps = r->steps, .lr = lt_schedule_rate(r->schedule, r->o->lr, step, r->o->warmup, r->steps)};
    bool good = gradients(cx, r, s);
    lt_dropout_off(cx);
    lt_end(cx, scope);
    if (!good) return false;
    double squares;
    if (!sum_all(cx, r, false, &squares)) return false;
    s->grad_norm = sqrt(squares);
    if (!isfinite(s->loss)) return not_finite(cx, r, "loss");
    if (!isfinite(s->grad_norm)) return not_finite(cx, r, "gradient");
    const double limit = r->o->clip > 0 ? r->o->clip / (s->grad_norm + 1e-6) : 1; /* as PyTorch's clip_grad_norm_ */
    if (!lt_parallel(cx, r->optimizer->whole ? r->params : count_pieces(r), update_piece, &(updating){r, s->lr, limit < 1 ? limit : 1}) || !sum_all(cx, r, true, &squares)) return false;
    const char *bad = isfinite(squares) ? NULL : first_not_finite(r, true);
    if (bad) return lt_fail_if(cx, true, LT_ERR_INPUT, "step %" PRId64 ": parameter \"%s\" is not finite after the update; a smaller rate or clipping may help", step + 1, bad);
    r->place.step++;
    s->seconds = lt_now() - start;
    return true;
}

/* ---- validation ---- */

static int64_t largest(const lt_tensor *t, int64_t row)
{
    const float *x = (const float *)t->data + row * t->stride[0];
    int64_t best = 0;
    for (int64_t j = 1; j < t->shape[1]; j++)
        if (x[j] > x[best]) best = j;
    return best;
}

/* How many targets the head's largest output is right about. */
static int64_t right_ones(lt_ctx *cx, const lt_run *r, const lt_minibatch *b)
{
    const lt_seqs *s = b->batch.seqs;
    const bool tokens = lt_model_head_per_token(r->model);
    lt_tensor *y = lt_model_head(cx, r->model, lt_model_hidden(cx, r->model, &b->batch), s);
    int64_t right = 0;
    for (int64_t i = 0; y && i < y->shape[0]; i++) {
        const int32_t label = tokens ? b->labels[i] : r->valid.at[b->example[i]].label;
        right += label >= 0 && largest(y, i) == label;
    }
    return right;
}

static bool validate(lt_ctx *cx, lt_run *r, lt_log *log, lt_train_result *result)
{
    const bool tells = r->objective->names;
    double loss = 0;
    int64_t counted = 0, right = 0;
    for (int64_t begin = 0, end; begin < r->valid.n && lt_ok(cx); begin = end) {
        lt_scope scope = lt_open(cx, NULL);
        end = lt_batch_end(r, &r->valid, NULL, begin);
        int64_t *which = lt_alloc_array(cx, end - begin, sizeof *which);
        for (int64_t i = begin; which && i < end; i++) which[i - begin] = i;
        lt_minibatch b;
        lt_tensor *sum = NULL;
        const bool there = which && lt_batch_of(cx, r, &r->valid, which, (int32_t)(end - begin), &b) && (b.counted || r->distill);
        const int64_t sequences = there ? b.batch.seqs->n : 0, own = there && b.counted ? b.counted : sequences;
        if (there && (!r->distill || lt_tape_begin(cx))) sum = lt_batch_loss(cx, r, &r->valid, &b, 1, (double)own / (double)sequences);
        if (sum) loss += number(sum);
        if (sum) counted += own;
        lt_tape_end(cx);
        if (sum) {
            if (tells) right += right_ones(cx, r, &b);
        }
        lt_end(cx, scope);
    }
    if (!lt_ok(cx)) return false;
    result->valid_loss = counted ? loss / (double)counted : 0;
    const bool better = result->valid_loss < r->place.best;
    if (better) r->place.best = result->valid_loss;
    r->place.worse = better ? 0 : r->place.worse + 1;
    return lt_log_valid(cx, log, r->place.step, result->valid_loss, tells && counted ? (double)right / (double)counted : NAN);
}

/* ---- the run ---- */

static bool loop(lt_ctx *cx, lt_run *r, lt_log *log, lt_train_report_fn *report, void *arg, lt_train_result *result)
{
    const lt_train_options *o = r->o;
    bool ended = false;
    while (r->place.step < r->steps && !ended) {
        lt_train_step s;
        if (!lt_ok(cx) || !take_step(cx, r, &s) || !lt_log_step(cx, log, &s)) return false;
        result->loss = s.loss;
        if (report) report(arg, &s);
        const bool last = r->place.step == r->steps;
        if (o->valid && (last || (o->every && r->place.step % o->every == 0)) && !validate(cx, r, log, result)) return false;
        ended = o->patience && r->place.worse >= o->patience;
        if (o->save_every && r->place.step % o->save_every == 0 && !lt_checkpoint_save(cx, r, false)) return false;
    }
    return lt_checkpoint_save(cx, r, true);
}

static bool count_steps(lt_ctx *cx, lt_run *r)
{
    const lt_train_options *o = r->o;
    const int64_t accumulate = o->accumulate > 1 ? o->accumulate : 1;
    r->steps = o->steps;
    if (o->steps) return true;
    int64_t batches = 0;
    for (int64_t e = 0, n; e < (o->epochs ? o->epochs : 1); e++, batches += n)
        if ((n = lt_batches_of_epoch(cx, r, e)) < 0) return false;
    r->steps = (batches + accumulate - 1) / accumulate;
    return true;
}

static bool find_slots(lt_ctx *cx, lt_run *r)
{
    const lt_train_options *o = r->o;
    r->objective = lt_objective_named(o->objective);
    r->optimizer = lt_optimizer_named(o->optimizer ? o->optimizer : "adamw");
    r->schedule = lt_schedule_named(o->schedule ? o->schedule : "constant");
    return lt_fail_if(cx, r->objective == &lt_objective_none && !o->teacher, LT_ERR_USAGE, "objective \"none\" is for distillation") &&
           lt_fail_if(cx, !r->objective, LT_ERR_USAGE, "objective \"%s\" is not known", o->objective) &&
           lt_fail_if(cx, !r->optimizer, LT_ERR_USAGE, "optimizer \"%s\" is not known", o->optimizer) &&
           lt_fail_if(cx, !r->schedule, LT_ERR_USAGE, "schedule \"%s\" is not known", o->schedule) &&
           lt_fail_if(cx, o->batch < 1 && !o->batch_tokens, LT_ERR_USAGE, "a batch of %d sequences", o->batch);
}

/* What configs say where nobody named the labels: LABEL_0, LABEL_1 … */
static bool are_placeholders(const lt_model_info *about)
{
    char text[32];
    bool all = true;
    for (int i = 0; i < about->labels && all; i++) {
        snprintf(text, sizeof text, "LABEL_%d", i);
        all = strcmp(about->label[i], text) == 0;
    }
    return all;
}

/* Labels of the data that are numbers of the model's nameless ones stand for those. */
static bool number_labels(lt_ctx *cx, lt_examples *e, const lt_model_info *about)
{
    bool all = true;
    for (int i = 0; i < e->names && all; i++) {
        char *end;
        const long x = strtol(e->name[i], &end, 10);
        all = end != e->name[i] && !*end && x >= 0 && x < about->labels;
    }
    if (!all) return true;
    int32_t *now = lt_alloc_array(cx, e->names, sizeof *now);
    if (!now) return false;
    for (int i = 0; i < e->names; i++) now[i] = (int32_t)strtol(e->name[i], NULL, 10);
    lt_examples_renumber(e, now);
    for (int i = 0; i < e->names; i++) lt_free(e->name[i]);
    e->names = 0;
    e->open = true;
    for (int i = 0; i < about->labels; i++) {
        char text[32];
        snprintf(text, sizeof text, "%d", i);
        if (lt_examples_label(cx, e, text, strlen(text)) < 0) return false;
    }
    return true;
}

/* Reading comes before the model: labels decide how wide its head is. */
static bool read_data(lt_ctx *cx, lt_run *r, const lt_model_info *about)
{
    const lt_train_options *o = r->o;
    r->vocab = about->vocab;
    r->limit = o->max_tokens && o->max_tokens < about->max_tokens ? o->max_tokens : about->max_tokens;
    if (strcmp(about->tokenizer, "none") != 0 && !(r->tokenizer = lt_tokenizer_open(cx, o->model))) return false;
    const lt_model_info *taught = lt_distill_head(r);
    if (taught && r->objective->names && strcmp(taught->head, r->objective->head) == 0) about = taught; /* the teacher's labels, then */
    const bool same_head = r->objective->names && strcmp(about->head, r->objective->head) == 0 && about->label, known = same_head && !are_placeholders(about);
    r->train.open = !known;
    for (int i = 0; known && i < about->labels; i++) {
        r->train.open = true;
        if (lt_examples_label(cx, &r->train, about->label[i], strlen(about->label[i])) < 0) return false;
        r->train.open = false;
    }
    if (!lt_read_examples(cx, r, &r->train, o->data, o->n_data) || (r->objective->names && !known && !lt_examples_sort_labels(cx, &r->train))) return false;
    if (same_head && !known && !number_labels(cx, &r->train, about)) return false;
    for (int i = 0; i < r->train.names; i++) {
        r->valid.open = true;
        if (lt_examples_label(cx, &r->valid, r->train.name[i], strlen(r->train.name[i])) < 0) return false;
        r->valid.open = false;
    }
    return !o->valid || lt_read_examples(cx, r, &r->valid, &o->valid, 1);
}

static bool open_model(lt_ctx *cx, lt_run *r, const char *folder)
{
    const lt_train_options *o = r->o;
    lt_model_options m = {.trainable = true, .random = o->random && !folder, .seed = o->seed, .head = r->objective->head, .no_tokenizer = true,
                          .drops = o->dropout >= 0, .dropout = o->dropout};
    if (r->objective->names) {
        m.labels = r->train.names;
        m.label = (const char *const *)r->train.name;
    }
    static const char *const number[] = {"LABEL_0"};
    if (r->objective->outputs) {
        m.labels = r->objective->outputs;
        m.label = number;
    }
    const lt_model_info *taught = lt_distill_head(r);
    if (taught && !m.head && strcmp(taught->head, "none") != 0) {
        m.head = taught->head;
        m.label = taught->label;
        m.labels = taught->label ? taught->labels : 0;
    }
    r->model = lt_model_open(cx, folder ? folder : o->model, &m);
    r->kn = lt_kernels_of(cx, LT_F32);
    return r->model && r->kn && lt_distill_fit(cx, r) && gather_params(cx, r);
}

static bool train(lt_ctx *cx, lt_run *r, lt_train_report_fn *report, void *arg, lt_train_result *result)
{
    const lt_train_options *o = r->o;
    bool finished = false;
    if (!find_slots(cx, r)) return false;
    char *from = o->resume ? lt_checkpoint_find(cx, o->out, &finished) : NULL;
    if (finished || !lt_ok(cx)) {
        result->finished_before = finished;
        return lt_ok(cx);
    }
    const lt_model_info *about = lt_model_inspect(cx, o->model);
    r->place.best = INFINITY;
    if (o->teacher && !lt_distill_open(cx, r)) return false;
    if (!about || !read_data(cx, r, about) || !open_model(cx, r, from) || !count_steps(cx, r) || !lt_checkpoint_begin(cx, o->out, from != NULL)) return false;
    if (from && !lt_checkpoint_load(cx, r, from)) return false;
    result->examples = r->train.n;
    result->skipped = r->train.skipped + r->valid.skipped;
    lt_log *log = lt_log_open(cx, o->log, from != NULL, r->place.step);
    lt_progress_begin(cx, "training", "steps", r->steps);
    bool good = log && loop(cx, r, log, report, arg, result);
    lt_progress_end(cx);
    lt_log_close(log);
    result->steps = r->place.step;
    return good;
}

bool lt_train(lt_ctx *cx, const lt_train_options *o, lt_train_report_fn *report, void *arg, lt_train_result *result)
{
    lt_train_result unused;
    lt_run r = {.o = o, .order_epoch = -1};
    if (!result) result = &unused;
    *result = (lt_train_result){.valid_loss = NAN};
    lt_scope scope = lt_open(cx, NULL);
    const bool good = lt_ok(cx) && train(cx, &r, report, arg, result);
    lt_end(cx, scope);
    for (int i = 0; i < r.params; i++) {
        r.param[i].param->value.grad = NULL;
        lt_free(r.param[i].grad.data);
        for (int k = 0; k < 2; k++) lt_free(r.param[i].moment[k]);
    }
    lt_free(r.param);
    lt_free(r.order);
    lt_distill_close(r.distill);
    lt_model_close(r.model);
    lt_tokenizer_free(r.tokenizer);
    lt_examples_free(&r.train);
    lt_examples_free(&r.valid);
    return good;
}
