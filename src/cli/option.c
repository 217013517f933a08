/* Parsing of command lines in the manner of GNU getopt_long (--opt=value, --opt value, -k5, clusters of short flags, `--`),
 * and of the environment, from constant tables. A mistake is told with the nearest right word; names are not abbreviated. */
#include "cli/option.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const lt_opt lt_common_options[] = {
    {"out", 'o', LT_OPT_FILE, "FILE", "write the results to FILE, which is replaced only when the new one is whole"},
    {"json", 0, LT_OPT_FLAG, NULL, "one JSON object per line"},
    {"threads", 't', LT_OPT_INT, "N", "processors to use; 0: all that this process may use", "0", NULL, 0, 1024, "LATHE_THREADS"},
    {"precision", 0, LT_OPT_CHOICE, NULL, "what the layers are computed in; default: as the checkpoint is stored, floats in f32; auto: bf16 where this processor multiplies it; "
     "f64 is for checking", NULL,
     "f32|bf16|int8|int4|auto|f64", 0, 0, "LATHE_PRECISION"},
    {"max-tokens", 0, LT_OPT_INT, "N", "cut inputs to N tokens; 0: what the model allows", "0", NULL, 0, 1 << 30,
     "LATHE_MAX_TOKENS"},
    {"batch-tokens", 0, LT_OPT_INT, "N", "tokens computed in one pass: bounds memory", "16384", NULL, 1, 1 << 30,
     "LATHE_BATCH_TOKENS"},
    {"seed", 0, LT_OPT_INT, "N", "seed of random numbers", "0", NULL, 0, 9007199254740992.0, "LATHE_SEED"},
    {"quiet", 'q', LT_OPT_FLAG, NULL, "no progress and no remarks", NULL, NULL, 0, 0, "LATHE_QUIET"},
    {"isa", 0, LT_OPT_TEXT, "NAME", "instruction set of the kernels, for testing (see lathe list isa)", NULL, NULL, 0, 0,
     "LATHE_ISA", true},
    {"memory-limit", 0, LT_OPT_INT, "BYTES", "most working memory, for testing; 0: no limit", "0", NULL, 0, 9007199254740992.0,
     "LATHE_MEMORY_LIMIT", true},
    {"help", 'h', LT_OPT_FLAG, NULL, "show this help"},
    {0},
};

const lt_opt lt_input_options[] = {
    {"ids", 0, LT_OPT_FLAG, NULL, "each input line is a JSON array of token ids; no tokenizer is needed"},
    {"columns", 0, LT_OPT_TEXT, "OURS=THEIRS,…", "names of columns in the files, as in text=sentence,label=class; numbers, as in text=1,label=2, where there is no header"},
    {"format", 0, LT_OPT_CHOICE, NULL, "of the files; auto: by their endings", "auto", "auto|lines|jsonl|csv|tsv|conll"},
    {0},
};

/* ---- words ---- */

bool lt_choice(const char *choices, int i, char word[32])
{
    for (; choices && i > 0; i--) choices = (choices = strchr(choices, '|')) ? choices + 1 : NULL;
    if (!choices) return false;
    snprintf(word, 32, "%.*s", (int)strcspn(choices, "|"), choices);
    return true;
}

void lt_suggest(lt_str *s, const char *word, const char *const *words, int n)
{
    const char *near = lt_nearest(word, words, n);
    if (near) lt_str_printf(s, "; did you mean %s?", near);
}

/* ---- values ---- */

static bool bad_choice(const lt_opt *o, const char *from, const char *text, lt_str *error)
{
    char word[16][32];
    const char *words[16];
    int n = 0;
    lt_str_printf(error, "%s: '%s' is not one of ", from, text);
    for (; n < 16 && lt_choice(o->choices, n, word[n]); n++) {
        words[n] = word[n];
        lt_str_printf(error, "%s%s", n ? ", " : "", word[n]);
    }
    lt_suggest(error, text, words, n);
    return false;
}

static bool is_choice(const lt_opt *o, const char *text)
{
    char word[32];
    for (int i = 0; lt_choice(o->choices, i, word); i++)
        if (!strcmp(word, text)) return true;
    return false;
}

static bool read_int(lt_arg *a, const char *from, const char *text, lt_str *error)
{
    char *end;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (end == text || *end || errno || (double)x < a->opt->min || (double)x > a->opt->max) {
        lt_str_printf(error, "%s: expected a whole number from %.0f to %.0f, found '%s'", from, a->opt->min, a->opt->max, text);
        return false;
    }
    a->number = x;
    a->real = (double)x;
    return true;
}

static bool read_num(lt_arg *a, const char *from, const char *text, lt_str *error)
{
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || !isfinite(x) || x < a->opt->min || x > a->opt->max) {
        lt_str_printf(error, "%s: expected a number from %g to %g, found '%s'", from, a->opt->min, a->opt->max, text);
        return false;
    }
    a->real = x;
    return true;
}

/* `from` is what the value was written behind: "--threads" or "LATHE_THREADS". */
static bool set_value(lt_arg *a, const char *from, const char *text, lt_str *error)
{
    a->text = text;
    switch (a->opt->type) {
    case LT_OPT_INT:
        return read_int(a, from, text, error);
    case LT_OPT_NUM:
        return read_num(a, from, text, error);
    case LT_OPT_CHOICE:
        return is_choice(a->opt, text) || bad_choice(a->opt, from, text, error);
    default:
        return true;
    }
}

static bool set_flag(lt_arg *a, const char *from, const char *text, lt_str *error)
{
    static const lt_opt truth = {.choices = "1|yes|true|on|0|no|false|off"};
    if (!is_choice(&truth, text)) return bad_choice(&truth, from, text, error);
    a->flag = strstr("1 yes true on", text) != NULL;
    return true;
}

/* ---- the command line ---- */

void lt_args_declare(lt_args *a, const lt_opt *table)
{
    lt_str error = {0};
    for (; table && table->name; table++) {
        assert(a->n < LT_MOST_OPTIONS);
        lt_arg *arg = &a->arg[a->n++];
        arg->opt = table;
        if (table->initial) set_value(arg, table->name, table->initial, &error);
        assert(!error.size);
    }
    lt_str_free(&error);
}

static lt_arg *find_long(lt_args *a, const char *name, size_t size)
{
    for (int i = 0; i < a->n; i++)
        if (strlen(a->arg[i].opt->name) == size && !memcmp(a->arg[i].opt->name, name, size)) return &a->arg[i];
    return NULL;
}

static lt_arg *find_short(lt_args *a, char letter)
{
    for (int i = 0; i < a->n; i++)
        if (letter && a->arg[i].opt->letter == letter) return &a->arg[i];
    return NULL;
}

/* `dashes`: what stands in front of names where the word was found. */
static void suggest_long(const lt_args *a, const char *dashes, const char *word, size_t size, lt_str *error)
{
    char name[LT_MOST_OPTIONS][48], given[64];
    const char *names[LT_MOST_OPTIONS];
    int n = 0;
    for (int i = 0; i < a->n; i++) {
        if (a->arg[i].opt->hidden) continue;
        snprintf(name[n], sizeof name[n], "%s%s", dashes, a->arg[i].opt->name);
        names[n] = name[n];
        n++;
    }
    snprintf(given, sizeof given, "%.*s", (int)size, word);
    lt_suggest(error, given, names, n);
}

static void unknown_long(const lt_args *a, const char *word, size_t size, lt_str *error)
{
    lt_str_printf(error, "unknown option %.*s", (int)size, word);
    suggest_long(a, "--", word, size, error);
}

const lt_opt *lt_arg_find(const lt_args *a, const char *name)
{
    const lt_arg *arg = find_long((lt_args *)a, name, strlen(name));
    return arg ? arg->opt : NULL;
}

bool lt_arg_unknown(const lt_args *a, const char *from, const char *name, lt_str *error)
{
    lt_str_printf(error, "%s: unknown option", from);
    suggest_long(a, "", name, strlen(name), error);
    return false;
}

static bool give(lt_args *a, lt_arg *arg, const char *from, const char *value, lt_str *error)
{
    arg->given = true;
    a->value[a->values++] = (struct lt_arg_value){arg->opt, value};
    if (arg->opt->type != LT_OPT_FLAG) return set_value(arg, from, value, error);
    arg->flag = true;
    return true;
}

bool lt_arg_give(lt_args *a, const lt_opt *o, const char *from, const char *text, lt_str *error)
{
    lt_arg *arg = find_long(a, o->name, strlen(o->name));
    struct lt_arg_value *more = realloc(a->value, (size_t)(a->values + 1) * sizeof *more);
    if (!more) return lt_str_puts(error, "no memory"), false;
    a->value = more;
    const lt_arg was = *arg;
    arg->settled = true;
    if (o->type == LT_OPT_FLAG) {
        if (!set_flag(arg, from, text, error)) return false;
        arg->given = arg->flag;
        return true;
    }
    if (!give(a, arg, from, text, error)) return false;
    const bool number = o->type == LT_OPT_INT || o->type == LT_OPT_NUM;
    arg->given = was.given || !was.text || (number ? arg->real != was.real : strcmp(arg->text, was.text) != 0);
    return true;
}

/* Parses argv[i], which begins with "--"; returns the index of the last word used, or -1. */
static int parse_long(lt_args *a, int argc, char **argv, int i, lt_str *error)
{
    const char *word = argv[i], *equals = strchr(word, '=');
    size_t size = equals ? (size_t)(equals - word) : strlen(word);
    lt_arg *arg = find_long(a, word + 2, size - 2);
    if (!arg) {
        unknown_long(a, word, size, error);
        return -1;
    }
    char from[64];
    snprintf(from, sizeof from, "%.*s", (int)size, word);
    bool flag = arg->opt->type == LT_OPT_FLAG;
    if (flag && equals) {
        lt_str_printf(error, "%s takes no value", from);
        return -1;
    }
    if (!flag && !equals && i + 1 == argc) {
        lt_str_printf(error, "%s needs a value", from);
        return -1;
    }
    const char *value = flag ? NULL : equals ? equals + 1 : argv[++i];
    return give(a, arg, from, value, error) ? i : -1;
}

/* The same for "-k5", "-k 5" and clusters such as "-qh". */
static int parse_short(lt_args *a, int argc, char **argv, int i, lt_str *error)
{
    for (const char *p = argv[i] + 1; *p; p++) {
        char from[3] = {'-', *p, 0};
        lt_arg *arg = find_short(a, *p);
        if (!arg) {
            bool ascii = *p > 0x20 && *p < 0x7f;
            lt_str_printf(error, "unknown option %s; words that begin with a dash go behind --", ascii ? from : argv[i]);
            return -1;
        }
        if (arg->opt->type == LT_OPT_FLAG) {
            give(a, arg, from, NULL, error);
            continue;
        }
        if (!p[1] && i + 1 == argc) {
            lt_str_printf(error, "%s needs a value", from);
            return -1;
        }
        const char *value = p[1] ? p + 1 : argv[++i];
        return give(a, arg, from, value, error) ? i : -1;
    }
    return i;
}

bool lt_args_parse(lt_args *a, int argc, char **argv, lt_str *error)
{
    bool only_operands = false;
    size_t letters = 0; /* a cluster of flags is as many options as letters */
    for (int i = 0; i < argc; i++) letters += argv[i][0] == '-' ? strlen(argv[i]) : 0;
    a->operand = calloc((size_t)argc + 1, sizeof *a->operand);
    a->value = calloc(letters + 1, sizeof *a->value);
    if (!a->operand || !a->value) {
        lt_str_puts(error, "no memory");
        return false;
    }
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (only_operands || word[0] != '-' || !word[1])
            a->operand[a->operands++] = word;
        else if (!strcmp(word, "--"))
            only_operands = true;
        else if ((i = word[1] == '-' ? parse_long(a, argc, argv, i, error) : parse_short(a, argc, argv, i, error)) < 0)
            return false;
    }
    return true;
}

bool lt_args_environment(lt_args *a, lt_str *error)
{
    for (int i = 0; i < a->n; i++) {
        lt_arg *arg = &a->arg[i];
        const char *value = arg->opt->env && !arg->given && !arg->settled ? getenv(arg->opt->env) : NULL;
        if (!value || !*value) continue;
        arg->given = true;
        bool flag = arg->opt->type == LT_OPT_FLAG;
        if (!(flag ? set_flag : set_value)(arg, arg->opt->env, value, error)) return false;
    }
    return true;
}

void lt_args_free(lt_args *a)
{
    for (int i = 0; i < a->n_owned; i++) free(a->owned[i]);
    free(a->owned);
    free(a->operand);
    free(a->value);
}

/* ---- looking up ---- */

bool lt_arg_known(const lt_args *a, const char *name) { return find_long((lt_args *)a, name, strlen(name)) != NULL; }

static const lt_arg *get(const lt_args *a, const char *name)
{
    const lt_arg *arg = find_long((lt_args *)a, name, strlen(name));
    assert(arg && "a verb asks for an option that its tables do not have");
    return arg;
}

bool lt_arg_given(const lt_args *a, const char *name) { return get(a, name)->given; }
bool lt_arg_flag(const lt_args *a, const char *name) { return get(a, name)->flag; }
const char *lt_arg_text(const lt_args *a, const char *name) { return get(a, name)->text; }

const char *lt_arg_text_at(const lt_args *a, const char *name, int i)
{
    for (int k = 0; k < a->values; k++)
        if (a->value[k].opt == get(a, name)->opt && i-- == 0) return a->value[k].text;
    return NULL;
}

int lt_arg_times(const lt_args *a, const char *name)
{
    int n = 0;
    while (lt_arg_text_at(a, name, n)) n++;
    return n;
}

int64_t lt_arg_int(const lt_args *a, const char *name) { return get(a, name)->number; }
double lt_arg_num(const lt_args *a, const char *name) { return get(a, name)->real; }
