/* `lathe man [VERB]`: manual pages in troff's man macros (groff_man(7)), printed from the same tables that parse the command
 * line. */
#include "cli/cli.h"

#include <string.h>

/* Text for troff: dashes stay dashes, backslashes show, other code points than ASCII by name. A line must not begin with a
 * control character: that is what \& is for. */
static void put_roff(lt_str *s, const char *text)
{
    const char *end = text + strlen(text);
    bool begin = true;
    while (text < end) {
        uint32_t c;
        text += lt_utf8_next(text, end, &c);
        if (begin && (c == '.' || c == '\'')) lt_str_puts(s, "\\&");
        begin = c == '\n';
        if (c == '-')
            lt_str_puts(s, "\\-");
        else if (c == '\\')
            lt_str_puts(s, "\\e");
        else if (c == '\'')
            lt_str_puts(s, "\\(aq");
        else if (c == '`')
            lt_str_puts(s, "\\(ga");
        else if (c == '^')
            lt_str_puts(s, "\\(ha");
        else if (c == '~')
            lt_str_puts(s, "\\(ti");
        else if (c >= 0x80)
            lt_str_printf(s, "\\[u%04X]", (unsigned)c);
        else
            lt_str_printf(s, "%c", (char)c);
    }
}

static void put_section(lt_str *s, const char *title) { lt_str_printf(s, ".SH %s\n", title); }

static void put_paragraphs(lt_str *s, const char *text)
{
    for (; text && *text; text += strcspn(text, "\n"), text += *text == '\n') {
        char line[1024];
        size_t size = strcspn(text, "\n");
        if (size >= sizeof line) size = sizeof line - 1;
        memcpy(line, text, size);
        line[size] = 0;
        lt_str_puts(s, ".PP\n");
        put_roff(s, line);
        lt_str_puts(s, "\n");
    }
}

static void put_examples(lt_str *s, const char *text)
{
    put_section(s, "EXAMPLES");
    lt_str_puts(s, ".EX\n");
    put_roff(s, text);
    lt_str_puts(s, "\n.EE\n");
}

static void put_option(lt_str *s, const lt_opt *o)
{
    lt_str_puts(s, ".TP\n\\fB");
    if (o->letter) lt_str_printf(s, "\\-%c\\fR, \\fB", o->letter);
    lt_str_puts(s, "\\-\\-");
    put_roff(s, o->name);
    lt_str_puts(s, "\\fR");
    if (o->type != LT_OPT_FLAG) {
        lt_str_puts(s, " \\fI");
        put_roff(s, o->value ? o->value : o->choices);
        lt_str_puts(s, "\\fR");
    }
    lt_str_puts(s, "\n");
    put_roff(s, o->help);
    if (o->initial && strcmp(o->initial, "0")) {
        lt_str_puts(s, " (default: ");
        put_roff(s, o->initial);
        lt_str_puts(s, ")");
    }
    if (o->env) lt_str_printf(s, "; also\n.B %s\nin the environment", o->env);
    lt_str_puts(s, "\n");
}

static void put_options(lt_str *s, const lt_opt_group *group)
{
    lt_str_puts(s, ".SS ");
    put_roff(s, group->title);
    lt_str_puts(s, "\n");
    for (const lt_opt *o = group->options; o->name; o++) put_option(s, o);
}

static void put_form(lt_str *s, const char *verb, const char *form, int size)
{
    char text[256];
    memcpy(text, form, (size_t)size);
    text[size] = 0;
    lt_str_printf(s, ".B lathe %s\n", verb);
    put_roff(s, text);
    lt_str_printf(s, "%s[\\fIoptions\\fR]\n.br\n", size ? " " : "");
}

static void put_title(lt_str *s, const char *name, const char *summary)
{
    lt_str_printf(s, ".TH %s 1 \"\" \"lathe " LT_VERSION "\" \"lathe manual\"\n.SH NAME\n", name);
    put_roff(s, name);
    lt_str_puts(s, " \\- ");
    put_roff(s, summary);
    lt_str_puts(s, "\n");
    put_section(s, "SYNOPSIS");
}

static void put_exit_status(lt_str *s)
{
    static const char *const status[][2] = {
        {"0", "done; also when the reader of a pipe closed it early"},
        {"1", "the work failed; the message names file, place and what was expected"},
        {"2", "the command line or the environment was wrong"},
        {"130, 143",
         "stopped cleanly by Ctrl-C (SIGINT) or SIGTERM, nothing half-written; a second signal ends the process at once"},
    };
    put_section(s, "EXIT STATUS");
    for (int i = 0; i < 4; i++) {
        lt_str_printf(s, ".TP\n.B %s\n", status[i][0]);
        put_roff(s, status[i][1]);
        lt_str_puts(s, "\n");
    }
}

static void page_of_verb(lt_str *s, const lt_verb *v)
{
    lt_opt_group groups[LT_VERB_TABLES];
    int n = lt_verb_groups(v, groups);
    char name[64] = "lathe-";
    strcat(name, v->name);
    put_title(s, name, v->summary);
    const char *form = v->operands;
    do {
        int size = (int)strcspn(form, "\n");
        put_form(s, v->name, form, size);
        form += size + (form[size] == '\n');
    } while (*form);
    put_section(s, "DESCRIPTION");
    put_paragraphs(s, v->about ? v->about : v->summary);
    put_section(s, "OPTIONS");
    for (int i = 0; i < n; i++) put_options(s, &groups[i]);
    put_examples(s, v->examples);
    put_exit_status(s);
    lt_str_puts(s, ".SH SEE ALSO\n.BR lathe (1)\n");
}

static void page_of_lathe(lt_str *s)
{
    put_title(s, "lathe", "pre-trained transformers on text: embed, rank, search");
    lt_str_puts(s, ".B lathe\n.I VERB MODEL\n[\\fIFILE\\fR \\&...] [\\fIoptions\\fR]\n");
    put_section(s, "DESCRIPTION");
    put_paragraphs(
        s, "MODEL is a directory in the Hugging Face layout. FILE holds one text per line, or by its ending rows: .jsonl (an "
           "object a line), .json (an array of objects), .tsv and .csv (a header names the columns), any of them .gz or .zst; "
           "none or - is standard input.\n"
           "On a terminal results are tables for people, with a progress line on standard error. In a pipe, or with --json, "
           "they are one JSON object per line, in input order, the same for any number of threads.\n"
           "Files are written to a temporary name in the same folder, synced and renamed: an existing file is replaced only "
           "when the new one is whole.");
    put_section(s, "VERBS");
    for (int i = 0; lt_verbs[i]; i++) {
        lt_str_printf(s, ".TP\n.B %s\n", lt_verbs[i]->name);
        put_roff(s, lt_verbs[i]->summary);
        lt_str_puts(s, "\n");
    }
    put_section(s, "OPTIONS");
    put_options(s, &(lt_opt_group){"Every verb", lt_common_options});
    put_options(s, &(lt_opt_group){"Verbs that read rows", lt_input_options});
    put_exit_status(s);
    lt_str_puts(s, ".SH SEE ALSO\n");
    for (int i = 0; lt_verbs[i]; i++) lt_str_printf(s, ".BR lathe\\-%s (1)%s\n", lt_verbs[i]->name, lt_verbs[i + 1] ? "," : "");
}

static bool run(lt_cli *cli)
{
    const lt_verb *verb;
    if (!lt_cli_verb(cli, &verb)) return false;
    if (verb)
        page_of_verb(&cli->out.text, verb);
    else
        page_of_lathe(&cli->out.text);
    return lt_print_due(&cli->out);
}

const lt_verb lt_verb_man = {
    .name = "man",
    .summary = "the manual page of lathe or of a verb, for man(1)",
    .operands = "[VERB]",
    .examples = "lathe man embed | man -l -\n"
                "lathe man > /usr/local/share/man/man1/lathe.1",
    .most = 1,
    .run = run,
};
