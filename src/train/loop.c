/* The loop: read the examples, open the model, then step after step; between steps the log, validations and checkpoints. */
#include "train/dist/dist.h"
#include "train/objective/mask.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const lt_train_options lt_train_defaults = {.objective = "classify", .batch = 32, .accumulate = 1, .optimizer = "adamw", .lr = 5e-5, .weight_decay = 0.01,
                                            .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .momentum = 0.9, .clip = 1, .dropout = -1, .schedule = "constant", .temperature = 1,
                                            .layer_decay = 1, .power = 1, .scale = 20,
                                            .mask = {.rate = 0.15, .keep = 0.1, .random = 0.1, .span_p = 0.2, .span_most = 10},
                                            .prefetch = 2, .pair_copies = 1, .short_pairs = 0.1};

/* ---- the run ---- */

static bool save_last(lt_ctx *cx, lt_run *r);

/* By the first worker, whose weights are those of all. */
static bool keep(lt_ctx *cx, lt_run *r, bool last)
{
    const bool good = lt_dist_same_weights(cx, r) && (r->dist->rank > 0 || (last ? save_last(cx, r) : lt_checkpoint_save(cx, r, false)));
    return lt_dist_agree(cx, r->dist, good);
}

static bool loop(lt_ctx *cx, lt_run *r, lt_log *log, lt_train_report_fn *report, void *arg, lt_train_result *result)
{
    const lt_train_options *o = r->o;
    bool ended = o->patience && r->place.worse >= o->patience; /* the checkpoint was the last one */
    while (r->place.step < r->steps && !ended) {
        lt_train_step s;
        const bool good = lt_take_step(cx, r, &s) && lt_log_step(cx, log, &s);
        if (!lt_dist_agree(cx, r->dist, good)) return false;
        result->loss = s.loss;
        result->tokens += s.tokens;
        result->seconds += s.seconds;
        if (report && r->dist->rank == 0) report(arg, &s);
        const bool last = r->place.step == r->steps;
        if (o->valid && (last || (o->every && r->place.step % o->every == 0))) {
            if (!lt_dist_agree(cx, r->dist, lt_average_show(cx, r)) || !lt_dist_agree(cx, r->dist, lt_validate(cx, r, log, result))) return false;
            lt_average_hide(cx, r);
        }
        ended = o->patience && r->place.worse >= o->patience;
        if (o->save_every && r->place.step % o->save_every == 0 && !keep(cx, r, false)) return false;
    }
    result->best_step = isfinite(r->place.best) ? r->place.best_step : 0;
    return keep(cx, r, true);
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
    return lt_fail_if(cx, r->dist->size > 1 && r->objective && r->objective->of_embeddings, LT_ERR_UNSUPPORTED,
                      "dist: objective \"%s\" compares the rows of a batch with each other: it learns in one process", o->objective) &&
           lt_fail_if(cx, r->objective == &lt_objective_none && !o->teacher, LT_ERR_USAGE, "objective \"none\" is for distillation") &&
           lt_fail_if(cx, !r->objective, LT_ERR_USAGE, "objective \"%s\" is not known", o->objective) &&
           lt_fail_if(cx, o->cache_batch && (!r->objective->of_embeddings || o->teacher), LT_ERR_USAGE,
                      "cache-batch: is for losses over embeddings alone: contrastive, without a teacher") &&
           lt_fail_if(cx, o->label_smoothing > 0 && !r->objective->smooths, LT_ERR_USAGE, "label-smoothing: objective \"%s\" has no labels to smooth", o->objective) &&
           lt_fail_if(cx, o->balance && r->objective != &lt_objective_classify, LT_ERR_USAGE, "class-weights: are of objective classify") &&
           lt_fail_if(cx, o->batch < 1 && !o->batch_tokens, LT_ERR_USAGE, "a batch of %d sequences", o->batch) && lt_details_find(cx, r) &&
           lt_data_check(cx, r);
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
    if (!lt_examples_renumber(cx, e, now)) return false;
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

static const char several[] = "multi_label_classification"; /* config.json's problem_type */

/* Reading comes before the model: labels decide how wide its head is. */
static bool read_data(lt_ctx *cx, lt_run *r, const lt_model_info *about)
{
    const lt_train_options *o = r->o;
    r->vocab = about->vocab;
    const int most = o->max_tokens ? o->max_tokens : r->objective->longest;
    r->limit = most && most < about->max_tokens ? most : about->max_tokens;
    if (strcmp(about->tokenizer, "none") != 0 && !(r->tokenizer = lt_tokenizer_open(cx, o->model))) return false;
    const lt_model_info *taught = lt_distill_head(r);
    if (taught && r->objective->names && strcmp(taught->head, r->objective->head) == 0) about = taught; /* the teacher's labels, then */
    const bool same_head = r->objective->names && strcmp(about->head, r->objective->head) == 0 && about->label, known = same_head && !are_placeholders(about);
    r->train.open = !known;
    r->train.multi = known && about->problem && strcmp(about->problem, several) == 0;
    for (int i = 0; known && i < about->labels; i++) {
        r->train.open = true;
        if (lt_examples_label(cx, &r->train, about->label[i], strlen(about->label[i])) < 0) return false;
        r->train.open = false;
    }
    if (!lt_read_examples(cx, r, &r->train, o->data, o->n_data) || (r->objective->names && !known && !lt_examples_sort_labels(cx, &r->train))) return false;
    if (same_head && !known && !number_labels(cx, &r->train, about)) return false;
    if (!lt_fail_if(cx, r->objective->names && !r->train.names, LT_ERR_INPUT, "%s: no row has a label", o->data[0])) return false;
    r->valid.multi = r->train.multi;
    r->valid.settled = true;
    for (int i = 0; i < r->train.names; i++) {
        r->valid.open = true;
        if (lt_examples_label(cx, &r->valid, r->train.name[i], strlen(r->train.name[i])) < 0) return false;
        r->valid.open = false;
    }
    return (!r->objective->prepare || r->objective->prepare(cx, r)) && (!o->valid || lt_read_examples(cx, r, &r->valid, &o->valid, 1));
}

/* The model of a folder (NULL: that of the options), opened to learn with the objective's head. */
static lt_model *open_with_head(lt_ctx *cx, const lt_run *r, const char *folder)
{
    const lt_train_options *o = r->o;
    lt_model_options m = {.trainable = true, .random = o->random && !folder, .seed = o->seed, .head = r->objective->head, .no_tokenizer = true,
                          .drops = o->dropout >= 0, .dropout = o->dropout};
    if (r->objective->names) {
        m.labels = r->train.names;
        m.label = (const char *const *)r->train.name;
        m.problem = r->train.multi ? several : NULL;
    }
    static const char *const number[] = {"LABEL_0", "LABEL_1"};
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
    return lt_model_open(cx, folder ? folder : o->model, &m);
}

/* What the run ends with: the model as it is, or that of the best validation. */
static bool save_last(lt_ctx *cx, lt_run *r)
{
    if (!r->o->keep_best || !isfinite(r->place.best) || r->place.best_step == r->place.step) return lt_checkpoint_save(cx, r, true);
    const char *folder = lt_checkpoint_find_best(cx, r);
    lt_model *now = r->model, *best = folder ? open_with_head(cx, r, folder) : NULL;
    if (!best) return false;
    r->model = best;
    const bool good = lt_checkpoint_save(cx, r, true);
    r->model = now;
    lt_model_close(best);
    return good;
}

static bool open_model(lt_ctx *cx, lt_run *r, const char *folder)
{
    r->model = open_with_head(cx, r, folder);
    r->kn = lt_kernels_of(cx, LT_F32);
    if (r->model) r->cost_scale = 2 * (int64_t)lt_model_about(r->model)->hidden + lt_model_about(r->model)->inner;
    return r->model && r->kn && lt_distill_fit(cx, r) && lt_params_gather(cx, r) && lt_reducer_open(cx, r);
}

/* All that only reads. *from: the checkpoint to go on from; NULL: none. */
static bool prepare(lt_ctx *cx, lt_run *r, char **from, bool *finished)
{
    const lt_train_options *o = r->o;
    if (!find_slots(cx, r)) return false;
    if (o->resume) *from = lt_checkpoint_find(cx, o->out, finished);
    r->goes_on = *from != NULL;
    if (*finished || !lt_ok(cx)) return lt_ok(cx);
    const lt_model_info *about = lt_model_inspect(cx, o->model);
    r->place.best = INFINITY;
    return (!o->teacher || lt_distill_open(cx, r)) &&
           lt_fail_if(cx, r->dist->size > 1 && lt_distills(r, true), LT_ERR_UNSUPPORTED, "dist: losses on clean inputs are learned in one process") &&
           about && read_data(cx, r, about) && lt_metric_choose(cx, r) && open_model(cx, r, *from) && count_steps(cx, r) &&
           (!*from || lt_checkpoint_load(cx, r, *from));
}

/* From here on OUT is this run's. Another one may have gone on there since `from` was read. */
static bool begin(lt_ctx *cx, lt_run *r, const char *from)
{
    bool finished = false;
    if (!lt_checkpoint_begin(cx, r->o->out, from != NULL, &r->lock)) return false;
    const char *now = r->o->resume ? lt_checkpoint_find(cx, r->o->out, &finished) : NULL;
    const bool same = !r->o->resume || (!finished && !now == !from && (!now || strcmp(now, from) == 0));
    return lt_ok(cx) && lt_fail_if(cx, !same, LT_ERR_IO, "%s: another run has gone on there meanwhile", r->o->out);
}

static bool train(lt_ctx *cx, lt_run *r, lt_train_report_fn *report, void *arg, lt_train_result *result)
{
    const lt_train_options *o = r->o;
    const bool writes = r->dist->rank == 0;
    char *from = NULL;
    if (!lt_dist_agree(cx, r->dist, prepare(cx, r, &from, &result->finished_before))) return false;
    if (!lt_dist_same(cx, r->dist, result->finished_before ? -1 : r->place.step, "what stands in OUT")) return false;
    if (result->finished_before) return true;
    result->examples = r->train.n;
    result->skipped = r->train.skipped + r->valid.skipped;
    result->cut = r->train.cut + r->valid.cut;
    result->bf16 = o->bf16 && lt_compute_bf16(cx, true);
    lt_recompute_blocks(cx, o->recompute);
    const bool ready = !(o->accumulate > 1 || o->recompute) || lt_keep_packed(cx, true);
    lt_log *log = ready && (!writes || begin(cx, r, from)) ? lt_log_open(cx, writes ? o->log : NULL, from != NULL, r->place.step) : NULL;
    if (writes) lt_progress_begin(cx, "training", "steps", r->steps);
    bool good = lt_dist_agree(cx, r->dist, log && (r->supply = lt_supply_open(cx, r))) && loop(cx, r, log, report, arg, result);
    lt_progress_end(cx);
    lt_log_close(log);
    lt_compute_bf16(cx, false);
    lt_recompute_blocks(cx, false);
    lt_keep_packed(cx, false);
    result->steps = r->place.step;
    return good;
}

bool lt_train(lt_ctx *cx, const lt_train_options *o, lt_train_report_fn *report, void *arg, lt_train_result *result)
{
    lt_train_result unused;
    lt_dist dist = {.size = 1};
    lt_run r = {.o = o, .plan.epoch = -1, .dist = &dist};
    if (!result) result = &unused;
    *result = (lt_train_result){.valid_loss = NAN};
    lt_scope scope = lt_open(cx, NULL);
    bool good = lt_ok(cx) && lt_dist_open(cx, &dist, o->dist);
    result->worker = dist.rank;
    result->workers = dist.size;
    good = good && train(cx, &r, report, arg, result);
    lt_end(cx, scope);
    lt_lock_release(&r.lock);
    lt_reducer_close(&r);
    lt_params_free(&r);
    lt_supply_close(r.supply);
    lt_plan_free(&r.plan);
    lt_free(r.label_weight);
    lt_distill_close(r.distill);
    lt_model_close(r.model);
    lt_tokenizer_free(r.tokenizer);
    lt_masker_free(r.masker);
    lt_examples_free(&r.train);
    lt_examples_free(&r.valid);
    if (dist.broken) result->worker = 0; /* the others may not know what this one does */
    lt_dist_close(&dist);
    return good;
}
