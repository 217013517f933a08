/* Two models that should give nearly the same, compared on the user's own texts: what precision or compression costs and saves. */
#ifndef LT_CLI_COMPARE_H
#define LT_CLI_COMPARE_H

#include "cli/cli.h"

typedef struct lt_comparison {
    double cosine_min, cosine_mean;         /* of embeddings, input by input */
    double accuracy_before, accuracy_after; /* of a classifying head on labelled rows; NAN: there is none, or no labels */
    int64_t bytes_before, bytes_after;      /* of weight files */
    double per_s_before, per_s_after;       /* tokens a second */
} lt_comparison;

/* On the rows of `file`; both models are in memory, and timed in turns. */
bool lt_compare(lt_cli *cli, const lt_model *before, const lt_model *after, const char *file, lt_comparison *c);
bool lt_comparison_print(lt_cli *cli, const lt_comparison *c);

#endif
