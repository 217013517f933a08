/* Validation: the mean loss over rows that are not learned from, and the task's metrics; one of them says whether this one is the best so far.
 * Of several processes each looks at all rows: they find the same. */
#include "train/dist/dist.h"
#include "train/judge.h"

#include <math.h>
#include <string.h>

bool lt_metric_choose(lt_ctx *cx, lt_run *r)
{
    const char *name = r->o->metric ? r->o->metric : "loss", *known;
    lt_str list = {0};
    bool found = strcmp(name, "loss") == 0;
    lt_str_puts(&list, "loss");
    for (int i = 0; (known = lt_judge_name(lt_judged_as(r), i)); i++) {
        lt_str_printf(&list, ", %s", known);
        found = found || strcmp(known, name) == 0;
    }
    r->metric = name;
    lt_fail_if(cx, !found, LT_ERR_USAGE, "metric: '%s' is not one of %s, which objective %s has", name, list.data ? list.data : "",
               r->objective->is.name);
    lt_str_free(&list);
    return lt_fail_if(cx, (r->o->metric || r->o->keep_best) && !r->o->valid, LT_ERR_USAGE,
                      "%s: rows to validate with are expected (valid)", r->o->keep_best ? "keep-best" : "metric");
}

/* The summed loss of a batch, and its judgement. */
static bool look(lt_ctx *cx, lt_run *r, lt_judge *j, const lt_minibatch *b, double by_sequences, double *loss)
{
    lt_tensor *hidden = NULL, *sum = NULL, *clean = NULL;
    if (r->o->cache_batch) return lt_cached_batch(cx, r, b, 1, false, loss);
    if (r->distill || r->objective->also) {
        const bool here = b->counted || lt_distills(r, false) || r->objective->also;
        if (here && (!r->distill || lt_tape_begin(cx))) sum = lt_batch_loss(cx, r, &r->valid, b, 1, by_sequences);
        if (sum) *loss += lt_number(sum);
        lt_tape_end(cx);
        if (lt_distills(r, true) && lt_ok(cx) && (clean = lt_clean_loss(cx, r, b, by_sequences))) *loss += lt_number(clean);
        lt_tape_end(cx);
    } else if ((hidden = lt_model_hidden(cx, r->model, &b->batch)) && (sum = r->objective->loss(cx, r, &r->valid, b, hidden, 1))) {
        *loss += lt_number(sum);
    }
    if (!sum || r->objective->judged == LT_JUDGED_NOT || !b->counted) return sum || clean;
    return lt_judge_batch(cx, r, j, b, hidden ? hidden : lt_model_hidden(cx, r->model, &b->batch));
}

static bool look_at_all(lt_ctx *cx, lt_run *r, lt_judge *j, double *loss, int64_t *counted)
{
    for (int64_t begin = 0, end; begin < r->valid.n && lt_ok(cx); begin = end) {
        lt_scope scope = lt_open(cx, NULL);
        end = lt_batch_end(r, &r->valid, NULL, begin);
        int64_t *which = lt_alloc_array(cx, end - begin, sizeof *which);
        for (int64_t i = begin; which && i < end; i++) which[i - begin] = i;
        lt_minibatch b;
        if (which && lt_batch_of(cx, r, &r->valid, which, (int32_t)(end - begin), 0, &b) &&
            (b.counted || r->distill || r->objective->also)) {
            const int64_t sequences = b.batch.seqs->n, own = b.counted ? b.counted : sequences;
            if (look(cx, r, j, &b, (double)own / (double)sequences, loss)) *counted += own;
        }
        lt_end(cx, scope);
    }
    return lt_ok(cx);
}

bool lt_validate(lt_ctx *cx, lt_run *r, lt_log *log, lt_train_result *result)
{
    lt_judge j = {0};
    lt_metric metric[1 + LT_JUDGE_MOST];
    double loss = 0;
    int64_t counted = 0;
    int n = 0;
    if (look_at_all(cx, r, &j, &loss, &counted)) {
        metric[0] = (lt_metric){"loss", counted ? loss / (double)counted : 0};
        n = 1 + lt_judge_metrics(cx, r, &j, metric + 1);
    }
    lt_judge_free(&j);
    if (!lt_ok(cx)) return false;
    result->valid_loss = metric[0].value;
    double value = NAN; /* of what decides: the less the better; never better where it is not defined */
    for (int i = 0; i < n; i++)
        if (strcmp(metric[i].name, r->metric) == 0) value = lt_judge_less(r->metric) ? metric[i].value : -metric[i].value;
    const bool better = value < r->place.best;
    if (better) r->place.best = value;
    if (better) r->place.best_step = r->place.step;
    r->place.worse = better ? 0 : r->place.worse + 1;
    return lt_log_valid(cx, log, r->place.step, metric, n) && (!better || !r->o->keep_best || r->dist->rank > 0 || lt_checkpoint_keep_best(cx, r));
}
