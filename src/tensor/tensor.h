/* What the ops share and rooms above need not see. */
#ifndef LT_TENSOR_TENSOR_H
#define LT_TENSOR_TENSOR_H

#include <stdio.h>

#include "lathe/tensor.h"

/* Puts a node on the tape when it records, and returns out. attributes are copied. NULL out is passed through. */
lt_tensor *lt_record(lt_ctx *cx, const lt_op *op, lt_tensor *out, int n_in, lt_tensor *const *in, const void *attributes, size_t size);

/* For `back`: whether input i is differentiated; room for its gradient, contiguous, not cleared, of the tape's own memory; dy again, as the gradient
 * of an input of the same shape; and the gradient of a leaf, to add to directly (NULL: input i is no leaf). */
bool lt_wants(const lt_node *node, int i);
lt_tensor *lt_gradient(lt_ctx *cx, const lt_node *node, int i);
lt_tensor *lt_gradient_zero(lt_ctx *cx, const lt_node *node, int i);
lt_tensor *lt_gradient_same(lt_tensor *dy);
lt_tensor *lt_leaf(const lt_node *node, int i);

/* Room for a packed operand, which is whose form of what: scoped, or that of before where forms are kept (lt_keep_packed); `filled`: nothing has changed
 * since it was. */
typedef struct lt_pack_key {
    const void *at, *by;
    int64_t along, across, n, k;
} lt_pack_key;
void *lt_pack_room(lt_ctx *cx, const lt_pack_key *key, size_t bytes, bool *filled);

/* y += a x, contiguous, on all threads. */
bool lt_accumulate(lt_ctx *cx, double a, const lt_tensor *x, lt_tensor *y);

/* Sums over rows in an order that no thread changes: job adds those of rows begin … begin+n-1 to out[0 … n_out-1], [cols] each and cleared; chunks
 * of rows are added to `into` one after another. */
typedef void lt_sum_job(void *arg, int64_t begin, int64_t n, void *const *out);
bool lt_sum_over_rows(lt_ctx *cx, const lt_kernels *kn, int64_t rows, int64_t cols, int n_out, void *const *into, lt_sum_job *job, void *arg);

bool lt_sum_rows_into(lt_ctx *cx, const lt_tensor *x, void *row); /* row [cols] += the sum of x's rows; x contiguous */

int64_t lt_count(const lt_tensor *t);
int64_t lt_rows_of(const lt_tensor *t); /* all dimensions but the last */
int64_t lt_cols_of(const lt_tensor *t);
bool lt_is_contiguous(const lt_tensor *t);

/* Runs job over chunks of `rows` rows (costing about `work` operations each) on the pool when that pays, else at once. */
typedef void lt_rows_job(void *arg, lt_ctx *cx, int64_t begin, int64_t n);
bool lt_over_rows(lt_ctx *cx, int64_t rows, double work, lt_rows_job *job, void *arg);

#endif
