/* Where linears become block-sparse ones: while they are prepared, if enough of their blocks are zero. */
#ifndef LT_NN_LINEAR_SPARSE_H
#define LT_NN_LINEAR_SPARSE_H

#include "lathe/nn.h"

/* Whether a linear of weights w [out, in] (int8: its codes; else f32) runs faster by the sparse kernels. */
bool lt_sparse_pays(lt_ctx *cx, const lt_linear *l, const void *w);
/* Makes it so: packed, of its sparse kind, the weight itself given back. scale: of int8 codes. */
bool lt_sparse_prepare(lt_ctx *cx, lt_linear *l, const void *w, const float *scale);

#endif
