/* Softmax attention (Vaswani et al. 2017): project to queries, keys and values, attend within each sequence, project back. Grouped
 * queries share keys and values where kv_heads < heads. */
#include "nn/mixer/kv.h"

static bool declare(lt_mixer *m, lt_decl *d)
{
    return m->q.kind->declare(&m->q, d) && m->k.kind->declare(&m->k, d) && m->v.kind->declare(&m->v, d) && m->o.kind->declare(&m->o, d) &&
           (!m->position.kind || m->position.kind->declare(&m->position, d));
}

/* Where all three projections are of few bits, their results need no more than the machine multiplies fastest. */
static bool takes_bf16(lt_ctx *cx, const lt_mixer *m, const lt_memory *mem)
{
    if (mem || m->position.kind || m->dim % 2 || !m->q.kind->reads_bf16 || !m->k.kind->reads_bf16 || !m->v.kind->reads_bf16 || lt_recording(cx)) return false;
    const lt_kernels *kn = lt_kernels_of(cx, m->q.dtype);
    return kn && kn->attend_bf16 != NULL;
}

static lt_tensor *forward(lt_ctx *cx, const lt_mixer *m, lt_tensor *x, const lt_seqs *s, lt_memory *mem, const lt_epilogue *e)
{
    const lt_epilogue raw = {.narrow = takes_bf16(cx, m, mem)};
    x = lt_encode_for(cx, (const lt_linear *[]){&m->q, &m->k, &m->v}, 3, x);
    lt_tensor *q = lt_project(cx, &m->q, x, &raw), *k = lt_project(cx, &m->k, x, &raw), *v = lt_project(cx, &m->v, x, &raw);
    lt_seqs *all = NULL;
    if (!q || !k || !v || (mem && !lt_kv_extend(cx, mem, s, &k, &v, &all))) return NULL;
    lt_attend_spec spec = {.q = s, .k = all, .heads = m->heads, .kv_heads = m->kv_heads, .dim = m->dim, .scale = m->scale, .causal = m->causal};
    if (mem && m->position.kind) return lt_fail(cx, LT_ERR_UNSUPPORTED, "position kind \"%s\" cannot decode step by step", m->position.kind->is.name);
    if (m->position.kind && !m->position.kind->bias(cx, &m->position, q, k, &spec)) return NULL;
    return lt_project(cx, &m->o, lt_attend(cx, q, k, v, &spec), e);
}

const lt_mixer_kind lt_mixer_attention = {
    .is = {"mixer", "attention", "softmax attention within each sequence, with grouped queries", "Vaswani et al. 2017, arXiv 1706.03762"},
    .declare = declare,
    .forward = forward,
    .memory = &lt_memory_kv,
};
