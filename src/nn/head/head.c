/* Heads: out(norm(act(dense(rows)))), over every token's row or over the first row of each sequence; any part may be absent. BERT's
 * pooler, classifiers, taggers, span and masked-language-model heads are all this with other data. */
#include "lathe/nn.h"

static bool declare(lt_head_slot *h, lt_decl *d)
{
    if (h->dense.out && !h->dense.kind->declare(&h->dense, d)) return false;
    if (h->norm.kind && !h->norm.kind->declare(&h->norm, d)) return false;
    if (h->out.out && !h->out.kind->declare(&h->out, d)) return false;
    return !h->tied || lt_declare(d, &h->tied_bias, h->out.name, "bias", 1, (int64_t[]){h->tied->out}, LT_INIT_ZERO);
}

bool lt_head_declare(lt_head_slot *h, lt_decl *d) { return !h->kind || h->kind->declare(h, d); }

static lt_tensor *layers(lt_ctx *cx, const lt_head_slot *h, lt_tensor *x)
{
    if (h->dense.out) x = lt_dropout(cx, x, h->dropout_in);
    if (h->dense.out) x = lt_project(cx, &h->dense, x, &(lt_epilogue){.act = h->act});
    x = lt_norm(cx, &h->norm, x, h->dense.out > 0);
    if (h->tied) {
        x = lt_project(cx, h->tied, x, NULL);
        return lt_add_row(cx, x, lt_param_use((lt_param *)&h->tied_bias));
    }
    return h->out.out ? lt_project(cx, &h->out, lt_dropout(cx, x, h->dropout), NULL) : x;
}

static lt_tensor *forward_tokens(lt_ctx *cx, const lt_head_slot *h, lt_tensor *hidden, const lt_seqs *s) { return layers(cx, h, hidden); }

static lt_tensor *forward_first(lt_ctx *cx, const lt_head_slot *h, lt_tensor *hidden, const lt_seqs *s)
{
    lt_tensor *x = h->before ? lt_head(cx, h->before, hidden, s) : lt_pool_rows(cx, hidden, s, LT_POOL_CLS, 0);
    return layers(cx, h, x);
}

lt_tensor *lt_head(lt_ctx *cx, const lt_head_slot *h, lt_tensor *hidden, const lt_seqs *s)
{
    if (!hidden) return NULL;
    lt_scope scope = lt_open(cx, NULL);
    return lt_close(cx, scope, h->kind->forward(cx, h, hidden, s));
}

bool lt_head_linears(lt_ctx *cx, lt_head_slot *h, lt_linear_fn *fn, void *arg)
{
    return (!h->dense.out || fn(cx, &h->dense, arg)) && (!h->out.out || fn(cx, &h->out, arg));
}

void lt_head_free(lt_head_slot *h)
{
    lt_linear_free(&h->dense);
    lt_norm_free(&h->norm);
    lt_linear_free(&h->out);
    lt_param_free(&h->tied_bias);
    *h = (lt_head_slot){0};
}

const lt_head_kind lt_head_tokens = {
    .is = {"head", "tokens", "a row per token: masked language model, tags, spans", "Devlin et al. 2019, arXiv 1810.04805"},
    .declare = declare,
    .forward = forward_tokens,
    .per_token = true,
};

const lt_head_kind lt_head_first = {
    .is = {"head", "first", "a row per sequence, from its first token: pooler, classes, scores", "Devlin et al. 2019, arXiv 1810.04805"},
    .declare = declare,
    .forward = forward_first,
};
