/* `lathe eval` where predictions are numbers: similarity of sentences, regression, and log probabilities of tokens. */
#include "cli/eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A growing list of numbers; the gold ones are filled by the reading thread, the model's own by the main one. */
typedef struct numbers {
    double *x; /* owned */
    int64_t n, room;
} numbers;

typedef struct job {
    lt_cli *cli;
    bool similarity;
    numbers gold, own;
    double *first; /* owned: the embedding of the row's first text */
} job;

static bool add_number(lt_ctx *cx, numbers *l, double x)
{
    if (l->n == l->room) {
        double *more = lt_resize(cx, l->x, 2 * l->room + 256, sizeof *more);
        if (!more) return false;
        l->x = more;
        l->room = 2 * l->room + 256;
    }
    l->x[l->n++] = x;
    return true;
}

/* The score column, a number; of regression the label column, where there is one. */
static bool take_gold(void *arg, lt_ctx *cx, const lt_row *row)
{
    job *j = arg;
    size_t size;
    const char *column = !j->similarity && lt_row_text(row, "label", &size) ? "label" : "score",
               *text = lt_row_want_text(cx, row, column, &size);
    if (!text) return false;
    char *end, copy[64];
    const size_t some = size < sizeof copy ? size : sizeof copy - 1;
    memcpy(copy, text, some);
    copy[some] = 0;
    double x = strtod(copy, &end);
    if (end == copy || end != copy + size || !isfinite(x))
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s line %lld: %s: expected a number, found '%s'", row->file,
                          (long long)row->line, column, copy);
    return add_number(cx, &j->gold, x);
}

/* A prediction is a number, or an object with one as "score". */
static bool take_prediction(void *arg, lt_ctx *cx, const lt_json *v, const char *name)
{
    job *j = arg;
    double x = lt_json_num(lt_json_is(v) == LT_JSON_OBJECT ? lt_json_get(v, "score") : v, NAN);
    if (isnan(x)) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: expected a number, or an object with one as \"score\"", name);
    return add_number(cx, &j->own, x);
}

static double cosine(const double *x, const lt_result *r)
{
    double xy = 0, xx = 0, yy = 0;
    for (int64_t i = 0; i < r->cols; i++) {
        double y = lt_value_at(r->dtype, r->data, i);
        xy += x[i] * y;
        xx += x[i] * x[i];
        yy += y * y;
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

/* Results come in pairs: remember the first, compare with the second. */
static bool compare_pair(void *arg, lt_ctx *cx, const lt_result *r)
{
    job *j = arg;
    if (r->index % 2) return add_number(cx, &j->own, cosine(j->first, r));
    if (!j->first && !(j->first = lt_new(cx, r->cols, sizeof *j->first))) return false;
    for (int64_t i = 0; i < r->cols; i++) j->first[i] = lt_value_at(r->dtype, r->data, i);
    return true;
}

static bool take_output(void *arg, lt_ctx *cx, const lt_result *r)
{
    job *j = arg;
    if (r->cols != 1 || r->rows != 1)
        return lt_usage(j->cli, "--task regress: a head of one output is expected, found %lld", (long long)r->cols);
    return add_number(cx, &j->own, lt_value_at(r->dtype, r->data, 0));
}

static bool by_model(job *j, lt_feed *f)
{
    const lt_args *a = &j->cli->args;
    lt_model *m = lt_cli_model(j->cli, a->operand[0]);
    if (!m) return false;
    lt_run_options run = lt_cli_run_options(j->cli);
    lt_stream_stats stats = {0};
    bool good;
    if (j->similarity) {
        run.pooling = lt_arg_text(a, "pooling");
        run.prompt = lt_cli_prompt(j->cli, m, "prompt");
        good = lt_feed_stream(f, "evaluating", m, LT_OUT_EMBEDDING, &run, compare_pair, j, &stats);
    } else {
        good = lt_feed_stream(f, "evaluating", m, LT_OUT_LOGITS, &run, take_output, j, &stats);
    }
    lt_model_close(m);
    return good;
}

bool lt_eval_numbers(lt_cli *cli, const char *task)
{
    const char *data = lt_arg_text(&cli->args, "data");
    job j = {.cli = cli, .similarity = strcmp(task, "sts") == 0};
    lt_feed f;
    bool good = lt_feed_open(&f, cli, &data, 1, j.similarity ? LT_FEED_BOTH : LT_FEED_MAYBE);
    f.each = take_gold;
    f.arg = &j;
    if (good && lt_arg_text(&cli->args, "predictions"))
        good = lt_eval_predictions(cli, take_prediction, &j) && lt_eval_read(&f);
    else if (good)
        good = by_model(&j, &f);
    if (good && lt_eval_as_many(cli, j.gold.n, j.own.n)) {
        lt_metric metrics[] = {{"pearson", lt_pearson(j.own.x, j.gold.x, j.gold.n)},
                               {"spearman", lt_spearman(cli->cx, j.own.x, j.gold.x, j.gold.n)}};
        good = lt_ok(cli->cx) && lt_eval_print(cli, metrics, 2, NULL, 0);
    }
    lt_feed_close(&f);
    lt_free(j.first);
    lt_free(j.gold.x);
    lt_free(j.own.x);
    return good && lt_ok(cli->cx);
}

/* ---- log probabilities ---- */

typedef struct lm {
    lt_likelihood sum;
    int64_t rows, predictions;
} lm;

static bool count_text(void *arg, lt_ctx *cx, const lt_row *row)
{
    lm *l = arg;
    size_t size;
    if (!lt_row_want_text(cx, row, "text", &size)) return false;
    l->sum.bytes += (int64_t)size;
    l->rows++;
    return true;
}

/* Log probabilities of a row's tokens; null: of one that nothing stands before. */
static bool take_logprobs(void *arg, lt_ctx *cx, const lt_json *v, const char *name)
{
    lm *l = arg;
    const lt_json *list = lt_json_is(v) == LT_JSON_OBJECT ? lt_json_get(v, "logprobs") : v;
    if (lt_json_is(list) != LT_JSON_ARRAY)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: expected a list of log probabilities, or an object with one as \"logprobs\"",
                          name);
    for (int64_t i = 0; i < lt_json_size(list); i++) {
        const lt_json *x = lt_json_at(list, i);
        if (lt_json_is(x) == LT_JSON_NULL) continue;
        const double p = lt_json_num(x, NAN);
        if (!(p <= 0))
            return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: log probability %lld: expected a number up to 0, or null", name,
                              (long long)i);
        l->sum.sum += p;
        l->sum.tokens++;
    }
    l->predictions++;
    return true;
}

static bool likelihood_by_model(lt_cli *cli, lt_rowed *r, lm *l)
{
    lt_model *m = lt_cli_model(cli, cli->args.operand[0]);
    if (!m) return false;
    lt_run_options run = lt_cli_run_options(cli);
    lt_stream_stats stats = {0};
    lt_feed_begin(&r->feed, "evaluating", &run);
    bool good = lt_likelihood_all(cli->cx, m, &run, lt_rowed_text, r, &l->sum, &stats);
    lt_feed_end(&r->feed, NULL);
    lt_model_close(m);
    return good;
}

bool lt_eval_lm(lt_cli *cli)
{
    const char *data = lt_arg_text(&cli->args, "data");
    lm l = {0};
    lt_rowed r = {0};
    if (lt_arg_flag(&cli->args, "ids")) return lt_usage(cli, "--task lm reads texts: no --ids");
    bool good = lt_feed_open(&r.feed, cli, &data, 1, LT_FEED_TEXT);
    if (good && lt_arg_text(&cli->args, "predictions")) {
        r.feed.each = count_text;
        r.feed.arg = &l;
        good = lt_eval_predictions(cli, take_logprobs, &l) && lt_eval_read(&r.feed) && lt_eval_as_many(cli, l.rows, l.predictions);
    } else if (good) {
        good = likelihood_by_model(cli, &r, &l) && lt_fail_if(cli->cx, !l.sum.tokens, LT_ERR_INPUT, "%s: no token to guess", data);
    }
    lt_rowed_close(&r);
    const lt_metric metrics[] = {{"perplexity", lt_perplexity(l.sum.sum, l.sum.tokens)},
                                 {"bits_per_byte", lt_bits_per_byte(l.sum.sum, l.sum.bytes)}};
    return good && lt_eval_print(cli, metrics, 2, NULL, 0);
}
