/* The feed-forward layer of the original transformer: down(act(up(x))) (Vaswani et al. 2017). */
#include "lathe/nn.h"

static bool declare(lt_ffn_slot *f, lt_decl *d) { return f->up.kind->declare(&f->up, d) && f->down.kind->declare(&f->down, d); }

static lt_tensor *forward(lt_ctx *cx, const lt_ffn_slot *f, lt_tensor *x, const lt_epilogue *e)
{
    return lt_project(cx, &f->down, lt_project(cx, &f->up, x, &(lt_epilogue){.act = f->act, .narrow = f->down.kind->reads_bf16}), e);
}

const lt_ffn_kind lt_ffn_mlp = {
    .is = {"ffn", "mlp", "down(act(up(x)))", "Vaswani et al. 2017, arXiv 1706.03762"},
    .declare = declare,
    .forward = forward,
};
