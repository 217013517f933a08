/* Stacks of two small blocks, of any filling of their slots, whose parameters are seeded numbers instead of a file's. */
#ifndef LATHE_TESTS_STACKS_H
#define LATHE_TESTS_STACKS_H

#include "check.h"
#include "lathe/nn.h"

static lt_ctx *cx;

static int setup(void **state)
{
    cx = lt_ctx_new(&(lt_options){.threads = 2});
    return cx ? 0 : -1;
}

static int teardown(void **state)
{
    lt_ctx_free(cx);
    return 0;
}

struct numbers {
    uint32_t seed;
    lt_dtype dtype;
};

static bool give_numbers(lt_decl *d, lt_param *p)
{
    struct numbers *n = d->arg;
    int64_t count = 1;
    for (int i = 0; i < p->value.rank; i++) count *= p->value.shape[i];
    n->seed++;
    p->value.dtype = n->dtype;
    p->value.data = p->owned = lt_new(d->cx, count, lt_dtype_size(n->dtype));
    if (!p->owned) return false;
    double base = p->init == LT_INIT_ONE ? 1 : 0;
    for (int64_t i = 0; i < count; i++) {
        double x = base + 0.2 * check_number(n->seed, i);
        if (n->dtype == LT_F64) ((double *)p->owned)[i] = x;
        else ((float *)p->owned)[i] = (float)x;
    }
    return true;
}

/* prepared: relative positions are packed for running. */
static lt_stack make_stack(lt_dtype dtype, const lt_position_kind *relative, bool pre_norm, const lt_ffn_kind *ffn, bool prepared)
{
    const int hidden = 48, heads = 3, inner = 80;
    lt_stack st = {.layers = 2, .block = lt_new(cx, 2, sizeof(lt_block))};
    st.embed = (lt_embed_slot){.kind = &lt_embed_sum, .pad = -1};
    lt_linear dense = {.kind = &lt_linear_dense, .dtype = dtype, .has_bias = true, .in = hidden, .out = hidden};
#define NAMED(slot, what) slot = what, slot.name = lt_strdup(cx, #slot)
    NAMED(st.embed.word, dense);
    st.embed.word.has_bias = false;
    st.embed.word.out = 60;
    lt_norm_slot norm = {.kind = &lt_norm_layer, .dim = hidden, .eps = 1e-6};
    for (int i = 0; i < 2; i++) {
        lt_block *b = &st.block[i];
        b->name = lt_strdup(cx, "layer");
        b->mixer = (lt_mixer){.kind = &lt_mixer_attention, .heads = heads, .kv_heads = heads, .dim = hidden / heads, .scale = 0.25};
        NAMED(b->mixer.q, dense);
        NAMED(b->mixer.k, dense);
        NAMED(b->mixer.v, dense);
        NAMED(b->mixer.o, dense);
        if (relative) b->mixer.position = (lt_position){.kind = relative, .name = lt_strdup(cx, "distance"), .max = 700, .dim = 16, .dtype = dtype};
        b->ffn = (lt_ffn_slot){.kind = ffn, .act = LT_ACT_GELU};
        NAMED(b->ffn.up, dense);
        b->ffn.up.out = inner;
        if (ffn == &lt_ffn_gated) {
            NAMED(b->ffn.gate, dense);
            b->ffn.gate.out = inner;
        }
        NAMED(b->ffn.down, dense);
        b->ffn.down.in = inner;
        b->r1.kind = b->r2.kind = &lt_residual_add;
        if (pre_norm) {
            NAMED(b->in1, norm);
            NAMED(b->in2, norm);
        } else {
            NAMED(b->r1.post, norm);
            NAMED(b->r2.post, norm);
        }
    }
    struct numbers n = {500, dtype};
    lt_decl d = {.cx = cx, .visit = give_numbers, .arg = &n};
    assert_true(lt_stack_declare(&st, &d));
    for (int i = 0; i < 2; i++)
        if (relative && prepared) assert_true(relative->prepare(cx, &st.block[i].mixer.position));
    return st;
}

#endif
