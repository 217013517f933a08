/* Options as data: one constant table per verb says what there is, and the same table drives parsing, the environment,
 * --help, shell completion and man pages. Values are looked up by name. */
#ifndef LT_CLI_OPTION_H
#define LT_CLI_OPTION_H

#include "lathe/base.h"

typedef enum {
    LT_OPT_FLAG,  /* takes no value */
    LT_OPT_INT,   /* a whole number from min to max */
    LT_OPT_NUM,   /* a number from min to max */
    LT_OPT_TEXT,  /* anything */
    LT_OPT_FILE,  /* a path */
    LT_OPT_CHOICE /* one word of `choices` */
} lt_opt_type;

typedef struct lt_opt { /* a table ends with an entry without a name */
    const char *name;   /* long name, without the dashes */
    char letter;        /* short name; 0: none */
    lt_opt_type type;
    const char *value; /* what --help calls the value: "N", "FILE", …; NULL for flags and choices */
    const char *help;
    const char *initial; /* the default, as it would be written; NULL: none */
    const char *choices; /* "yes|no" */
    double min, max;
    const char *env; /* the twin in the environment; NULL: none */
    bool hidden;     /* for testing: in the manual alone */
} lt_opt;

extern const lt_opt lt_common_options[]; /* every verb's */
extern const lt_opt lt_input_options[];  /* of verbs that read rows */

typedef struct lt_arg { /* an option with its value */
    const lt_opt *opt;
    const char *text; /* NULL: neither given nor a default */
    int64_t number;
    double real;
    bool flag, given;
    bool settled; /* a file of options said it, if only what the default is */
} lt_arg;

enum { LT_MOST_OPTIONS = 128 };

typedef struct lt_args {
    lt_arg arg[LT_MOST_OPTIONS];
    int n;
    const char **operand; /* owned; the strings are argv's */
    int operands;
    struct lt_arg_value { /* every value of the command line, in order; owned */
        const lt_opt *opt;
        const char *text;
    } * value;
    int values;
    char **owned; /* values of a file of options */
    int n_owned;
} lt_args;

/* Makes the options of a table known, with their defaults. */
void lt_args_declare(lt_args *a, const lt_opt *table);
/* Parses the words after the verb; `--` ends options, and options may stand after operands. False: `error` says what was wrong. */
bool lt_args_parse(lt_args *a, int argc, char **argv, lt_str *error);
/* Gives options that were not on the command line what a file of options says: a JSON object by long names, and "operands" if there were none. */
bool lt_args_config(lt_args *a, const char *path, lt_str *error);
/* Appends what all options are now in that form, but for one that had no effect. */
void lt_args_record(const lt_args *a, lt_str *s, const char *unused);
/* For readers of other forms than command lines: an option by name (NULL: unknown), a value for it (of a flag: "yes" or "no"; it counts as given if it is not
 * the default), and the complaint, false. */
const lt_opt *lt_arg_find(const lt_args *a, const char *name);
bool lt_arg_give(lt_args *a, const lt_opt *o, const char *from, const char *text, lt_str *error);
bool lt_arg_unknown(const lt_args *a, const char *from, const char *name, lt_str *error);
/* Gives options that were not on the command line the value of their twin in the environment. */
bool lt_args_environment(lt_args *a, lt_str *error);
void lt_args_free(lt_args *a);

bool lt_arg_given(const lt_args *a, const char *name); /* on the command line or in the environment */
bool lt_arg_flag(const lt_args *a, const char *name);
const char *lt_arg_text(const lt_args *a, const char *name);
/* Options that may be given several times: how often, and the i-th value. lt_arg_text is the last one. */
int lt_arg_times(const lt_args *a, const char *name);
const char *lt_arg_text_at(const lt_args *a, const char *name, int i);
int64_t lt_arg_int(const lt_args *a, const char *name);
double lt_arg_num(const lt_args *a, const char *name);
bool lt_arg_known(const lt_args *a, const char *name); /* whether this verb has such an option */

/* The i-th word of "a|b|c", copied into `word`; false past the end. */
bool lt_choice(const char *choices, int i, char word[32]);
/* Appends "; did you mean X?" where one of the words is near. */
void lt_suggest(lt_str *s, const char *word, const char *const *words, int n);

#endif
