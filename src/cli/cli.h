/* What a verb is, and what one run of it has at hand. A verb is one file that ends in its lt_verb, and its name in verbs.c. */
#ifndef LT_CLI_CLI_H
#define LT_CLI_CLI_H

#include "cli/option.h"
#include "cli/output.h"
#include "cli/term.h"
#include "lathe/model.h"

struct lt_verb;

typedef struct lt_cli { /* one run of one verb */
    const struct lt_verb *verb;
    lt_args args;
    lt_ctx *cx;
    lt_print out; /* results: standard output, or the file of -o */
    lt_term term; /* progress */
    bool silent;  /* another process at the same work reports what went wrong */
} lt_cli;

typedef enum {
    LT_VERB_ROWS = 1,  /* reads rows of files: --ids, --columns */
    LT_VERB_ARRAYS = 2, /* -o FILE.npy is an array, written by the verb itself */
    LT_VERB_FOLDER = 4, /* -o is a folder, written by the verb itself */
    LT_VERB_LINES = 8   /* takes hours: how far it has come is told in lines where there is no terminal */
} lt_verb_traits;

typedef struct lt_verb {
    const char *name;
    const char *summary;  /* one line, for lists */
    const char *operands; /* "MODEL [FILE…]"; several forms: one a line */
    const char *about;    /* paragraphs, one a line */
    const char *examples; /* lines of shell, with comments */
    int least, most;      /* operands; most -1: any number */
    unsigned traits;
    const lt_opt *options;    /* its own */
    bool (*run)(lt_cli *cli); /* false: an error is in cli->cx */
} lt_verb;

extern const lt_verb *const lt_verbs[]; /* ends with NULL */
const lt_verb *lt_verb_find(const char *name);
void lt_verb_unknown(lt_str *s, const char *name); /* says so, with the nearest one */

/* The option tables of a verb, its own first. */
enum { LT_VERB_TABLES = 3 };
typedef struct lt_opt_group {
    const char *title;
    const lt_opt *options;
} lt_opt_group;
int lt_verb_groups(const lt_verb *verb, lt_opt_group groups[LT_VERB_TABLES]);

/* A mistake in the command line that only the verb can see: exit status 2. */
bool lt_usage(lt_cli *cli, const char *format, ...) LT_PRINTF(2, 3); /* returns false */
/* A remark for people: on standard error if that is a terminal, unless --quiet. */
void lt_remark(lt_cli *cli, const char *format, ...) LT_PRINTF(2, 3);
/* A warning, terminal or not, unless --quiet: where a precision that was asked for is expected to be slower than f32 here. */
void lt_cli_warn_slow(lt_cli *cli, lt_precision p);

/* The verb that the optional first operand names; NULL where there is none. */
bool lt_cli_verb(lt_cli *cli, const lt_verb **verb);
/* The model of an operand, opened as --precision and --ids say. */
lt_model *lt_cli_model(lt_cli *cli, const char *path);
/* The path of -o where the verb writes arrays and FILE ends in .npy, else NULL. */
const char *lt_cli_array(const lt_cli *cli);
/* --max-tokens and --batch-tokens. */
lt_run_options lt_cli_run_options(const lt_cli *cli);
/* The text that an option such as --prompt stands for: a prompt of the model by that name, else the text itself. */
const char *lt_cli_prompt(const lt_cli *cli, const lt_model *m, const char *option);

/* Texts of --help, the manual and `lathe help`. */
void lt_help_main(lt_str *s, int width);
void lt_help_verb(lt_str *s, const lt_verb *verb, int width);

#endif
