/* `lathe answer`: questions answered by pieces of a context. */
#include "cli/rowed.h"

typedef struct job {
    lt_cli *cli;
    lt_rowed rows;
    bool list;
} job;

static void put_json(lt_str *s, const lt_answer *a)
{
    lt_str_puts(s, "{");
    lt_json_member_text(s, "answer", a->text.text, a->text.size);
    lt_json_member_num(s, "score", a->score);
    lt_json_member_int(s, "start", a->start);
    lt_json_member_int(s, "end", a->end);
    lt_str_puts(s, "}");
}

static bool sink(void *arg, lt_ctx *cx, const lt_answered *t)
{
    job *j = arg;
    lt_print *out = &j->cli->out;
    lt_str *s = &out->text;
    if (lt_print_wants_json(out)) {
        if (j->list) lt_str_puts(s, "{\"answers\":[");
        for (int i = 0; i < t->answers; i++) {
            if (i) lt_str_puts(s, ",");
            put_json(s, &t->answer[i]);
        }
        lt_str_puts(s, j->list ? "]}\n" : "\n");
    } else {
        for (int i = 0; i < t->answers; i++) {
            lt_str_printf(s, "%.4f  ", t->answer[i].score);
            lt_text_plain(s, t->answer[i].text.text, t->answer[i].text.size, -1);
            lt_str_puts(s, "\n");
        }
    }
    return lt_print_due(out) && lt_feed_told(&j->rows.feed, t->index + 1, t->pause);
}

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    job j = {.cli = cli, .list = lt_arg_given(a, "k")};
    lt_stream_stats stats = {0};
    if (lt_arg_flag(a, "ids")) return lt_usage(cli, "--ids: answer reads texts");
    lt_model *m = lt_cli_model(cli, a->operand[0]);
    if (!m) return false;
    lt_answer_options options = {.k = (int)lt_arg_int(a, "k"),
                                 .stride = lt_arg_given(a, "stride") ? (int)lt_arg_int(a, "stride") : -1,
                                 .longest = (int)lt_arg_int(a, "longest"),
                                 .none = lt_arg_flag(a, "no-answer"),
                                 .run = lt_cli_run_options(cli)};
    bool good = lt_feed_open(&j.rows.feed, cli, a->operand + 1, a->operands - 1, LT_FEED_TEXT);
    if (good) {
        lt_feed_begin(&j.rows.feed, "answering", &options.run);
        good = lt_answer_all(cli->cx, m, &options, lt_rowed_question, &j.rows, sink, &j, &stats);
        lt_feed_end(&j.rows.feed, good ? &stats : NULL);
    }
    lt_rowed_close(&j.rows);
    lt_model_close(m);
    return good;
}

static const lt_opt options[] = {
    {"k", 'k', LT_OPT_INT, "N", "the best N answers, as a list", "1", NULL, 1, 1e4},
    {"stride", 0, LT_OPT_INT, "N",
     "tokens that neighbouring windows of a long context share, at most seven eighths of one; default: 128, or half of a short "
     "window",
     NULL, NULL, 0, 1e6},
    {"longest", 0, LT_OPT_INT, "N", "tokens of an answer at most", "15", NULL, 1, 1e6},
    {"no-answer", 0, LT_OPT_FLAG, NULL, "the empty answer may win, where the model is surest that there is none"},
    {0},
};

const lt_verb lt_verb_answer = {
    .name = "answer",
    .summary = "answers to questions, found in a context",
    .operands = "MODEL [FILE…]",
    .about = "Rows have columns question and context; a plain line is a JSON object with both, or the two with a tab between. In a "
             "pipe or with --json: {\"answer\", "
             "\"score\", \"start\", \"end\"}, start and end in code points of the context; with -k {\"answers\":[…]}, best first.\n"
             "A context is read in windows of --max-tokens (384 unless given), question included; a score is the product of two "
             "probabilities within a window, of where "
             "the answer begins and where it ends, and answers are drawn out to whole words: all as in Hugging Face's question "
             "answering pipeline. A question that takes "
             "more than half of a window is cut. A row in which nothing can be an answer gets the empty one, with score 0.",
    .examples = "printf 'Who wrote it?\\tAda wrote the first program.\\n' | lathe answer squad-bert --json\n"
                "lathe answer squad-bert questions.jsonl -k 3 --stride 64 --no-answer --json",
    .least = 1,
    .most = -1,
    .traits = LT_VERB_ROWS,
    .options = options,
    .run = run,
};
