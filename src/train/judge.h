/* How a validation is judged: counts over its batches, and the metrics they give. */
#ifndef LT_TRAIN_JUDGE_H
#define LT_TRAIN_JUDGE_H

#include "train/train.h"

enum { LT_JUDGE_MOST = 5 }; /* names of a kind, and NULL */

typedef struct lt_judge { /* {0} is empty; free it */
    lt_label_counts labels;
    lt_entity_counts tags;
    double *want, *got, log_likelihood;
    int64_t n, right; /* numbers, tokens or targets so far; those that were right */
} lt_judge;
bool lt_judge_batch(lt_ctx *cx, const lt_run *r, lt_judge *j, const lt_minibatch *b, lt_tensor *hidden);
int lt_judge_metrics(lt_ctx *cx, const lt_run *r, const lt_judge *j, lt_metric *out); /* how many, of LT_JUDGE_MOST */
void lt_judge_free(lt_judge *j);
lt_judged lt_judged_as(const lt_run *r); /* once the rows are read */
const char *lt_judge_name(lt_judged kind, int i); /* NULL past the last */
bool lt_judge_less(const char *name);             /* less of it is better */

#endif
