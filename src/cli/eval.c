/* `lathe eval`: rankings judged as trec_eval judges them, and models or predictions on a task's data. */
#include "cli/input.h"
#include "lathe/retrieve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A growing list of numbers; the gold ones are filled by the reading thread, the model's own by the main one. */
typedef struct numbers {
    double *x; /* owned */
    int64_t n, room;
} numbers;

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

static bool print_metrics(lt_cli *cli, const lt_metric *metrics, int n)
{
    static const char *const heads[] = {"metric", ">value"};
    lt_print *out = &cli->out;
    lt_table t;
    if (lt_print_wants_json(out)) {
        lt_str_puts(&out->text, "{");
        for (int i = 0; i < n; i++) lt_json_member_num(&out->text, metrics[i].name, metrics[i].value);
        lt_str_puts(&out->text, "}\n");
        return lt_print_due(out);
    }
    lt_table_begin(&t, cli->cx, heads, 2);
    for (int i = 0; i < n; i++) {
        lt_table_cell(&t, "%s", metrics[i].name);
        if (isnan(metrics[i].value))
            lt_table_cell(&t, "%s", "undefined");
        else
            lt_table_cell(&t, "%.4f", metrics[i].value);
    }
    return lt_table_print(&t, out);
}

/* ---- rankings ---- */

static bool eval_run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    const char *run = lt_arg_text(a, "run"), *qrels = lt_arg_text(a, "qrels");
    if (!run || !qrels) return lt_usage(cli, "--run and --qrels belong together: %s is missing", run ? "--qrels" : "--run");
    if (a->operands) return lt_usage(cli, "--run needs no model: found '%s'", a->operand[0]);
    int n = 0;
    const lt_metric *metrics = lt_eval_run(cli->cx, run, qrels, lt_arg_flag(a, "complete"), &n);
    return metrics && print_metrics(cli, metrics, n);
}

/* ---- similarity of sentences ---- */

typedef struct sts {
    lt_cli *cli;
    numbers gold, own;
    double *first; /* owned: the embedding of the row's first text */
    int64_t cols;
} sts;

/* The score column, a number. */
static bool take_gold(void *arg, lt_ctx *cx, const lt_row *row)
{
    sts *s = arg;
    size_t size;
    const char *text = lt_row_want_text(cx, row, "score", &size);
    if (!text) return false;
    char *end, copy[64];
    const size_t some = size < sizeof copy ? size : sizeof copy - 1;
    memcpy(copy, text, some);
    copy[some] = 0;
    double x = strtod(copy, &end);
    if (end == copy || end != copy + size || !isfinite(x))
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s line %lld: score: expected a number, found '%s'", row->file,
                          (long long)row->line, copy);
    return add_number(cx, &s->gold, x);
}

static double at(const lt_result *r, int64_t i)
{
    return r->dtype == LT_F64 ? ((const double *)r->data)[i] : ((const float *)r->data)[i];
}

static double cosine(const double *x, const lt_result *r)
{
    double xy = 0, xx = 0, yy = 0;
    for (int64_t i = 0; i < r->cols; i++) {
        double y = at(r, i);
        xy += x[i] * y;
        xx += x[i] * x[i];
        yy += y * y;
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

/* Results come in pairs: remember the first, compare with the second. */
static bool compare_pair(void *arg, lt_ctx *cx, const lt_result *r)
{
    sts *s = arg;
    if (r->index % 2) return add_number(cx, &s->own, cosine(s->first, r));
    if (!s->first && !(s->first = lt_new(cx, r->cols, sizeof *s->first))) return false;
    for (int64_t i = 0; i < r->cols; i++) s->first[i] = at(r, i);
    return true;
}

static bool score_by_model(sts *s, lt_feed *f)
{
    const lt_args *a = &s->cli->args;
    lt_model *m = lt_cli_model(s->cli, a->operand[0]);
    if (!m) return false;
    lt_run_options run = lt_cli_run_options(s->cli);
    run.pooling = lt_arg_text(a, "pooling");
    run.prompt = lt_cli_prompt(s->cli, m, "prompt");
    lt_stream_stats stats = {0};
    f->each = take_gold;
    f->arg = s;
    bool good = lt_feed_stream(f, "evaluating", m, LT_OUT_EMBEDDING, &run, compare_pair, s, &stats);
    lt_model_close(m);
    return good;
}

/* A prediction is a number, or an object with one as "score". */
static bool read_predictions(sts *s, const char *path)
{
    lt_ctx *cx = s->cli->cx;
    lt_rows_options options = {.format = LT_ROWS_LINES};
    lt_rows *rows = lt_rows_open(cx, &path, 1, &options);
    lt_row row;
    bool good = rows != NULL;
    while (good && lt_rows_next(cx, rows, &row)) {
        size_t size;
        lt_scope scope = lt_open(cx, NULL);
        const char *line = lt_row_want_text(cx, &row, "text", &size),
                   *name = lt_sprintf(cx, "%s line %lld", path, (long long)row.line);
        lt_json *root = line && name ? lt_json_parse(cx, line, size, name) : NULL;
        double x = lt_json_num(lt_json_is(root) == LT_JSON_OBJECT ? lt_json_get(root, "score") : root, NAN);
        if (root && isnan(x)) lt_fail(cx, LT_ERR_INPUT, "%s: expected a number, or an object with one as \"score\"", name);
        good = lt_ok(cx) && add_number(cx, &s->own, x);
        lt_json_free(root);
        lt_end(cx, scope);
    }
    if (rows) lt_rows_close(rows);
    return good && lt_ok(cx);
}

static bool read_gold(sts *s, lt_feed *f)
{
    while (lt_rows_next(s->cli->cx, f->rows, &f->row))
        if (!take_gold(s, s->cli->cx, &f->row)) return false;
    return lt_ok(s->cli->cx);
}

static bool eval_sts(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    const char *data = lt_arg_text(a, "data"), *predictions = lt_arg_text(a, "predictions");
    sts s = {.cli = cli};
    lt_feed f;
    bool good = lt_feed_open(&f, cli, &data, 1, LT_FEED_BOTH);
    if (good && predictions)
        good = read_predictions(&s, predictions) && read_gold(&s, &f);
    else if (good)
        good = score_by_model(&s, &f);
    if (good && s.gold.n != s.own.n)
        good = lt_fail_if(cli->cx, true, LT_ERR_INPUT, "%s: expected %lld predictions, one for each row of %s, found %lld",
                          predictions, (long long)s.gold.n, data, (long long)s.own.n);
    if (good) {
        lt_metric metrics[] = {{"pearson", lt_pearson(s.own.x, s.gold.x, s.gold.n)},
                               {"spearman", lt_spearman(cli->cx, s.own.x, s.gold.x, s.gold.n)}};
        good = lt_ok(cli->cx) && print_metrics(cli, metrics, 2);
    }
    lt_feed_close(&f);
    lt_free(s.first);
    lt_free(s.gold.x);
    lt_free(s.own.x);
    return good;
}

/* ---- the verb ---- */

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    const char *task = lt_arg_text(a, "task"), *predictions = lt_arg_text(a, "predictions");
    if (lt_arg_given(a, "run") || lt_arg_given(a, "qrels")) return eval_run(cli);
    if (!lt_arg_text(a, "data") || !task) return lt_usage(cli, "expected --run RUN --qrels QRELS, or --data FILE --task TASK");
    if (strcmp(task, "sts") != 0) return lt_usage(cli, "--task %s: this build evaluates sts only", task);
    if (predictions && a->operands) return lt_usage(cli, "--predictions are made already: found the model '%s'", a->operand[0]);
    if (!predictions && !a->operands) return lt_usage(cli, "expected a MODEL to evaluate, or --predictions FILE");
    return eval_sts(cli);
}

static const lt_opt options[] = {
    {"run", 0, LT_OPT_FILE, "RUN", "a ranking: qid Q0 docid rank score tag"},
    {"qrels", 0, LT_OPT_FILE, "QRELS", "judgements: qid 0 docid relevance, or BEIR's tab-separated file"},
    {"complete", 0, LT_OPT_FLAG, NULL, "means over all judged queries, also those without a ranking (trec_eval -c)"},
    {"data", 0, LT_OPT_FILE, "FILE", "rows of the task: sts has text, text_pair and score"},
    {"task", 0, LT_OPT_CHOICE, NULL, "what the data asks for", NULL, "classify|tag|answer|sts|lm"},
    {"predictions", 0, LT_OPT_FILE, "FILE", "predictions made already, one JSON value a line"},
    {"pooling", 0, LT_OPT_TEXT, "HOW", "as in lathe embed"},
    {"prompt", 0, LT_OPT_TEXT, "NAME|TEXT", "as in lathe embed"},
    {0},
};

const lt_verb lt_verb_eval = {
    .name = "eval",
    .summary = "how good a ranking, a model or a file of predictions is",
    .operands = "--run RUN --qrels QRELS\nMODEL --data FILE --task sts\n--predictions FILE --data FILE --task sts",
    .about = "A ranking gets trec_eval's measures by trec_eval's names: {\"ndcg_cut_10\", \"recall_100\", \"map\", "
             "\"recip_rank\",…}.\n"
             "sts (similarity of sentences) compares the cosine of the two texts' embeddings with the score column: "
             "{\"pearson\", \"spearman\"}, null where a correlation is not defined. A prediction for it is a number or an "
             "object with \"score\". Tasks classify, tag, answer and lm are not in this build.",
    .examples = "lathe eval --run hybrid.run --qrels qrels.tsv\n"
                "lathe eval all-MiniLM-L6-v2 --data sts.csv --task sts --columns text=sentence1,text_pair=sentence2 --json",
    .most = 1,
    .traits = LT_VERB_ROWS,
    .options = options,
    .run = run,
};
