/* What attention and its gradient share: one head of one sequence, as the kernels take it. */
#ifndef LT_TENSOR_ATTEND_H
#define LT_TENSOR_ATTEND_H

#include "tensor/tensor.h"

typedef struct lt_masked_keys {
    int32_t keys; /* real ones */
    bool f64;
    lt_bias_fn *inner;
    const void *inner_arg;
} lt_masked_keys;

static inline void *lt_attend_at(const lt_tensor *t, int64_t row, int64_t col)
{
    return (char *)t->data + (size_t)(row * t->stride[0] + col) * lt_dtype_size(t->dtype);
}

/* All but `out`. mask has to live as long as the result. */
lt_attend_args lt_attend_head(const lt_attend_spec *spec, const lt_tensor *q, const lt_tensor *k, const lt_tensor *v, int32_t seq, int32_t head,
                              lt_masked_keys *mask);
/* Attention whose probabilities are dropped, as spec says. */
bool lt_attend_dropped(lt_ctx *cx, const lt_attend_spec *spec, const lt_tensor *q, const lt_tensor *k, const lt_tensor *v, lt_tensor *out);
bool lt_attend_back(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx);
/* to [nk, dim] += xᵀ b, x [n, nk] contiguous, b [n, dim]; turned [nk, n] and packed (lt_packed_bytes(kn, dim, n)) are scratch. */
void lt_add_turned(const lt_kernels *kn, int64_t nk, int64_t dim, const void *x, int64_t n, const void *b, int64_t b_stride, void *turned, void *packed,
                   void *to, int64_t to_stride);

#endif
