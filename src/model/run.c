/* One pass over one ragged batch. Whole sequences are grouped into slices of about a hundred rows, and a thread takes a slice through
 * the entire stack without meeting the others; slices are taken costliest first. A batch of one slice uses all threads inside its
 * ops instead. Rows never depend on their batch-mates, so the grouping changes nothing but the time. */
#include "model/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct slice {
    int32_t seq, n;     /* sequences seq … seq+n-1 */
    double cost;
} slice;

typedef struct pass {
    const lt_model *m;
    const lt_batch *batch;
    const lt_run_options *o;
    lt_output what;
    int prompt_tokens;
    bool per_token;
    int32_t padded;     /* rows of every sequence in the padded baseline; 0: ragged */
    int32_t fill;       /* the same, of attention alone */
    slice *slices;
    lt_tensor *out;
} pass;

/* ---- one slice ---- */

static lt_seqs *slice_seqs(lt_ctx *cx, const lt_seqs *s, const slice *sl, int32_t padded)
{
    int32_t *len = lt_alloc_array(cx, sl->n, sizeof *len), *real = padded ? lt_alloc_array(cx, sl->n, sizeof *real) : NULL;
    if (!len || (padded && !real)) return NULL;
    for (int32_t i = 0; i < sl->n; i++) {
        int32_t rows = s->offset[sl->seq + i + 1] - s->offset[sl->seq + i];
        len[i] = padded ? padded : rows;
        if (padded) real[i] = rows;
    }
    lt_seqs *own = lt_seqs_new(cx, sl->n, len);
    if (own) own->keys = real;
    return own;
}

static int32_t *spread(lt_ctx *cx, const int32_t *x, const lt_seqs *from, int32_t seq, const lt_seqs *to, int32_t filler)
{
    int32_t *y = lt_alloc_array(cx, lt_seqs_rows(to), sizeof *y);
    for (int32_t i = 0; y && i < to->n; i++) {
        int32_t rows = from->offset[seq + i + 1] - from->offset[seq + i];
        memcpy(y + to->offset[i], x + from->offset[seq + i], (size_t)rows * sizeof *y);
        for (int32_t r = to->offset[i] + rows; r < to->offset[i + 1]; r++) y[r] = filler;
    }
    return y;
}

/* The padded baseline: every sequence filled up to the batch's longest, computed throughout, filler rows dropped. */
static lt_tensor *padded_hidden(lt_ctx *cx, const pass *p, const slice *sl, const lt_seqs *real)
{
    const lt_seqs *s = slice_seqs(cx, p->batch->seqs, sl, p->padded);
    if (!s) return NULL;
    int32_t *ids = spread(cx, p->batch->ids, p->batch->seqs, sl->seq, s, p->m->encoder.pad_id);
    int32_t *types = p->batch->types ? spread(cx, p->batch->types, p->batch->seqs, sl->seq, s, 0) : NULL;
    int32_t *keep = lt_alloc_array(cx, lt_seqs_rows(real), sizeof *keep);
    if (!ids || !keep || (p->batch->types && !types)) return NULL;
    for (int32_t i = 0; i < s->n; i++)
        for (int32_t r = real->offset[i]; r < real->offset[i + 1]; r++) keep[r] = s->offset[i] + r - real->offset[i];
    return lt_gather(cx, lt_stack_forward(cx, &p->m->stack, ids, types, s, NULL), keep, lt_seqs_rows(real));
}

static lt_tensor *slice_result(lt_ctx *cx, const pass *p, const slice *sl)
{
    const lt_model *m = p->m;
    lt_seqs *s = slice_seqs(cx, p->batch->seqs, sl, 0);
    if (!s) return NULL;
    s->fill = p->fill;
    int32_t first = p->batch->seqs->offset[sl->seq];
    lt_tensor *hidden = p->padded ? padded_hidden(cx, p, sl, s)
                                  : lt_stack_forward(cx, &m->stack, p->batch->ids + first, p->batch->types ? p->batch->types + first : NULL, s, NULL);
    switch (p->what) {
    case LT_OUT_HIDDEN: return hidden;
    case LT_OUT_POOLED: return lt_head(cx, &m->pooler, hidden, s);
    case LT_OUT_LOGITS: return lt_head(cx, &m->head, hidden, s);
    default: return lt_sentence_embed(cx, m, hidden, s, p->prompt_tokens, p->o);
    }
}

static void run_slice(void *arg, lt_ctx *cx, int64_t i)
{
    const pass *p = arg;
    const slice *sl = &p->slices[i];
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *y = slice_result(cx, p, sl);
    if (y) {
        int64_t row = p->per_token ? p->batch->seqs->offset[sl->seq] : sl->seq;
        size_t bytes = (size_t)p->out->shape[1] * lt_dtype_size(p->out->dtype);
        memcpy((char *)p->out->data + (size_t)row * bytes, y->data, (size_t)y->shape[0] * bytes);
    }
    lt_end(cx, scope);
}

/* ---- the batch ---- */

static int costliest_first(const void *x, const void *y)
{
    const slice *a = x, *b = y;
    return a->cost != b->cost ? (a->cost < b->cost ? 1 : -1) : (a->seq > b->seq) - (a->seq < b->seq);
}

/* 128 rows keep a product at its best speed and a slice's hidden states in the second-level cache; fewer where the whole batch
 * would not keep the threads busy. */
static int64_t rows_a_slice(lt_ctx *cx, int64_t rows)
{
    int64_t share = rows / (2 * lt_threads(cx));
    return share >= 128 ? 128 : share < 48 ? 48 : share;
}

/* How many sequences a slice of the equal-count baseline has. */
static int32_t equal_share(const lt_seqs *s, int64_t rows, int64_t target)
{
    int64_t slices = rows < target ? 1 : rows / target;
    return (int32_t)((s->n + slices - 1) / slices);
}

static int64_t cut(lt_ctx *cx, const pass *p)
{
    const lt_seqs *s = p->batch->seqs;
    const int64_t all = p->padded ? (int64_t)p->padded * s->n : lt_seqs_rows(s), target = rows_a_slice(cx, all);
    const int32_t share = p->o->slices == LT_SLICES_EQUAL ? equal_share(s, all, target) : 0;
    int64_t n = 0;
    const double width = 6.0 * p->m->encoder.hidden + p->m->encoder.inner;
    for (int32_t i = 0; i < s->n; n++) {
        slice *sl = &p->slices[n];
        *sl = (slice){.seq = i};
        for (int64_t rows = 0; i < s->n; i++) {
            int32_t more = p->padded ? p->padded : s->offset[i + 1] - s->offset[i];
            if (sl->n && (share ? sl->n == share : rows + more > target)) break;
            rows += more;
            sl->n++;
            sl->cost += more * (width + more);
        }
    }
    if (p->o->slices == LT_SLICES_COSTLIEST) qsort(p->slices, (size_t)n, sizeof *p->slices, costliest_first);
    return n;
}

/* Slices that alone outweigh a thread's share are run first, all threads inside each; the rest side by side. */
static bool run_slices(lt_ctx *cx, pass *p, int64_t n)
{
    double total = 0;
    for (int64_t i = 0; i < n; i++) total += p->slices[i].cost;
    int64_t large = 0;
    while (large < n && p->slices[large].cost * lt_threads(cx) > total * 0.75) {
        run_slice(p, cx, large);
        if (!lt_ok(cx)) return false;
        total -= p->slices[large++].cost;
    }
    pass rest = *p;
    rest.slices += large;
    return lt_parallel(cx, n - large, run_slice, &rest);
}

static bool check_batch(lt_ctx *cx, const lt_model *m, const lt_batch *b, lt_output what)
{
    const lt_seqs *s = b->seqs;
    if (what == LT_OUT_POOLED && !m->has_pooler) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: the checkpoint has no pooler", m->info.path);
    if (what == LT_OUT_LOGITS && !m->head.kind)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %s has no head, so there are no logits", m->info.path, m->info.architecture);
    for (int32_t i = 0; i < s->n; i++)
        if (s->offset[i + 1] - s->offset[i] > m->encoder.limit)
            return lt_fail_if(cx, true, LT_ERR_INPUT, "a sequence of %d tokens: the model takes %d", s->offset[i + 1] - s->offset[i], m->encoder.limit);
    return true;
}

static int64_t out_width(const pass *p)
{
    const lt_model *m = p->m;
    if (p->what == LT_OUT_EMBEDDING) return lt_embedding_width(m, p->o);
    if (p->what == LT_OUT_LOGITS) return m->head.tied ? m->head.tied->out : m->head.out.out;
    return m->encoder.hidden;
}

lt_tensor *lt_forward_prompted(lt_ctx *cx, const lt_model *m, const lt_batch *batch, lt_output what, const lt_run_options *o, int prompt_tokens,
                               int64_t *computed)
{
    static const lt_run_options defaults;
    if (!m || !lt_ok(cx) || !check_batch(cx, m, batch, what)) return NULL;
    const lt_seqs *s = batch->seqs;
    pass p = {.m = m, .batch = batch, .o = o ? o : &defaults, .what = what, .prompt_tokens = prompt_tokens};
    p.per_token = what == LT_OUT_HIDDEN || (what == LT_OUT_LOGITS && m->head.kind->per_token);
    p.padded = p.o->pad == LT_PAD_ALL ? s->longest : 0;
    p.fill = p.o->pad == LT_PAD_ATTENTION ? s->longest : 0;
    int64_t width = out_width(&p);
    if (p.o->pooling && what == LT_OUT_EMBEDDING && width == 0) return lt_sentence_embed(cx, m, NULL, s, 0, p.o); /* names the bad pooling */
    p.out = lt_tensor_2d(cx, m->compute, p.per_token ? lt_seqs_rows(s) : s->n, width);
    lt_scope scope = lt_open(cx, NULL);
    p.slices = p.out ? lt_alloc_array(cx, s->n, sizeof *p.slices) : NULL;
    bool done = p.slices && (s->n == 0 || run_slices(cx, &p, cut(cx, &p)));
    lt_end(cx, scope);
    if (computed) *computed += p.padded ? (int64_t)p.padded * s->n : lt_seqs_rows(s);
    return done ? p.out : NULL;
}

lt_tensor *lt_forward(lt_ctx *cx, const lt_model *m, const lt_batch *batch, lt_output what, const lt_run_options *options)
{
    return lt_forward_prompted(cx, m, batch, what, options, 0, NULL);
}

/* ---- op by op ---- */

lt_tensor *lt_model_hidden(lt_ctx *cx, const lt_model *m, const lt_batch *batch)
{
    if (!m || !lt_ok(cx) || !check_batch(cx, m, batch, LT_OUT_HIDDEN)) return NULL;
    return lt_stack_forward(cx, &m->stack, batch->ids, batch->types, batch->seqs, NULL);
}

lt_tensor *lt_model_head(lt_ctx *cx, const lt_model *m, lt_tensor *hidden, const lt_seqs *s)
{
    if (!m->head.kind) return lt_fail(cx, LT_ERR_USAGE, "%s: %s has no head", m->info.path, m->info.architecture);
    return lt_head(cx, &m->head, hidden, s);
}

lt_tensor *lt_model_also(lt_ctx *cx, const lt_model *m, lt_tensor *hidden, const lt_seqs *s)
{
    if (!m->also.kind) return lt_fail(cx, LT_ERR_USAGE, "%s: %s has no second head", m->info.path, m->info.architecture);
    return lt_head(cx, &m->also, hidden, s);
}

bool lt_model_head_per_token(const lt_model *m) { return m->head.kind && m->head.kind->per_token; }
int lt_model_labels(const lt_model *m) { return !m->head.kind ? 0 : m->head.tied ? (int)m->head.tied->out : (int)m->head.out.out; }

typedef struct visited {
    lt_param_fn *fn;
    void *arg;
} visited;

static bool visit_param(lt_decl *d, lt_param *p)
{
    const visited *v = d->arg;
    return v->fn(v->arg, d->cx, p);
}

bool lt_model_readers(lt_ctx *cx, lt_model *m, lt_readers_fn *fn, void *arg) { return lt_stack_readers(cx, &m->stack, fn, arg); }
bool lt_model_params(lt_ctx *cx, lt_model *m, lt_param_fn *fn, void *arg) { return lt_encoder_walk(cx, m, visit_param, &(visited){fn, arg}); }

bool lt_model_params_at(lt_ctx *cx, lt_model *m, int depth, lt_param_fn *fn, void *arg)
{
    lt_stack *st = &m->stack;
    lt_decl d = {.cx = cx, .visit = visit_param, .arg = &(visited){fn, arg}};
    return depth == 0 ? st->embed.kind->declare(&st->embed, &d) : lt_block_declare(&st->block[depth - 1], &d);
}
