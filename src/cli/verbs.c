/* The verbs, in the order in which help shows them. */
#include "cli/cli.h"

#include <string.h>

extern const lt_verb lt_verb_info, lt_verb_list, lt_verb_tokenize, lt_verb_tokenizer, lt_verb_forward, lt_verb_embed, lt_verb_rank, lt_verb_index,
    lt_verb_search, lt_verb_eval, lt_verb_bench, lt_verb_quantize, lt_verb_train, lt_verb_help, lt_verb_version, lt_verb_completion, lt_verb_man;

const lt_verb *const lt_verbs[] = {
    &lt_verb_info,   &lt_verb_list, &lt_verb_tokenize, &lt_verb_tokenizer, &lt_verb_forward,  &lt_verb_embed, &lt_verb_rank,       &lt_verb_index, &lt_verb_search,
    &lt_verb_eval,   &lt_verb_bench, &lt_verb_quantize, &lt_verb_train, &lt_verb_help, &lt_verb_completion, &lt_verb_man,  &lt_verb_version, NULL,
};

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
