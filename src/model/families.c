/* The list of all families. Adding one is its own file and one line here. */
#include "model/model.h"

#include <string.h>

static const lt_family *const families[] = {&lt_family_bert, &lt_family_roberta, &lt_family_distilbert};
enum { FAMILIES = sizeof families / sizeof *families };

const lt_family *lt_family_named(const char *model_type)
{
    for (int i = 0; i < FAMILIES; i++)
        if (strcmp(families[i]->is.name, model_type) == 0) return families[i];
    return NULL;
}

const lt_kind *const *lt_families(int *n)
{
    static const lt_kind *const kinds[FAMILIES] = {&lt_family_bert.is, &lt_family_roberta.is, &lt_family_distilbert.is};
    *n = FAMILIES;
    return kinds;
}
