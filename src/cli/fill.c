/* `lathe fill`: what a masked language model would put in place of the masks of a text. */
#include "cli/rowed.h"

#include <string.h>

typedef struct job {
    lt_cli *cli;
    lt_rowed rows;
    const lt_tokenizer *tokenizer;
    lt_str token;
} job;

/* The token as text, as a decoder would write it alone. */
static bool decode(job *j, lt_ctx *cx, int32_t id)
{
    lt_str_clear(&j->token);
    if (!lt_token_text(j->tokenizer, id)) return true; /* an output beyond the tokenizer's vocabulary */
    return lt_decode(cx, j->tokenizer, &id, 1, false, &j->token);
}

static bool put_mask(job *j, lt_ctx *cx, lt_str *s, const lt_guess *g, int k, bool json)
{
    for (int i = 0; i < k; i++) {
        if (!decode(j, cx, g[i].id)) return false;
        const char *text = j->token.data ? j->token.data : "";
        if (json) {
            lt_str_puts(s, i ? ",{" : "{");
            lt_json_member_text(s, "token", text, j->token.size);
            lt_json_member_int(s, "id", g[i].id);
            lt_json_member_num(s, "score", g[i].score);
            lt_str_puts(s, "}");
        } else {
            lt_str_puts(s, i ? "  " : "");
            lt_text_plain(s, text, j->token.size, -1);
            lt_str_printf(s, " %.4f", g[i].score);
        }
    }
    return true;
}

static bool sink(void *arg, lt_ctx *cx, const lt_filled *f)
{
    job *j = arg;
    lt_print *out = &j->cli->out;
    lt_str *s = &out->text;
    const bool json = lt_print_wants_json(out);
    lt_str_puts(s, json ? "{\"masks\":[" : "");
    for (int64_t i = 0; i < f->masks; i++) {
        if (json) lt_str_puts(s, i ? ",[" : "[");
        if (!put_mask(j, cx, s, f->guess + i * f->k, f->k, json)) return false;
        lt_str_puts(s, json ? "]" : "\n");
    }
    lt_str_puts(s, json ? "]}\n" : "");
    return lt_print_due(out) && lt_feed_told(&j->rows.feed, f->index + 1, f->pause);
}

static bool run(lt_cli *cli)
{
    const lt_args *a = &cli->args;
    job j = {.cli = cli};
    lt_stream_stats stats = {0};
    if (lt_arg_flag(a, "ids")) return lt_usage(cli, "--ids: fill reads texts");
    lt_model *m = lt_cli_model(cli, a->operand[0]);
    if (!m) return false;
    j.tokenizer = lt_model_tokenizer(m);
    lt_run_options options = lt_cli_run_options(cli);
    bool good = lt_feed_open(&j.rows.feed, cli, a->operand + 1, a->operands - 1, LT_FEED_TEXT);
    if (good) {
        lt_feed_begin(&j.rows.feed, "filling", &options);
        good = lt_fill_all(cli->cx, m, (int)lt_arg_int(a, "k"), &options, lt_rowed_text, &j.rows, sink, &j, &stats);
        lt_feed_end(&j.rows.feed, good ? &stats : NULL);
    }
    lt_rowed_close(&j.rows);
    lt_str_free(&j.token);
    lt_model_close(m);
    return good;
}

static const lt_opt options[] = {
    {"k", 'k', LT_OPT_INT, "N", "so many tokens a mask, or all there are", "5", NULL, 1, 1e6},
    {0},
};

const lt_verb lt_verb_fill = {
    .name = "fill",
    .summary = "what fits in the place of a text's masks",
    .operands = "MODEL [FILE…]",
    .about = "Texts hold the tokenizer's mask token ([MASK], <mask>). In a pipe or with --json: {\"masks\":[[{\"token\", \"id\", "
             "\"score\"},…],…]}, a list for each "
             "mask of the text, the most likely first; token is text, as the tokenizer decodes it; a score is a probability over "
             "the vocabulary. A text without a mask "
             "gives no list. Texts longer than the model reads are read in windows, and each mask is filled where most of its "
             "surroundings are seen.",
    .examples = "echo 'Paris is the [MASK] of France.' | lathe fill bert-base-uncased -k 3 --json",
    .least = 1,
    .most = -1,
    .traits = LT_VERB_ROWS,
    .options = options,
    .run = run,
};
