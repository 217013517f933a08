/* The verbs: one line each, in the order in which help lists them. */
#include "cli/cli.h"

#include <string.h>

#define VERBS(VERB)                                                                                                                \
    VERB(info)                                                                                                                     \
    VERB(list)                                                                                                                     \
    VERB(tokenize)                                                                                                                 \
    VERB(tokenizer)                                                                                                                \
    VERB(forward)                                                                                                                  \
    VERB(embed)                                                                                                                    \
    VERB(rank)                                                                                                                     \
    VERB(classify)                                                                                                                 \
    VERB(tag)                                                                                                                      \
    VERB(answer)                                                                                                                   \
    VERB(fill)                                                                                                                     \
    VERB(index)                                                                                                                    \
    VERB(search)                                                                                                                   \
    VERB(eval)                                                                                                                     \
    VERB(bench)                                                                                                                    \
    VERB(analyze)                                                                                                                  \
    VERB(quantize)                                                                                                                 \
    VERB(train)                                                                                                                    \
    VERB(distill)                                                                                                                  \
    VERB(plot)                                                                                                                     \
    VERB(recipe)                                                                                                                   \
    VERB(help)                                                                                                                     \
    VERB(completion)                                                                                                               \
    VERB(man)                                                                                                                      \
    VERB(version)

#define DECLARE(name) extern const lt_verb lt_verb_##name;
#define POINT(name) &lt_verb_##name,
VERBS(DECLARE)

const lt_verb *const lt_verbs[] = {VERBS(POINT) NULL};

const lt_verb *lt_verb_find(const char *name)
{
    for (int i = 0; lt_verbs[i]; i++)
        if (!strcmp(lt_verbs[i]->name, name)) return lt_verbs[i];
    return NULL;
}

void lt_verb_unknown(lt_str *s, const char *name)
{
    const char *names[sizeof lt_verbs / sizeof *lt_verbs];
    int n = 0;
    for (; lt_verbs[n]; n++) names[n] = lt_verbs[n]->name;
    lt_str_printf(s, "unknown verb '%s'", name);
    lt_suggest(s, name, names, n);
}

int lt_verb_groups(const lt_verb *verb, lt_opt_group groups[LT_VERB_TABLES])
{
    int n = 0;
    if (verb->options) groups[n++] = (lt_opt_group){"Options", verb->options};
    if (verb->traits & LT_VERB_ROWS) groups[n++] = (lt_opt_group){"Input", lt_input_options};
    groups[n++] = (lt_opt_group){"Common options", lt_common_options};
    return n;
}
