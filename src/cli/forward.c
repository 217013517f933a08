/* `lathe forward`: what the network itself gives, before any pooling of ours: hidden states, the checkpoint's pooler, logits. */
#include "cli/array.h"
#include "cli/input.h"

#include <string.h>

static const struct output {
    const char *name;
    lt_output what;
} outputs[] = {{"hidden", LT_OUT_HIDDEN}, {"pooled", LT_OUT_POOLED}, {"logits", LT_OUT_LOGITS}};

typedef struct job {
    lt_array array;
    bool matrix; /* a row per token */
} job;

static bool sink(void *arg, lt_ctx *cx, const lt_result *r)
{
    job *j = arg;
    return lt_array_put(&j->array, r->dtype, r->rows, r->cols, j->matrix, r->data);
}

/* Logits of tokens are rows, also where the input has one token; logits of inputs are one row. */
static bool speaks_of_tokens(const lt_model *m)
{
    const char *head = lt_model_about(m)->head;
    return strcmp(head, "classify") != 0 && strcmp(head, "nsp") != 0;
}

static bool run_on(lt_cli *cli, const lt_model *m, lt_feed *f, job *j, lt_output what)
{
    lt_run_options run = lt_cli_run_options(cli);
    run.no_special = lt_arg_flag(&cli->args, "no-special");
    lt_stream_stats stats = {0};
    j->matrix = what == LT_OUT_HIDDEN || (what == LT_OUT_LOGITS && speaks_of_tokens(m));
    bool good = lt_feed_stream(f, "computing", m, what, &run, sink, j, &stats);
    const lt_tensor *none = good && !j->array.rows ? lt_array_none(cli, m, what, &run) : NULL;
    return lt_array_close(&j->array, good && (none || j->array.rows), none ? none->dtype : LT_F32, none ? none->shape[1] : 0);
}

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    const struct output *o = outputs;
    job j = {0};
    lt_feed f;
    while (strcmp(o->name, lt_arg_text(a, "output"))) o++;
    if (!lt_array_open(&j.array, cli, o->name)) return false;
    lt_model *m = lt_cli_model(cli, a->operand[0]);
    if (!m) return false;
    lt_feed_mode mode = lt_arg_flag(a, "pair") ? LT_FEED_PAIR : LT_FEED_TEXT;
    bool good = lt_feed_open(&f, cli, a->operand + 1, a->operands - 1, mode) && run_on(cli, m, &f, &j, o->what);
    lt_feed_close(&f);
    lt_model_close(m);
    return good;
}

static const lt_opt options[] = {
    {"output", 0, LT_OPT_CHOICE, NULL, "last hidden states, the checkpoint's own pooler, or its head's logits", "hidden",
     "hidden|pooled|logits"},
    {"no-special", 0, LT_OPT_FLAG, NULL, "without the special tokens that the model puts around a text"},
    {"pair", 0, LT_OPT_FLAG, NULL, "text and text_pair together; a row without that column is split at its first tab"},
    {0},
};

const lt_verb lt_verb_forward = {
    .name = "forward",
    .summary = "hidden states, pooler output or logits of a model",
    .operands = "MODEL [FILE…]",
    .about = "-o X.npy writes the rows of all inputs one after another: [total tokens, width] for hidden states, one row an "
             "input for pooled, and for logits a row per token or per input, as the head speaks of tokens or of inputs. No pad "
             "token exists.\n"
             "In a pipe or with --json: {\"hidden\":[[…], …]}, {\"pooled\":[…]}, or {\"logits\":…} (a list, or a list of rows) "
             "for each input.",
    .examples = "lathe forward bert-base-uncased lines.txt --output hidden -o hidden.npy\n"
                "echo '[101, 7592, 102]' | lathe forward bert-base-uncased --ids --output pooled --json",
    .least = 1,
    .most = -1,
    .traits = LT_VERB_ROWS | LT_VERB_ARRAYS,
    .options = options,
    .run = run,
};
