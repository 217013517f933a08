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

/* The baseline that packs all but attention (CTranslate2 and FasterTransformer work so): rows are spread to a fixed shape, attended
 * and gathered again. */
typedef struct filled {
    lt_seqs *seqs;
    int32_t *from, *back; /* the row that each spread row is a copy of, and where each row has gone */
} filled;

/* A filler row is a copy of its sequence's first: as a key it is masked, as a query it is dropped. */
static bool spread(lt_ctx *cx, const lt_seqs *s, filled *f)
{
    const int64_t rows = lt_seqs_rows(s);
    int32_t *length = lt_alloc_array(cx, s->n, sizeof *length), *keys = lt_alloc_array(cx, s->n, sizeof *keys);
    f->from = lt_alloc_array(cx, (int64_t)s->n * s->fill, sizeof *f->from);
    f->back = lt_alloc_array(cx, rows, sizeof *f->back);
    if (!length || !keys || !f->from || !f->back) return false;
    for (int32_t i = 0; i < s->n; i++) {
        const int32_t first = s->offset[i];
        length[i] = s->fill;
        keys[i] = s->offset[i + 1] - first;
        for (int32_t r = 0; r < s->fill; r++) f->from[(int64_t)i * s->fill + r] = r < keys[i] ? first + r : first < rows ? first : 0;
        for (int32_t r = 0; r < keys[i]; r++) f->back[first + r] = i * s->fill + r;
    }
    f->seqs = lt_seqs_new(cx, s->n, length);
    if (f->seqs) f->seqs->keys = keys;
    return f->seqs != NULL;
}

static lt_tensor *forward(lt_ctx *cx, const lt_mixer *m, lt_tensor *x, const lt_seqs *s, lt_memory *mem, const lt_epilogue *e)
{
    const lt_epilogue raw = {.narrow = takes_bf16(cx, m, mem)};
    x = lt_encode_for(cx, (const lt_linear *[]){&m->q, &m->k, &m->v}, 3, x);
    lt_tensor *q = lt_project(cx, &m->q, x, &raw), *k = lt_project(cx, &m->k, x, &raw), *v = lt_project(cx, &m->v, x, &raw);
    lt_seqs *all = NULL;
    filled wide = {0};
    lt_tap(cx, LT_TAP_QUERY, q);
    lt_tap(cx, LT_TAP_KEY, k);
    lt_tap(cx, LT_TAP_VALUE, v);
    if (!q || !k || !v || (mem && !lt_kv_extend(cx, mem, s, &k, &v, &all))) return NULL;
    if (s->fill && !mem && lt_seqs_rows(s)) {
        if (!spread(cx, s, &wide)) return NULL;
        q = lt_gather(cx, q, wide.from, lt_seqs_rows(wide.seqs));
        k = lt_gather(cx, k, wide.from, lt_seqs_rows(wide.seqs));
        v = lt_gather(cx, v, wide.from, lt_seqs_rows(wide.seqs));
    }
    lt_attend_spec spec = {.q = wide.seqs ? wide.seqs : s, .k = all, .heads = m->heads, .kv_heads = m->kv_heads, .dim = m->dim, .scale = m->scale, .causal = m->causal, .drop = lt_dropout_site(cx, m->dropout)};
    if (mem && m->position.kind) return lt_fail(cx, LT_ERR_UNSUPPORTED, "position kind \"%s\" cannot decode step by step", m->position.kind->is.name);
    if (m->position.kind && !m->position.kind->bias(cx, &m->position, q, k, &spec)) return NULL;
    lt_tensor *y = lt_attend(cx, q, k, v, &spec);
    if (wide.seqs) y = lt_gather(cx, y, wide.back, lt_seqs_rows(s));
    return lt_project(cx, &m->o, y, e);
}

const lt_mixer_kind lt_mixer_attention = {
    .is = {"mixer", "attention", "softmax attention within each sequence, with grouped queries", "Vaswani et al. 2017, arXiv 1706.03762"},
    .declare = declare,
    .forward = forward,
    .memory = &lt_memory_kv,
};
