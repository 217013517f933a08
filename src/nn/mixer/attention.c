/* Softmax attention (Vaswani et al. 2017): project to queries, keys and values, attend within each sequence, project back. Grouped
 * queries share keys and values where kv_heads < heads. */
#include "nn/mixer/kv.h"

static bool declare(lt_mixer *m, lt_decl *d)
{
    return m->q.kind->declare(&m->q, d) && m->k.kind->declare(&m->k, d) && m->v.kind->declare(&m->v, d) && m->o.kind->declare(&m->o, d) &&
           (!m->position.kind || m->position.kind->declare(&m->position, d));
}

static lt_tensor *forward(lt_ctx *cx, const lt_mixer *m, lt_tensor *x, const lt_seqs *s, lt_memory *mem, const lt_epilogue *e)
{
    lt_tensor *q = lt_project(cx, &m->q, x, NULL), *k = lt_project(cx, &m->k, x, NULL), *v = lt_project(cx, &m->v, x, NULL);
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
