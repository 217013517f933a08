/* `lathe completion SHELL`: scripts for bash, zsh and fish, printed from the same tables that parse the command line. They are
 * static: pressing Tab never runs lathe. */
#include "cli/cli.h"

#include <string.h>

/* Calls put for each visible option of the verb. */
static void each_option(lt_str *s, const lt_verb *v, void (*put)(lt_str *, const lt_verb *, const lt_opt *))
{
    lt_opt_group groups[LT_VERB_TABLES];
    int n = lt_verb_groups(v, groups);
    for (int i = 0; i < n; i++)
        for (const lt_opt *o = groups[i].options; o->name; o++)
            if (!o->hidden) put(s, v, o);
}

/* Puts text between single quotes of a shell: ' becomes '\''. `also` are characters that get a backslash. */
static void put_quoted(lt_str *s, const char *text, const char *also)
{
    for (; *text; text++) {
        if (*text == '\'')
            lt_str_puts(s, "'\\''");
        else
            lt_str_printf(s, "%s%c", strchr(also, *text) ? "\\" : "", *text);
    }
}

static void put_words(lt_str *s, const char *choices)
{
    char word[32];
    for (int i = 0; lt_choice(choices, i, word); i++) lt_str_printf(s, "%s%s", i ? " " : "", word);
}

static void put_verbs(lt_str *s)
{
    for (int i = 0; lt_verbs[i]; i++) lt_str_printf(s, "%s%s", i ? " " : "", lt_verbs[i]->name);
}

/* What the first operand of these verbs is, if not a path. */
static bool first_words(lt_str *s, const lt_verb *v)
{
    bool verb = !strcmp(v->name, "help") || !strcmp(v->name, "man");
    if (verb)
        put_verbs(s);
    else if (!strcmp(v->name, "completion"))
        lt_str_puts(s, "bash zsh fish");
    else
        return false;
    return true;
}

/* ---- bash ---- */

static void bash_name(lt_str *s, const lt_verb *v, const lt_opt *o)
{
    if (o->letter) lt_str_printf(s, "-%c ", o->letter);
    lt_str_printf(s, "--%s ", o->name);
}

static void bash_value(lt_str *s, const lt_verb *v, const lt_opt *o)
{
    if (o->type == LT_OPT_FLAG) return;
    lt_str_printf(s, "    %s:--%s", v->name, o->name);
    if (o->letter) lt_str_printf(s, " | %s:-%c", v->name, o->letter);
    lt_str_puts(s, ")");
    if (o->type == LT_OPT_CHOICE) {
        lt_str_puts(s, " COMPREPLY=($(compgen -W '");
        put_words(s, o->choices);
        lt_str_puts(s, "' -- \"$cur\"));");
    } else if (o->type == LT_OPT_FILE) {
        lt_str_puts(s, " compopt -o default;");
    }
    lt_str_puts(s, " return ;;\n");
}

static void bash(lt_str *s)
{
    lt_str_puts(s, "# bash completion for lathe; put it where bash looks: lathe completion bash > "
                   "~/.local/share/bash-completion/completions/lathe\n"
                   "_lathe()\n{\n"
                   "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]} options words\n"
                   "    COMPREPLY=()\n"
                   "    if ((COMP_CWORD == 1)); then\n        COMPREPLY=($(compgen -W '");
    put_verbs(s);
    lt_str_puts(s, "' -- \"$cur\"))\n        return\n    fi\n    case $verb:$prev in\n");
    for (int i = 0; lt_verbs[i]; i++) each_option(s, lt_verbs[i], bash_value);
    lt_str_puts(s, "    esac\n    case $verb in\n");
    for (int i = 0; lt_verbs[i]; i++) {
        lt_str_printf(s, "    %s)\n        options='", lt_verbs[i]->name);
        each_option(s, lt_verbs[i], bash_name);
        lt_str_puts(s, "'\n        words='");
        first_words(s, lt_verbs[i]);
        lt_str_puts(s, "' ;;\n");
    }
    lt_str_puts(s, "    esac\n"
                   "    if [[ $cur == -* ]]; then\n        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
                   "    elif [[ $words ]]; then\n        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                   "    else\n        compopt -o default\n    fi\n}\n"
                   "complete -F _lathe lathe\n");
}

/* ---- zsh ---- */

static void zsh_option(lt_str *s, const lt_verb *v, const lt_opt *o)
{
    lt_str_puts(s, " \\\n            ");
    if (o->letter)
        lt_str_printf(s, "'(-%c --%s)'{-%c,--%s}'[", o->letter, o->name, o->letter, o->name);
    else
        lt_str_printf(s, "'--%s[", o->name);
    put_quoted(s, o->help, "[]:\\");
    lt_str_puts(s, "]");
    if (o->type != LT_OPT_FLAG) lt_str_puts(s, ":value:");
    if (o->type == LT_OPT_CHOICE) {
        lt_str_puts(s, "(");
        put_words(s, o->choices);
        lt_str_puts(s, ")");
    } else if (o->type == LT_OPT_FILE) {
        lt_str_puts(s, "_files");
    }
    lt_str_puts(s, "'");
}

static void zsh(lt_str *s)
{
    lt_str_puts(s, "#compdef lathe\n# zsh completion for lathe; put it as _lathe into a folder of $fpath\n"
                   "_lathe() {\n    local -a verbs\n    verbs=(\n");
    for (int i = 0; lt_verbs[i]; i++) {
        lt_str_printf(s, "        '%s:", lt_verbs[i]->name);
        put_quoted(s, lt_verbs[i]->summary, ":\\");
        lt_str_puts(s, "'\n");
    }
    lt_str_puts(s, "    )\n    if (( CURRENT == 2 )); then\n        _describe verb verbs\n        return\n    fi\n"
                   "    local verb=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $verb in\n");
    for (int i = 0; lt_verbs[i]; i++) {
        lt_str words = {0};
        lt_str_printf(s, "    %s)\n        _arguments -s", lt_verbs[i]->name);
        each_option(s, lt_verbs[i], zsh_option);
        if (first_words(&words, lt_verbs[i]))
            lt_str_printf(s, " \\\n            '1:word:(%s)' ;;\n", words.data ? words.data : "");
        else
            lt_str_puts(s, " \\\n            '*:file:_files' ;;\n");
        lt_str_free(&words);
    }
    lt_str_puts(s, "    esac\n}\nif [[ $funcstack[1] == _lathe ]]; then _lathe \"$@\"; else compdef _lathe lathe; fi\n");
}

/* ---- fish ---- */

static void fish_quoted(lt_str *s, const char *text)
{
    lt_str_puts(s, "'");
    for (; *text; text++) lt_str_printf(s, "%s%c", *text == '\'' || *text == '\\' ? "\\" : "", *text);
    lt_str_puts(s, "'\n");
}

static void fish_option(lt_str *s, const lt_verb *v, const lt_opt *o)
{
    lt_str_printf(s, "complete -c lathe -n '__fish_seen_subcommand_from %s' -l %s", v->name, o->name);
    if (o->letter) lt_str_printf(s, " -s %c", o->letter);
    if (o->type == LT_OPT_CHOICE) {
        lt_str_puts(s, " -x -a '");
        put_words(s, o->choices);
        lt_str_puts(s, "'");
    } else if (o->type != LT_OPT_FLAG) {
        lt_str_puts(s, o->type == LT_OPT_FILE ? " -r -F" : " -x");
    }
    lt_str_puts(s, " -d ");
    fish_quoted(s, o->help);
}

static void fish(lt_str *s)
{
    lt_str_puts(
        s, "# fish completion for lathe; put it where fish looks: lathe completion fish > ~/.config/fish/completions/lathe.fish\n");
    for (int i = 0; lt_verbs[i]; i++) {
        lt_str_printf(s, "complete -c lathe -f -n __fish_use_subcommand -a %s -d ", lt_verbs[i]->name);
        fish_quoted(s, lt_verbs[i]->summary);
        lt_str words = {0};
        if (first_words(&words, lt_verbs[i]))
            lt_str_printf(s, "complete -c lathe -f -n '__fish_seen_subcommand_from %s' -a '%s'\n", lt_verbs[i]->name,
                          words.data ? words.data : "");
        lt_str_free(&words);
        each_option(s, lt_verbs[i], fish_option);
    }
}

static bool run(lt_cli *cli)
{
    static const struct {
        const char *name;
        void (*put)(lt_str *);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (int i = 0; i < 3; i++) {
        if (strcmp(shells[i].name, cli->args.operand[0])) continue;
        shells[i].put(&cli->out.text);
        return lt_print_due(&cli->out);
    }
    return lt_usage(cli, "no completion for '%s'; there is one for bash, zsh and fish", cli->args.operand[0]);
}

const lt_verb lt_verb_completion = {
    .name = "completion",
    .summary = "a script that completes lathe's words in a shell",
    .operands = "SHELL",
    .about = "SHELL is bash, zsh or fish.",
    .examples = "source <(lathe completion bash)\n"
                "lathe completion zsh > ~/.zfunc/_lathe\n"
                "lathe completion fish > ~/.config/fish/completions/lathe.fish",
    .least = 1,
    .most = 1,
    .run = run,
};
