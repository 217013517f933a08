/* What the ops share and rooms above need not see. */
#ifndef LT_TENSOR_TENSOR_H
#define LT_TENSOR_TENSOR_H

#include <stdio.h>

#include "lathe/tensor.h"

/* Puts a node on the tape when it records, and returns out. attributes are copied. NULL out is passed through. */
lt_tensor *lt_record(lt_ctx *cx, const lt_op *op, lt_tensor *out, int n_in, lt_tensor *const *in, const void *attributes, size_t size);

int64_t lt_count(const lt_tensor *t);
int64_t lt_rows_of(const lt_tensor *t); /* all dimensions but the last */
int64_t lt_cols_of(const lt_tensor *t);
bool lt_is_contiguous(const lt_tensor *t);

/* Runs job over chunks of `rows` rows (costing about `work` operations each) on the pool when that pays, else at once. */
typedef void lt_rows_job(void *arg, lt_ctx *cx, int64_t begin, int64_t n);
bool lt_over_rows(lt_ctx *cx, int64_t rows, double work, lt_rows_job *job, void *arg);

#endif
