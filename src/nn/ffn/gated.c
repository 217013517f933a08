/* Gated feed-forward layers: down(act(gate(x)) * up(x)) (Shazeer 2020); SwiGLU, GeGLU … by the activation. */
#include "lathe/nn.h"

static bool declare(lt_ffn_slot *f, lt_decl *d)
{
    return f->gate.kind->declare(&f->gate, d) && f->up.kind->declare(&f->up, d) && f->down.kind->declare(&f->down, d);
}

static lt_tensor *forward(lt_ctx *cx, const lt_ffn_slot *f, lt_tensor *x, const lt_epilogue *e)
{
    x = lt_encode_for(cx, (const lt_linear *[]){&f->gate, &f->up}, 2, x);
    lt_tensor *gate = lt_project(cx, &f->gate, x, &(lt_epilogue){.act = f->act}), *up = lt_project(cx, &f->up, x, NULL);
    return lt_project(cx, &f->down, lt_mul(cx, gate, up), e);
}

const lt_ffn_kind lt_ffn_gated = {
    .is = {"ffn", "gated", "down(act(gate(x)) * up(x)): SwiGLU, GeGLU and kin", "Shazeer 2020, arXiv 2002.05202"},
    .declare = declare,
    .forward = forward,
};
