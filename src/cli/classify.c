/* `lathe classify`: the labels that a classifying head gives to texts, or to pairs of them. */
#include "cli/input.h"
#include "lathe/task.h"

#include <string.h>

typedef struct job {
    lt_cli *cli;
    lt_feed feed;
    const lt_model *m;
    lt_link link;
    bool several;
    double threshold;
    int labels;
    const char **name; /* scoped */
    double *p;         /* scoped */
} job;

static int best_of(const job *j)
{
    int best = 0;
    for (int i = 1; i < j->labels; i++)
        if (j->p[i] > j->p[best]) best = i;
    return best;
}

static void put_json(const job *j, lt_str *s)
{
    const int best = best_of(j);
    lt_str_puts(s, "{");
    if (j->several) {
        bool any = false;
        lt_json_key(s, "labels");
        lt_str_puts(s, "[");
        for (int i = 0; i < j->labels; i++) {
            if (!(j->p[i] > j->threshold)) continue;
            if (any) lt_str_puts(s, ",");
            lt_json_put_text(s, j->name[i], strlen(j->name[i]));
            any = true;
        }
        lt_str_puts(s, "]");
    } else {
        lt_json_member(s, "label", j->name[best]);
        lt_json_member_num(s, "score", j->p[best]);
    }
    lt_json_key(s, "scores");
    lt_str_puts(s, "{");
    for (int i = 0; i < j->labels; i++) lt_json_member_num(s, j->name[i], j->p[i]);
    lt_str_puts(s, "}}\n");
}

static void put_plain(const job *j, lt_str *s, const char *text, size_t size)
{
    const int best = best_of(j);
    for (int i = 0; i < j->labels; i++)
        if (j->several ? j->p[i] > j->threshold : i == best) lt_str_printf(s, "%s %.4f  ", j->name[i], j->p[i]);
    if (text) lt_text_plain(s, text, size, -1);
    lt_str_puts(s, "\n");
}

static bool sink(void *arg, lt_ctx *cx, const lt_result *r)
{
    job *j = arg;
    lt_print *out = &j->cli->out;
    size_t size = 0;
    char *text = j->feed.keep ? lt_feed_take(&j->feed, &size) : NULL;
    lt_link_apply(j->link, r->dtype, r->data, r->cols, j->p);
    if (lt_print_wants_json(out))
        put_json(j, &out->text);
    else
        put_plain(j, &out->text, text, size);
    lt_free(text);
    return lt_print_due(out);
}

/* What the outputs mean: as the model says, or as was asked for. */
static bool choose(job *j)
{
    const lt_args *a = &j->cli->args;
    const char *function = lt_arg_text(a, "function"), *head = lt_model_about(j->m)->head;
    if (strcmp(head, "classify") != 0 && strcmp(head, "nsp") != 0)
        return lt_usage(j->cli, "this model has no classifying head (its head: %s)", head);
    j->several = lt_arg_flag(a, "multi-label") || lt_is_multi_label(j->m);
    j->threshold = lt_arg_num(a, "threshold");
    j->link = lt_arg_flag(a, "multi-label") ? LT_SIGMOID : lt_link_of(j->m);
    if (function) j->link = !strcmp(function, "softmax") ? LT_SOFTMAX : !strcmp(function, "sigmoid") ? LT_SIGMOID : LT_PLAIN;
    j->labels = lt_model_labels(j->m);
    j->p = lt_alloc_array(j->cli->cx, j->labels, sizeof *j->p);
    j->name = lt_alloc_array(j->cli->cx, j->labels, sizeof *j->name);
    char(*room)[32] = lt_alloc_array(j->cli->cx, j->labels, sizeof *room);
    for (int i = 0; j->name && room && i < j->labels; i++) j->name[i] = lt_label_name(j->m, i, room[i]);
    return j->p && j->name && room;
}

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    job j = {.cli = cli};
    lt_model *m = lt_cli_model(cli, a->operand[0]);
    if (!m) return false;
    j.m = m;
    lt_run_options options = lt_cli_run_options(cli);
    lt_stream_stats stats = {0};
    bool good = lt_feed_open(&j.feed, cli, a->operand + 1, a->operands - 1, lt_arg_flag(a, "pair") ? LT_FEED_PAIR : LT_FEED_MAYBE);
    j.feed.keep = !lt_print_wants_json(&cli->out);
    good = good && choose(&j) && lt_feed_stream(&j.feed, "classifying", m, LT_OUT_LOGITS, &options, sink, &j, &stats);
    lt_feed_close(&j.feed);
    lt_model_close(m);
    return good;
}

static const lt_opt options[] = {
    {"multi-label", 0, LT_OPT_FLAG, NULL, "each label stands for itself: all above --threshold are given"},
    {"threshold", 0, LT_OPT_NUM, "P", "of several labels: the score above which one is given", "0.5", NULL, 0, 1},
    {"function", 0, LT_OPT_CHOICE, NULL, "from outputs to scores; default: as the model's problem_type says", NULL,
     "softmax|sigmoid|none"},
    {"pair", 0, LT_OPT_FLAG, NULL, "text and text_pair together; a row without that column is split at its first tab"},
    {0},
};

const lt_verb lt_verb_classify = {
    .name = "classify",
    .summary = "labels of texts, with their probabilities",
    .operands = "MODEL [FILE…]",
    .about = "In a pipe or with --json: {\"label\", \"score\", \"scores\":{label: p,…}} for each input; where a text may have "
             "several labels (the config's "
             "problem_type, or --multi-label), {\"labels\":[…], \"scores\":{…}}. A row with a text_pair is read as a pair.\n"
             "Scores are Hugging Face's pipeline's: softmax over several labels; the logistic function of one output, and of "
             "several labels; a "
             "config that says regression gives the output as it is.",
    .examples = "lathe classify sst2 reviews.txt --json\n"
                "lathe classify nli pairs.tsv --columns text=premise,text_pair=hypothesis",
    .least = 1,
    .most = -1,
    .traits = LT_VERB_ROWS,
    .options = options,
    .run = run,
};
