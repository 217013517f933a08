/* `lathe info`: what a model directory holds, and by name what of it this build does not support. */
#include "cli/cli.h"

#include <string.h>

/* d: how far its weights are from others; NULL: nobody asks. */
static void put_json(lt_str *s, const lt_model_info *i, const lt_distance *d)
{
    lt_str_puts(s, "{");
    lt_json_member(s, "family", i->family);
    lt_json_member_int(s, "parameters", i->parameters);
    lt_json_member_int(s, "bytes", i->bytes);
    lt_json_member(s, "dtype", i->dtype);
    lt_json_member_int(s, "layers", i->layers);
    lt_json_member_int(s, "hidden", i->hidden);
    lt_json_member_int(s, "heads", i->heads);
    lt_json_member_int(s, "vocab", i->vocab);
    lt_json_member_int(s, "max_tokens", i->max_tokens);
    lt_json_member(s, "head", i->head);
    if (i->problem) lt_json_member(s, "problem_type", i->problem);
    lt_json_member(s, "pooling", i->pooling);
    lt_json_member(s, "tokenizer", i->tokenizer);
    lt_json_key(s, "unsupported");
    lt_str_puts(s, "[");
    for (int u = 0; u < i->n_unsupported; u++) {
        if (u) lt_str_puts(s, ",");
        lt_json_put_text(s, i->unsupported[u], strlen(i->unsupported[u]));
    }
    lt_str_puts(s, "]");
    if (d) {
        lt_str_puts(s, ",\"distance\":");
        lt_json_put_double(s, d->apart);
        lt_str_puts(s, ",\"norm\":");
        lt_json_put_double(s, d->norm);
        lt_json_member_int(s, "compared", d->parameters);
    }
    lt_str_puts(s, "}\n");
}

static void line(lt_table *t, const char *name, const char *text)
{
    lt_table_cell(t, "%s", name);
    lt_table_cell(t, "%s", text ? text : "unknown");
}

static void number(lt_table *t, const char *name, int64_t x)
{
    lt_table_cell(t, "%s", name);
    lt_table_cell(t, "%lld", (long long)x);
}

static bool print_table(lt_cli *cli, const lt_model_info *i, const lt_distance *d)
{
    static const char *const heads[] = {"model", ""};
    lt_table t;
    lt_table_begin(&t, cli->cx, heads, 2);
    line(&t, "path", i->path);
    line(&t, "family", i->family);
    line(&t, "architecture", i->architecture);
    number(&t, "parameters", i->parameters);
    number(&t, "bytes", i->bytes);
    line(&t, "stored as", i->dtype);
    if (i->quantized) line(&t, "runs in", i->dtype);
    if (i->threshold > 0) {
        lt_table_cell(&t, "kept in f32");
        lt_table_cell(&t, "inputs of magnitude %g and more", i->threshold);
    }
    number(&t, "layers", i->layers);
    number(&t, "hidden", i->hidden);
    number(&t, "heads", i->heads);
    number(&t, "vocabulary", i->vocab);
    number(&t, "most tokens", i->max_tokens);
    line(&t, "head", i->head);
    if (i->problem) line(&t, "problem", i->problem);
    line(&t, "tokenizer", i->tokenizer);
    line(&t, "pooling", i->pooling);
    number(&t, "embedding", i->embedding);
    line(&t, "normalized", i->normalize ? "yes" : "no");
    line(&t, "similarity", i->similarity);
    for (int u = 0; u < i->n_unsupported; u++) line(&t, "unsupported", i->unsupported[u]);
    if (d) {
        lt_table_cell(&t, "distance");
        lt_table_cell(&t, "%.6g; the other's norm %.6g, %lld parameters", d->apart, d->norm, (long long)d->parameters);
    }
    return lt_table_print(&t, &cli->out);
}

static bool run(lt_cli *cli)
{
    const lt_model_info *i = lt_model_inspect(cli->cx, cli->args.operand[0]);
    const char *from = lt_arg_text(&cli->args, "distance");
    lt_distance d;
    if (!i || (from && !lt_model_distance(cli->cx, cli->args.operand[0], from, &d))) return false;
    if (!cli->out.json) return print_table(cli, i, from ? &d : NULL);
    put_json(&cli->out.text, i, from ? &d : NULL);
    return lt_print_due(&cli->out);
}

static const lt_opt options[] = {
    {"distance", 0, LT_OPT_FILE, "MODEL2", "how far its weights are from those of another model of the same shapes, as they are stored"},
    {0},
};

const lt_verb lt_verb_info = {
    .name = "info",
    .summary = "what a model is, and what of it is not supported",
    .operands = "MODEL",
    .about = "Reads configuration, tokenizer and the headers of the weight files, not the weights (but for --distance). What this build does not "
             "support is named, with exit status 0 as long as something could be read.\n"
             "--json: {\"family\", \"parameters\", \"bytes\", \"dtype\", \"layers\", \"hidden\", \"heads\", \"vocab\", "
             "\"max_tokens\", \"head\", \"problem_type\" where the config has one, \"pooling\", \"tokenizer\", \"unsupported\":[…]}; with --distance also "
             "\"distance\", the norm of the difference, \"norm\", that of the other's weights, and \"compared\", parameters that both have",
    .examples = "lathe info all-MiniLM-L6-v2\nlathe info all-MiniLM-L6-v2 --json | jq .hidden\nlathe info tuned --distance all-MiniLM-L6-v2",
    .least = 1,
    .most = 1,
    .options = options,
    .run = run,
};
