/* `lathe eval`: rankings judged as trec_eval judges them, and models or predictions on a task's data. */
#include "cli/eval.h"
#include "lathe/retrieve.h"

#include <math.h>
#include <string.h>

/* ---- metrics ---- */

static void put_parts(lt_str *s, const lt_eval_part *part, int64_t n)
{
    lt_json_key(s, "per_label");
    lt_str_puts(s, "{");
    for (int64_t i = 0; i < n; i++) {
        if (i) lt_str_puts(s, ",");
        lt_json_put_text(s, part[i].name, part[i].size);
        lt_str_puts(s, ":{");
        lt_json_member_num(s, "precision", part[i].score.precision);
        lt_json_member_num(s, "recall", part[i].score.recall);
        lt_json_member_num(s, "f1", part[i].score.f1);
        lt_json_member_int(s, "support", part[i].score.support);
        lt_str_puts(s, "}");
    }
    lt_str_puts(s, "}");
}

static bool print_parts(lt_cli *cli, const lt_eval_part *part, int64_t n)
{
    static const char *const heads[] = {"label", ">precision", ">recall", ">f1", ">support"};
    lt_table t;
    lt_table_begin(&t, cli->cx, heads, 5);
    for (int64_t i = 0; i < n; i++) {
        lt_table_cell(&t, "%s", part[i].name);
        lt_table_cell(&t, "%.4f", part[i].score.precision);
        lt_table_cell(&t, "%.4f", part[i].score.recall);
        lt_table_cell(&t, "%.4f", part[i].score.f1);
        lt_table_cell(&t, "%lld", (long long)part[i].score.support);
    }
    return lt_table_print(&t, &cli->out);
}

bool lt_eval_print(lt_cli *cli, const lt_metric *metrics, int n, const lt_eval_part *parts, int64_t n_parts)
{
    static const char *const heads[] = {"metric", ">value"};
    lt_print *out = &cli->out;
    lt_table t;
    if (lt_print_wants_json(out)) {
        lt_str_puts(&out->text, "{");
        for (int i = 0; i < n; i++) lt_json_member_num(&out->text, metrics[i].name, metrics[i].value);
        if (parts) put_parts(&out->text, parts, n_parts);
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
    return lt_table_print(&t, out) && (!parts || print_parts(cli, parts, n_parts));
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
    return metrics && lt_eval_print(cli, metrics, n, NULL, 0);
}

/* ---- predictions ---- */

bool lt_eval_predictions(lt_cli *cli, lt_eval_prediction_fn *fn, void *arg)
{
    lt_ctx *cx = cli->cx;
    const char *path = lt_arg_text(&cli->args, "predictions");
    lt_rows *rows = lt_rows_open(cx, &path, 1, &(lt_rows_options){.format = LT_ROWS_LINES});
    lt_row row;
    bool good = rows != NULL;
    while (good && lt_rows_next(cx, rows, &row)) {
        size_t size;
        lt_scope scope = lt_open(cx, NULL);
        const char *line = lt_row_want_text(cx, &row, "text", &size),
                   *name = lt_sprintf(cx, "%s line %lld", path, (long long)row.line);
        lt_json *root = line && name ? lt_json_parse_at(cx, line, size, path, (size_t)row.line, 1) : NULL;
        good = root && fn(arg, cx, root, name);
        lt_json_free(root);
        lt_end(cx, scope);
    }
    if (rows) lt_rows_close(rows);
    return good && lt_ok(cx);
}

bool lt_eval_read(lt_feed *f)
{
    while (lt_feed_row(f, f->cli->cx)) {
    }
    return lt_ok(f->cli->cx);
}

bool lt_eval_as_many(lt_cli *cli, int64_t rows, int64_t predictions)
{
    const char *path = lt_arg_text(&cli->args, "predictions"), *data = lt_arg_text(&cli->args, "data");
    if (!lt_fail_if(cli->cx, rows == 0, LT_ERR_INPUT, "%s: no row to evaluate", data)) return false;
    return lt_fail_if(cli->cx, rows != predictions, LT_ERR_INPUT,
                      "%s: expected %lld predictions, one for each row of %s, found %lld: row %lld is without its %s",
                      path ? path : data, (long long)rows, data, (long long)predictions,
                      (long long)(rows < predictions ? rows : predictions) + 1, rows < predictions ? "data" : "prediction");
}

/* ---- the verb ---- */

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    const char *task = lt_arg_text(a, "task"), *predictions = lt_arg_text(a, "predictions");
    if (lt_arg_given(a, "run") || lt_arg_given(a, "qrels")) return eval_run(cli);
    if (!lt_arg_text(a, "data") || !task) return lt_usage(cli, "expected --run RUN --qrels QRELS, or --data FILE --task TASK");
    if (predictions && a->operands) return lt_usage(cli, "--predictions are made already: found the model '%s'", a->operand[0]);
    if (!predictions && !a->operands) return lt_usage(cli, "expected a MODEL to evaluate, or --predictions FILE");
    if (!strcmp(task, "lm")) return lt_eval_lm(cli);
    return !strcmp(task, "sts") || !strcmp(task, "regress") ? lt_eval_numbers(cli, task) : lt_eval_texts(cli, task);
}

static const lt_opt options[] = {
    {"run", 0, LT_OPT_FILE, "RUN", "a ranking: qid Q0 docid rank score tag"},
    {"qrels", 0, LT_OPT_FILE, "QRELS", "judgements: qid 0 docid relevance, or BEIR's tab-separated file"},
    {"complete", 0, LT_OPT_FLAG, NULL, "means over all judged queries, also those without a ranking (trec_eval -c)"},
    {"data", 0, LT_OPT_FILE, "FILE", "rows of the task, with what is right"},
    {"task", 0, LT_OPT_CHOICE, NULL, "what the data asks for", NULL, "classify|tag|answer|regress|sts|lm"},
    {"predictions", 0, LT_OPT_FILE, "FILE", "predictions made already, one JSON value a line"},
    {"per-label", 0, LT_OPT_FLAG, NULL, "classify, tag: precision, recall and f1 of each label or type of entity too"},
    {"multi-label", 0, LT_OPT_FLAG, NULL, "classify: as in lathe classify"},
    {"threshold", 0, LT_OPT_NUM, "P", "classify: as in lathe classify", "0.5", NULL, 0, 1},
    {"stride", 0, LT_OPT_INT, "N", "answer: as in lathe answer", NULL, NULL, 0, 1e6},
    {"no-answer", 0, LT_OPT_FLAG, NULL, "answer: as in lathe answer"},
    {"pooling", 0, LT_OPT_TEXT, "HOW", "sts: as in lathe embed"},
    {"prompt", 0, LT_OPT_TEXT, "NAME|TEXT", "sts: as in lathe embed"},
    {0},
};

const lt_verb lt_verb_eval = {
    .name = "eval",
    .summary = "how good a ranking, a model or a file of predictions is",
    .operands = "--run RUN --qrels QRELS\nMODEL --data FILE --task TASK\n--predictions FILE --data FILE --task TASK",
    .about =
        "A ranking gets trec_eval's measures by trec_eval's names: {\"ndcg_cut_10\", \"recall_100\", \"map\", \"recip_rank\",…}.\n"
        "classify compares labels, as text, with the label column: {\"accuracy\", \"f1_macro\", \"f1_micro\", \"mcc\"}; f1_macro "
        "is the mean over the labels of either "
        "side, mcc is 0 where one side has a single label. Where a row's label is a list, accuracy is that of whole sets, and "
        "there is no mcc. A model whose labels are "
        "LABEL_0, LABEL_1 … may have data that say 0, 1 ….\n"
        "tag compares entities with those of the tags column as seqeval does by default: {\"precision\", \"recall\", \"f1\", "
        "\"accuracy\"}, the last one of single tags. A "
        "model tags the words column.\n"
        "answer is SQuAD 1.1's script: {\"exact_match\", \"f1\"}, 0 to 100, against the best of the answers column: a list of "
        "texts or SQuAD's object. Where that is empty, an empty "
        "answer is right.\n"
        "regress correlates a head's one output with the label (or score) column, sts the cosine of two texts' embeddings with the "
        "score column: {\"pearson\", "
        "\"spearman\"}, null where a correlation is not defined.\n"
        "lm masks each token in turn and guesses it: {\"perplexity\", \"bits_per_byte\"} of the pseudo-likelihood (Salazar et al. "
        "2020).\n"
        "A prediction is a label or a list of them, a list of tags, an answer, a number, for lm a list of log probabilities, or a "
        "line that the task's verb wrote. Predictions that do "
        "not match their row are refused.",
    .examples = "lathe eval --run hybrid.run --qrels qrels.tsv\n"
                "lathe eval all-MiniLM-L6-v2 --data sts.csv --task sts --columns text=sentence1,text_pair=sentence2 --json\n"
                "lathe eval ner --data test.jsonl --task tag --per-label\n"
                "lathe classify sst2 test.tsv > p.jsonl; lathe eval --predictions p.jsonl --data test.tsv --task classify",
    .most = 1,
    .traits = LT_VERB_ROWS,
    .options = options,
    .run = run,
};
