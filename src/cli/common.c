/* What many verbs do alike: complain, remark, open the model as the options say. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

bool lt_usage(lt_cli *cli, const char *format, ...)
{
    char text[1024];
    va_list va;
    va_start(va, format);
    vsnprintf(text, sizeof text, format, va);
    va_end(va);
    return lt_fail_if(cli->cx, true, LT_ERR_USAGE, "%s", text);
}

void lt_remark(lt_cli *cli, const char *format, ...)
{
    if (cli->term.quiet) return;
    va_list va;
    lt_term_clear(&cli->term);
    va_start(va, format);
    vfprintf(stderr, format, va);
    va_end(va);
    fputc('\n', stderr);
}

void lt_cli_warn_slow(lt_cli *cli, lt_precision p)
{
    const char *why = lt_arg_flag(&cli->args, "quiet") ? NULL : lt_precision_slow(cli->cx, p);
    if (!why) return;
    lt_term_clear(&cli->term);
    fprintf(stderr, "lathe %s: --precision %s: %s\n", cli->verb->name, lt_precision_name(p), why);
}

bool lt_cli_verb(lt_cli *cli, const lt_verb **verb)
{
    lt_str error = {0};
    const char *name = cli->args.operands ? cli->args.operand[0] : NULL;
    *verb = name ? lt_verb_find(name) : NULL;
    if (!name || *verb) return true;
    lt_verb_unknown(&error, name);
    lt_usage(cli, "%s", error.data ? error.data : "no memory");
    lt_str_free(&error);
    return false;
}

lt_model *lt_cli_model(lt_cli *cli, const char *path)
{
    const lt_args *a = &cli->args;
    const char *precision = lt_arg_text(a, "precision");
    const bool reference = precision && strcmp(precision, "f64") == 0;
    lt_model_options options = {
        .compute = reference ? LT_F64 : LT_F32,
        .precision = precision && !reference ? lt_precision_named(precision) : LT_PRECISION_STORED,
        .no_tokenizer = lt_arg_known(a, "ids") && lt_arg_flag(a, "ids"),
    };
    lt_cli_warn_slow(cli, options.precision);
    return lt_model_open(cli->cx, path, &options);
}

const char *lt_cli_array(const lt_cli *cli)
{
    const char *path = lt_arg_text(&cli->args, "out");
    size_t n = path ? strlen(path) : 0;
    return (cli->verb->traits & LT_VERB_ARRAYS) && n >= 4 && !strcmp(path + n - 4, ".npy") ? path : NULL;
}

lt_run_options lt_cli_run_options(const lt_cli *cli)
{
    return (lt_run_options){
        .max_tokens = (int)lt_arg_int(&cli->args, "max-tokens"),
        .batch_tokens = lt_arg_int(&cli->args, "batch-tokens"),
    };
}

const char *lt_cli_prompt(const lt_cli *cli, const lt_model *m, const char *option)
{
    const char *text = lt_arg_text(&cli->args, option), *known = text ? lt_model_prompt(m, text) : NULL;
    return known ? known : text;
}
