/* The list of all fillings of all slots. Adding one is its own file and one line here. */
#include "lathe/nn.h"

static const lt_kind *const kinds[] = {
    &lt_linear_dense.is,
    &lt_linear_bf16.is,
    &lt_linear_int8.is,
    &lt_linear_int4.is,
    &lt_linear_sparse.is,
    &lt_linear_sparse_bf16.is,
    &lt_linear_sparse_int8.is,
    &lt_linear_sparse_int4.is,
    &lt_mixer_attention.is,
    &lt_memory_kv.is,
    &lt_position_relative_key.is,
    &lt_position_relative_key_query.is,
    &lt_norm_layer.is,
    &lt_norm_rms.is,
    &lt_ffn_mlp.is,
    &lt_ffn_gated.is,
    &lt_residual_add.is,
    &lt_embed_sum.is,
    &lt_head_tokens.is,
    &lt_head_first.is,
};

const lt_kind *const *lt_nn_kinds(int *n)
{
    *n = (int)(sizeof kinds / sizeof *kinds);
    return kinds;
}
