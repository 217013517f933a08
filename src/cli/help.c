/* `lathe help`, and the texts of --help: written from the verbs' own tables, wrapped to the terminal's width. */
#include "cli/cli.h"

#include <string.h>

enum { WIDEST = 110, HELP_AT = 28 };

static int line_width(int width) { return width < 40 ? 40 : width > WIDEST ? WIDEST : width; }

/* Calls put for each line of a text. */
static void each_line(lt_str *s, const char *text, void (*put)(lt_str *, const char *line, int width), int width)
{
    char line[1024];
    for (; text && *text; text += strcspn(text, "\n"), text += *text == '\n') {
        size_t size = strcspn(text, "\n");
        if (size >= sizeof line) size = sizeof line - 1;
        memcpy(line, text, size);
        line[size] = 0;
        put(s, line, width);
    }
}

static void put_paragraph(lt_str *s, const char *line, int width)
{
    lt_str_puts(s, "\n");
    lt_text_wrap(s, line, 0, 0, width);
    lt_str_puts(s, "\n");
}

static void put_example(lt_str *s, const char *line, int width) { lt_str_printf(s, "  %s\n", line); }

/* "-o, --output FILE" */
static void put_option_name(lt_str *s, const lt_opt *o)
{
    if (o->letter)
        lt_str_printf(s, "  -%c, ", o->letter);
    else
        lt_str_puts(s, "      ");
    lt_str_printf(s, "--%s", o->name);
    if (o->type != LT_OPT_FLAG) lt_str_printf(s, " %s", o->value ? o->value : o->choices);
}

static void put_option(lt_str *s, const lt_opt *o, int width)
{
    lt_str help = {0};
    size_t begin = s->size;
    put_option_name(s, o);
    int at = lt_text_width(s->data + begin, s->size - begin);
    lt_str_printf(&help, "%s", o->help);
    if (o->initial && strcmp(o->initial, "0")) lt_str_printf(&help, " (default: %s)", o->initial);
    if (o->env) lt_str_printf(&help, " [%s]", o->env);
    if (at > HELP_AT - 2)
        lt_str_printf(s, "\n%*s", HELP_AT, "");
    else
        lt_str_printf(s, "%*s", HELP_AT - at, "");
    if (help.data) lt_text_wrap(s, help.data, HELP_AT, HELP_AT, width);
    lt_str_puts(s, "\n");
    lt_str_free(&help);
}

static void put_usage(lt_str *s, const lt_verb *v)
{
    const char *form = v->operands;
    do {
        int size = (int)strcspn(form, "\n");
        lt_str_printf(s, "%s lathe %s %.*s%s[options]\n", form == v->operands ? "usage:" : "   or:", v->name, size, form,
                      size ? " " : "");
        form += size + (form[size] == '\n');
    } while (*form);
}

void lt_help_verb(lt_str *s, const lt_verb *v, int width)
{
    lt_opt_group groups[LT_VERB_TABLES];
    int n = lt_verb_groups(v, groups);
    width = line_width(width);
    put_usage(s, v);
    each_line(s, v->summary, put_paragraph, width);
    each_line(s, v->about, put_paragraph, width);
    for (int i = 0; i < n; i++) {
        lt_str_printf(s, "\n%s:\n", groups[i].title);
        for (const lt_opt *o = groups[i].options; o->name; o++)
            if (!o->hidden) put_option(s, o, width);
    }
    lt_str_puts(s, "\nExamples:\n");
    each_line(s, v->examples, put_example, width);
    lt_str_puts(s,
                "\nExit status: 0 done; 1 the work failed; 2 the command line was wrong; 130, 143 stopped by Ctrl-C, SIGTERM.\n");
}

void lt_help_main(lt_str *s, int width)
{
    width = line_width(width);
    lt_str_puts(s, "usage: lathe VERB MODEL [FILE…] [options]\n");
    put_paragraph(s, "lathe runs pre-trained transformers on text: embeds, ranks and searches it, on a processor, without Python.",
                  width);
    lt_str_puts(s, "\nVerbs:\n");
    for (int i = 0; lt_verbs[i]; i++) {
        lt_str_printf(s, "  %-12s", lt_verbs[i]->name);
        lt_text_wrap(s, lt_verbs[i]->summary, 14, 14, width);
        lt_str_puts(s, "\n");
    }
    put_paragraph(s,
                  "MODEL is a directory in the Hugging Face layout. FILE holds one text per line, or by its ending rows: .jsonl, "
                  ".json, .tsv, .csv, any of them .gz or .zst; none or - is standard input.",
                  width);
    put_paragraph(s,
                  "On a terminal results are tables for people; in a pipe, or with --json, one JSON object per line. Results go "
                  "to standard output, all else to standard error.",
                  width);
    lt_str_puts(s, "\nExamples:\n"
                   "  lathe info all-MiniLM-L6-v2\n"
                   "  lathe embed all-MiniLM-L6-v2 lines.txt -o lines.npy\n"
                   "  lathe index notes.idx all-MiniLM-L6-v2 notes/\n"
                   "  lathe search notes.idx \"how do I resume a download?\"\n"
                   "\nlathe help VERB (or lathe VERB --help) tells more; lathe man prints the manual.\n");
}

static bool run(lt_cli *cli)
{
    int width = cli->out.terminal ? lt_term_width(1) : 80;
    const lt_verb *verb;
    if (!lt_cli_verb(cli, &verb)) return false;
    if (verb)
        lt_help_verb(&cli->out.text, verb, width);
    else
        lt_help_main(&cli->out.text, width);
    return lt_print_due(&cli->out);
}

const lt_verb lt_verb_help = {
    .name = "help",
    .summary = "what lathe can do, or how a verb is used",
    .operands = "[VERB]",
    .examples = "lathe help\nlathe help search",
    .most = 1,
    .run = run,
};
