/* The recipes of this installation: scripts NN-name.sh, each of which begins with a comment that says what it shows. */
#ifndef LT_CLI_RECIPES_H
#define LT_CLI_RECIPES_H

#include "cli/cli.h"

typedef struct lt_recipe { /* all scoped */
    const char *name;      /* the file's, without ".sh": "38-unpadded-training" */
    const char *path;
    const char *summary, *source;
} lt_recipe;

typedef struct lt_recipes {
    const char *folder; /* NULL: none was found */
    const lt_recipe *at; /* in order of names */
    int n;
} lt_recipes;

/* In LATHE_RECIPES, else where `make install` puts them beside this binary, else in the tree it was built in. */
bool lt_recipes_find(lt_ctx *cx, lt_recipes *found);
/* The path of this binary; scoped. */
const char *lt_recipes_self(lt_ctx *cx);

#endif
