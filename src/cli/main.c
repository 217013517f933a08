/* The command `lathe`: finds the verb, parses its options, runs it in a fresh context, and turns what happened into an exit
 * status: 0 done, 1 the work failed, 2 the command line was wrong, 128 + n stopped by signal n. A reader that closes the pipe
 * early has what it wanted: that ends quietly with 0. */
#include "cli/cli.h"
#include "cli/signals.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

/* "lathe VERB: what was wrong". The text may hold words of files and of the command line: no control characters get out. */
static void complain(const lt_verb *verb, const char *text)
{
    lt_str plain = {0};
    lt_text_plain(&plain, text, strlen(text), -1);
    fprintf(stderr, "lathe%s%s: %s\n", verb ? " " : "", verb ? verb->name : "",
            plain.data && !plain.failed ? plain.data : "no memory");
    lt_str_free(&plain);
}

static int wrong(const lt_verb *verb, const char *text)
{
    complain(verb, text);
    fprintf(stderr, verb ? "try 'lathe %s --help'\n" : "try 'lathe help'\n", verb ? verb->name : "");
    return 2;
}

/* What the tables cannot say: how many operands, and what this machine does not compute with. */
static bool check(const lt_cli *cli, lt_str *error)
{
    const lt_verb *v = cli->verb;
    const lt_args *a = &cli->args;
    const char *isa = lt_arg_text(a, "isa");
    if (a->operands < v->least || (v->most >= 0 && a->operands > v->most)) {
        const char *extra = a->operands < v->least ? "" : a->operand[v->most];
        lt_str_printf(error, *extra ? "one operand too many: '%s'; expected %s" : "%sexpected %s", extra,
                      *v->operands ? v->operands : "none");
        for (size_t i = 0; i < error->size; i++)
            if (error->data[i] == '\n') error->data[i] = '|';
    } else if (isa && !lt_kernels_f32(isa)) {
        lt_str_printf(error, "--isa %s: not on this machine, which has", isa);
        for (int i = 0; i < lt_kernels_count(); i++) lt_str_printf(error, " %s", lt_kernels_at(i)->isa);
    }
    return !error->size;
}

static bool show_help(lt_cli *cli)
{
    lt_help_verb(&cli->out.text, cli->verb, lt_term_width(1));
    return lt_print_due(&cli->out);
}

/* Does the verb's work with results going to `path` (NULL: standard output); its exit status. */
static int work(lt_cli *cli, bool (*run)(lt_cli *), const char *path)
{
    bool good = lt_print_open(&cli->out, cli->cx, &cli->term, path, lt_arg_flag(&cli->args, "json")) && run(cli);
    good = lt_print_close(&cli->out, good) && good;
    lt_term_clear(&cli->term);
    if (good || cli->out.closed) return 0;
    if (cli->silent) return 0; /* an exit status would end the other before its message is out */
    if (lt_stopped_by) return 128 + lt_stopped_by;
    if (lt_ctx_status(cli->cx) == LT_ERR_USAGE) return wrong(cli->verb, lt_ctx_error(cli->cx));
    complain(cli->verb, lt_ctx_error(cli->cx));
    return 1;
}

/* The same in a context as the options want it. */
static int work_in_context(lt_cli *cli, bool help)
{
    const lt_args *a = &cli->args;
    const bool lines = cli->verb->traits & LT_VERB_LINES, silent = lt_arg_flag(a, "quiet"), terminal = lt_term_is(2);
    cli->term.quiet = silent || !terminal;
    cli->term.plain = lines && !silent && !terminal;
    if (lines) cli->term.pace = terminal ? 0.5 : 10;
    if (lines) cli->term.next = lt_now() + cli->term.pace;
    lt_options options = {
        .threads = (int)lt_arg_int(a, "threads"),
        .memory_limit = (size_t)lt_arg_int(a, "memory-limit"),
        .isa = lt_arg_text(a, "isa"),
        .progress = cli->term.quiet && !cli->term.plain ? NULL : lt_term_progress,
        .progress_arg = &cli->term,
        .cancel = &lt_stopped_by,
    };
    cli->cx = lt_ctx_new(&options);
    if (!cli->cx) {
        complain(cli->verb, "no memory");
        return 1;
    }
    /* Help always goes to standard output; arrays and folders the verb writes itself. */
    bool elsewhere = help || lt_cli_array(cli) || (cli->verb->traits & LT_VERB_FOLDER);
    int status = work(cli, help ? show_help : cli->verb->run, elsewhere ? NULL : lt_arg_text(a, "out"));
    lt_ctx_free(cli->cx);
    return status;
}

static int run_verb(const lt_verb *verb, int argc, char **argv)
{
    lt_cli cli = {.verb = verb};
    lt_opt_group groups[LT_VERB_TABLES];
    lt_str error = {0};
    int n = lt_verb_groups(verb, groups), status;
    for (int i = 0; i < n; i++) lt_args_declare(&cli.args, groups[i].options);
    bool parsed = lt_args_parse(&cli.args, argc, argv, &error), help = parsed && lt_arg_flag(&cli.args, "help");
    const char *config = parsed && !help && lt_arg_known(&cli.args, "config") ? lt_arg_text(&cli.args, "config") : NULL;
    parsed = parsed && (!config || lt_args_config(&cli.args, config, &error));
    if (help || (parsed && lt_args_environment(&cli.args, &error) && check(&cli, &error)))
        status = work_in_context(&cli, help);
    else
        status = wrong(verb, error.data && !error.failed ? error.data : "no memory");
    lt_str_free(&error);
    lt_args_free(&cli.args);
    return status;
}

/* The command without a verb that it knows. */
static int no_verb(const char *word)
{
    lt_str text = {0};
    int status = 2;
    if (!word) {
        lt_help_main(&text, lt_term_width(2));
        fputs(text.data ? text.data : "", stderr);
    } else {
        if (word[0] == '-')
            lt_str_printf(&text, "options stand behind the verb: found %s", word);
        else
            lt_verb_unknown(&text, word);
        status = wrong(NULL, text.data && !text.failed ? text.data : "no memory");
    }
    lt_str_free(&text);
    return status;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "C.UTF-8"); /* for wcwidth; numbers stay as in C */
    lt_signals_watch();
    const char *word = argc > 1 ? argv[1] : NULL;
    bool help = word && (!strcmp(word, "--help") || !strcmp(word, "-h"));
    bool version = word && (!strcmp(word, "--version") || !strcmp(word, "-V"));
    const lt_verb *verb = word ? lt_verb_find(help ? "help" : version ? "version" : word) : NULL;
    return verb ? run_verb(verb, argc - 2, argv + 2) : no_verb(word);
}
