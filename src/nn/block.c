/* A transformer block: x = post(x + F(in(x))), once for the mixer and once for the feed-forward layer. Pre- and post-LN, and plain
 * or other residuals, are data. All that is made on the way vanishes with the block's scope. */
#include "lathe/nn.h"

const lt_residual_kind lt_residual_add = {
    .is = {"residual", "add", "the sublayer's output is added to its input, in the last product's epilogue", "He et al. 2016, arXiv 1512.03385"},
};

lt_tensor *lt_mix(lt_ctx *cx, const lt_mixer *m, lt_tensor *x, const lt_seqs *s, lt_memory *mem, const lt_epilogue *e)
{
    if (!x) return NULL;
    lt_scope scope = lt_open(cx, NULL);
    return lt_close(cx, scope, m->kind->forward(cx, m, x, s, mem, e));
}

lt_tensor *lt_ffn(lt_ctx *cx, const lt_ffn_slot *f, lt_tensor *x, const lt_epilogue *e)
{
    if (!x) return NULL;
    lt_scope scope = lt_open(cx, NULL);
    return lt_close(cx, scope, f->kind->forward(cx, f, x, e));
}

/* A plain sum rides on the sublayer's last projection, unless something comes between. */
static bool rides(lt_ctx *cx, const lt_residual_slot *r) { return !r->kind->forward && !(r->dropout > 0 && lt_recording(cx)); }

/* Kinds that are no plain sum get x and y. */
static lt_tensor *join(lt_ctx *cx, const lt_residual_slot *r, lt_tensor *x, lt_tensor *y)
{
    if (!rides(cx, r)) y = lt_dropout(cx, y, r->dropout);
    if (y && r->kind->forward) y = r->kind->forward(cx, r, x, y);
    else if (y && !rides(cx, r)) y = lt_add(cx, x, y);
    return lt_norm(cx, &r->post, y, true);
}

/* A plain sum is written over the sublayer's input: nothing else reads it any more, and no rows have to be carried out of scopes. */
static lt_epilogue onto(lt_ctx *cx, const lt_residual_slot *r, lt_tensor *x)
{
    if (!rides(cx, r)) return (lt_epilogue){0};
    return (lt_epilogue){.residual = x, .out = lt_recording(cx) ? NULL : x};
}

lt_tensor *lt_block_forward(lt_ctx *cx, const lt_block *b, lt_tensor *x, const lt_seqs *s, lt_memory *mem)
{
    if (!x) return NULL;
    lt_scope scope = lt_open(cx, b->name);
    lt_epilogue e = onto(cx, &b->r1, x);
    x = join(cx, &b->r1, x, lt_mix(cx, &b->mixer, lt_norm(cx, &b->in1, x, false), s, mem, &e));
    if (x) e = onto(cx, &b->r2, x);
    x = x ? join(cx, &b->r2, x, lt_ffn(cx, &b->ffn, lt_norm(cx, &b->in2, x, false), &e)) : NULL;
    return lt_close(cx, scope, x);
}
