/* Texts in batches, for what looks at a model while it runs: cut by tokens and run one after another on the caller's thread (threads work inside
 * operations), so that whatever is summed up has one order. */
#ifndef LT_COMPRESS_BATCHES_H
#define LT_COMPRESS_BATCHES_H

#include "lathe/compress.h"

typedef bool lt_batch_fn(void *arg, lt_ctx *cx, const lt_batch *batch, int64_t first); /* in a scope of its own; `first`: the batch's first input */

/* Inputs ids[begin[i]] … ids[begin[i+1]-1], with `what` as the name of the progress shown. */
bool lt_each_batch(lt_ctx *cx, const char *what, const int32_t *ids, const int64_t *begin, int64_t n, lt_batch_fn *fn, void *arg);

#endif
