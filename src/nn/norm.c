/* Normalisation over the features of a row: LayerNorm (Ba et al. 2016) and RMSNorm (Zhang & Sennrich 2019). */
#include "lathe/nn.h"

static bool declare_layer(lt_norm_slot *n, lt_decl *d)
{
    return lt_declare(d, &n->gamma, n->name, "weight", 1, &n->dim, LT_INIT_ONE) && lt_declare(d, &n->beta, n->name, "bias", 1, &n->dim, LT_INIT_ZERO);
}

static lt_tensor *forward_layer(lt_ctx *cx, const lt_norm_slot *n, lt_tensor *x, bool over)
{
    return lt_layer_norm(cx, x, lt_param_use((lt_param *)&n->gamma), lt_param_use((lt_param *)&n->beta), n->eps, over);
}

const lt_norm_kind lt_norm_layer = {
    .is = {"norm", "layer_norm", "subtract the mean, divide by the standard deviation, scale and shift", "Ba et al. 2016, arXiv 1607.06450"},
    .declare = declare_layer,
    .forward = forward_layer,
};

static bool declare_rms(lt_norm_slot *n, lt_decl *d) { return lt_declare(d, &n->gamma, n->name, "weight", 1, &n->dim, LT_INIT_ONE); }

static lt_tensor *forward_rms(lt_ctx *cx, const lt_norm_slot *n, lt_tensor *x, bool over)
{
    return lt_rms_norm(cx, x, lt_param_use((lt_param *)&n->gamma), n->eps, over);
}

const lt_norm_kind lt_norm_rms = {
    .is = {"norm", "rms_norm", "divide by the root mean square, scale", "Zhang & Sennrich 2019, arXiv 1910.07467"},
    .declare = declare_rms,
    .forward = forward_rms,
};

lt_tensor *lt_norm(lt_ctx *cx, const lt_norm_slot *n, lt_tensor *x, bool over)
{
    if (!n->kind || !x) return x;
    lt_scope scope = lt_open(cx, n->name);
    return lt_close(cx, scope, n->kind->forward(cx, n, x, over));
}

void lt_norm_free(lt_norm_slot *n)
{
    lt_param_free(&n->gamma);
    lt_param_free(&n->beta);
    lt_free(n->name);
    *n = (lt_norm_slot){0};
}
