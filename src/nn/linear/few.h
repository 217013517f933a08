/* What linear kinds with weights of fewer bits share: all but how weights become codes. Their tensors in files have the names and
 * shapes of the compressed-tensors format (https://github.com/neuralmagic/compressed-tensors). */
#ifndef LT_NN_LINEAR_FEW_H
#define LT_NN_LINEAR_FEW_H

#include "lathe/nn.h"

typedef struct lt_few { /* the state of such a linear */
    lt_param scale;     /* of rows or groups; bf16 has none */
    lt_param shape;     /* int4: [out, in], which packed codes do not tell */
    lt_param multiply;  /* int8, smoothed: of its inputs [in] */
} lt_few;

lt_few *lt_few_state(lt_ctx *cx, lt_linear *l); /* made at the first call */
bool lt_few_bias(lt_linear *l, lt_decl *d);     /* declares it, where there is one */
/* For converting: takes the dense weight out of l, and declares the parameters of its new kind, without values. */
bool lt_few_take(lt_ctx *cx, lt_linear *l, lt_param *dense);
bool lt_few_pack(lt_ctx *cx, lt_linear *l, lt_product_id id, const void *codes, const float *scale);
lt_tensor *lt_few_encode(lt_ctx *cx, const lt_linear *l, lt_product_id id, lt_tensor *x);
lt_tensor *lt_few_run(lt_ctx *cx, const lt_linear *l, lt_product_id id, lt_tensor *x, const lt_epilogue *e);
void lt_few_put(const lt_linear *l, void *out, int64_t i, double x); /* out[i] in the linear's own type */
void lt_few_release(lt_linear *l);

#endif
