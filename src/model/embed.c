/* From hidden states to embeddings, as the sentence-transformers files say (pooling, Dense, Normalize) or the caller overrides; and
 * the library's simplest call, texts in, vectors out. */
#include "model/model.h"

#include <string.h>

static int choose_pooling(lt_ctx *cx, const lt_model *m, const lt_run_options *o, lt_pooling *how)
{
    const lt_sentence *s = &m->sentence;
    if (o && o->pooling) {
        int n = lt_poolings_named(o->pooling, how);
        if (!n && cx) lt_fail(cx, LT_ERR_USAGE, "pooling \"%s\" is not known (known: cls, mean, max, mean_sqrt, weightedmean, last, joined by +)", o->pooling);
        return n;
    }
    if (!s->n_pooling) return how[0] = LT_POOL_MEAN, 1;
    memcpy(how, s->pooling, sizeof s->pooling);
    return s->n_pooling;
}

int lt_embedding_width(const lt_model *m, const lt_run_options *o)
{
    lt_pooling how[LT_POOLS];
    const lt_sentence *s = &m->sentence;
    int width = s->n_dense ? (int)s->dense[s->n_dense - 1].out : choose_pooling(NULL, m, o, how) * m->encoder.hidden;
    return o && o->truncate_dim > 0 && o->truncate_dim < width ? o->truncate_dim : width;
}

lt_tensor *lt_sentence_embed(lt_ctx *cx, const lt_model *m, lt_tensor *hidden, const lt_seqs *s, int prompt_tokens, const lt_run_options *o)
{
    const lt_sentence *st = &m->sentence;
    lt_pooling how[LT_POOLS];
    lt_tensor *part[LT_POOLS];
    int n = choose_pooling(cx, m, o, how);
    if (!n) return NULL;
    for (int i = 0; i < n; i++) part[i] = lt_pool_rows(cx, hidden, s, how[i], st->skip_prompt ? prompt_tokens : 0);
    lt_tensor *x = n == 1 ? part[0] : lt_concat_cols(cx, part, n);
    for (int i = 0; i < st->n_dense; i++) x = lt_project(cx, &st->dense[i], x, &(lt_epilogue){.act = st->dense_act[i]});
    if (st->normalize && o->normalize >= 0) x = lt_l2_normalize(cx, x, 1e-12);
    int width = lt_embedding_width(m, o);
    if (x && width < x->shape[1]) x = lt_contiguous(cx, lt_slice_cols(cx, x, 0, width));
    return o->normalize > 0 ? lt_l2_normalize(cx, x, 1e-12) : x;
}

lt_tensor *lt_model_pool(lt_ctx *cx, const lt_model *m, lt_tensor *hidden, const lt_seqs *s)
{
    return hidden ? lt_sentence_embed(cx, m, hidden, s, 0, &(lt_run_options){0}) : NULL;
}

/* ---- texts in, vectors out ---- */

struct texts {
    const char *const *text;
    const size_t *size;
    int64_t n, next;
    lt_tensor *out;
};

static bool next_text(void *arg, lt_ctx *cx, lt_input *in)
{
    struct texts *t = arg;
    if (t->next == t->n) return false;
    const char *text = t->text[t->next];
    *in = (lt_input){.text = text, .size = t->size ? t->size[t->next] : strlen(text)};
    t->next++;
    return true;
}

static bool keep_row(void *arg, lt_ctx *cx, const lt_result *r)
{
    struct texts *t = arg;
    size_t row = (size_t)r->cols * lt_dtype_size(r->dtype);
    memcpy((char *)t->out->data + (size_t)r->index * row, r->data, row);
    return true;
}

lt_tensor *lt_embed(lt_ctx *cx, const lt_model *m, const char *const *texts, const size_t *sizes, int64_t n, const lt_run_options *options)
{
    if (!m || !lt_ok(cx)) return NULL;
    struct texts t = {.text = texts, .size = sizes, .n = n, .out = lt_tensor_2d(cx, m->compute, n, lt_embedding_width(m, options))};
    return t.out && lt_stream(cx, m, LT_OUT_EMBEDDING, options, next_text, &t, keep_row, &t, NULL) ? t.out : NULL;
}
