/* The list of all families. Adding one is its own file and one line here. */
#include "model/model.h"

#include <string.h>

#define EACH_FAMILY(_)                                                                                                             \
    _(bert)                                                                                                                        \
    _(roberta)                                                                                                                     \
    _(distilbert)

#define THE_FAMILY(name) &lt_family_##name,
#define ITS_KIND(name) &lt_family_##name.is,
static const lt_family *const families[] = {EACH_FAMILY(THE_FAMILY)};
static const lt_kind *const kinds[] = {EACH_FAMILY(ITS_KIND)};
enum { FAMILIES = sizeof families / sizeof *families };

const lt_family *lt_family_named(const char *model_type)
{
    for (int i = 0; i < FAMILIES; i++)
        if (strcmp(families[i]->is.name, model_type) == 0) return families[i];
    return NULL;
}

const lt_kind *const *lt_families(int *n)
{
    *n = FAMILIES;
    return kinds;
}
