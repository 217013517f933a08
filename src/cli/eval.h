/* What the files of `lathe eval` share: metrics are printed alike, and predictions come from a model or from a file. */
#ifndef LT_CLI_EVAL_H
#define LT_CLI_EVAL_H

#include "cli/rowed.h"

/* A label's or a type's own figures, for --per-label. */
typedef struct lt_eval_part {
    const char *name;
    size_t size;
    lt_prf score;
} lt_eval_part;
bool lt_eval_print(lt_cli *cli, const lt_metric *metrics, int n, const lt_eval_part *parts, int64_t n_parts);

/* Calls fn for each line of --predictions; `name` is its place, for messages. */
typedef bool lt_eval_prediction_fn(void *arg, lt_ctx *cx, const lt_json *value, const char *name);
bool lt_eval_predictions(lt_cli *cli, lt_eval_prediction_fn *fn, void *arg);
/* All rows of --data, each to f->each. */
bool lt_eval_read(lt_feed *f);
bool lt_eval_as_many(lt_cli *cli, int64_t rows, int64_t predictions); /* or an error */

bool lt_eval_numbers(lt_cli *cli, const char *task); /* sts, regress */
bool lt_eval_texts(lt_cli *cli, const char *task);   /* classify, tag, answer */
bool lt_eval_lm(lt_cli *cli);

#endif
