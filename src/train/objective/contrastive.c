/* Contrastive learning of sentence embeddings: an anchor is to be nearest its own positive among the positives and negatives of the whole batch, by the
 * cross-entropy of scaled cosines (Henderson et al. 2017; sentence-transformers' MultipleNegativesRankingLoss). A row's texts are one example, so that
 * they stay together; in a batch each is a sequence of its own. */
#include "train/objective/objective.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* A token's label: the first of a text says what the text is; of the candidates behind an anchor the first is its positive. */
enum { INSIDE, ANCHOR, CANDIDATE };

/* ---- rows ---- */

typedef struct texts { /* of one row */
    lt_encoding **at;
    int64_t n;
    int32_t tokens;
} texts;

static bool add_text(lt_ctx *cx, lt_run *r, lt_examples *e, texts *t, const char *text, size_t size)
{
    lt_encoding *c = lt_text_tokens(cx, r, e, text, size, NULL, 0);
    if (!c || !lt_fail_if(cx, t->tokens > INT32_MAX - c->n, LT_ERR_INPUT, "a row of more than %d tokens", INT32_MAX)) return false;
    t->at[t->n++] = c;
    t->tokens += c->n;
    return true;
}

static bool add_either(lt_ctx *cx, lt_run *r, lt_examples *e, texts *t, const lt_row *row, const char *name, const char *other)
{
    size_t size = 0;
    const char *text = lt_row_text(row, name, &size);
    if (!text && !(text = lt_row_text(row, other, &size))) text = lt_row_want_text(cx, row, name, &size);
    return text && add_text(cx, r, e, t, text, size);
}

static bool add_list(lt_ctx *cx, lt_run *r, lt_examples *e, texts *t, const lt_row *row, const lt_json *list)
{
    for (int64_t i = 0; i < lt_json_size(list); i++) {
        size_t size = 0;
        const char *text = lt_json_text(lt_json_at(list, i), &size);
        if (!text) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s:%" PRId64 ": negatives: a list of texts is expected", row->file, row->line);
        if (!add_text(cx, r, e, t, text, size)) return false;
    }
    return true;
}

/* Under either name one text or a list. */
static bool add_negatives(lt_ctx *cx, lt_run *r, lt_examples *e, texts *t, const lt_row *row)
{
    static const char *const names[] = {"negative", "negatives"};
    for (int i = 0; i < 2; i++) {
        size_t size = 0;
        const lt_json *list = lt_row_json(row, names[i]);
        const char *text = lt_json_is(list) == LT_JSON_ARRAY ? NULL : lt_row_text(row, names[i], &size);
        if (lt_json_is(list) == LT_JSON_ARRAY ? !add_list(cx, r, e, t, row, list) : text && !add_text(cx, r, e, t, text, size)) return false;
    }
    return true;
}

static bool read_row(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row)
{
    const int64_t most = 4 + lt_json_size(lt_row_json(row, "negative")) + lt_json_size(lt_row_json(row, "negatives"));
    texts t = {.at = lt_alloc_array(cx, most, sizeof *t.at)};
    if (!t.at || !add_either(cx, r, e, &t, row, "anchor", "text") || !add_either(cx, r, e, &t, row, "positive", "text_pair") ||
        !add_negatives(cx, r, e, &t, row))
        return false;
    int32_t *ids = lt_alloc_array(cx, t.tokens, sizeof *ids), *types = lt_alloc_array(cx, t.tokens, sizeof *types);
    int32_t *labels = lt_alloc_array(cx, t.tokens, sizeof *labels);
    if (!ids || !types || !labels) return false;
    memset(labels, INSIDE, (size_t)t.tokens * sizeof *labels);
    for (int32_t i = 0, at = 0; i < t.n; at += t.at[i++]->n) {
        memcpy(ids + at, t.at[i]->ids, (size_t)t.at[i]->n * sizeof *ids);
        memcpy(types + at, t.at[i]->types, (size_t)t.at[i]->n * sizeof *types);
        labels[at] = i ? CANDIDATE : ANCHOR;
    }
    return lt_examples_add(cx, e, ids, types, labels, t.tokens, -1, NAN);
}

/* Batches of one row need negatives of its own. */
static bool prepare(lt_ctx *cx, lt_run *r)
{
    const lt_examples *e = &r->train;
    bool alone = e->n == 1 || (r->o->batch == 1 && !r->o->batch_tokens);
    for (int64_t i = 0; i < e->n && alone && lt_ok(cx); i++) {
        lt_scope scope = lt_open(cx, NULL);
        int32_t *ids = lt_alloc_array(cx, e->at[i].n, sizeof *ids), *labels = lt_alloc_array(cx, e->at[i].n, sizeof *labels), n = 0;
        const bool good = ids && labels && lt_example_read(cx, e, i, ids, NULL, labels);
        for (int32_t k = 0; good && k < e->at[i].n; k++) n += labels[k] != INSIDE;
        alone = n == 2;
        lt_end(cx, scope);
    }
    return lt_ok(cx) && lt_fail_if(cx, alone, LT_ERR_INPUT, "%s: contrastive: %s, and no row has negatives: there is nothing to tell a positive from", r->o->data[0],
                      e->n == 1 ? "one row" : "batches of one row");
}

/* ---- batches ---- */

static bool target(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_minibatch *b)
{
    const int64_t tokens = lt_seqs_rows(b->batch.seqs);
    int32_t *length = lt_alloc_array(cx, tokens, sizeof *length), n = 0;
    for (int64_t i = 0; length && i < tokens; i++) {
        if (b->labels[i] != INSIDE) length[n++] = 0;
        length[n - 1]++;
    }
    const int32_t rows = b->batch.seqs->n;
    b->counted = rows == 1 && n == 2 ? 0 : rows;
    return length && (b->batch.seqs = lt_seqs_new(cx, n, length));
}

/* The loss of `rows` anchors from the first-th on, against all candidates. */
static lt_tensor *of_embeddings(lt_ctx *cx, const lt_run *r, const lt_minibatch *b, lt_tensor *embeddings, int64_t first, int64_t rows, double factor)
{
    const lt_seqs *s = b->batch.seqs;
    int32_t *anchor = lt_alloc_array(cx, s->n, sizeof *anchor), *own = lt_alloc_array(cx, s->n, sizeof *own);
    int32_t *candidate = lt_alloc_array(cx, s->n, sizeof *candidate);
    int64_t anchors = 0, candidates = 0;
    if (!anchor || !candidate || !own) return NULL;
    for (int32_t i = 0; i < s->n; i++) {
        if (b->labels[s->offset[i]] == ANCHOR) {
            own[anchors] = (int32_t)candidates;
            anchor[anchors++] = i;
        } else
            candidate[candidates++] = i;
    }
    lt_tensor *unit = lt_l2_normalize(cx, embeddings, 1e-12);
    lt_tensor *cosines = lt_matmul_t(cx, lt_gather(cx, unit, anchor + first, rows), lt_gather(cx, unit, candidate, candidates));
    return lt_cross_entropy(cx, lt_scale(cx, cosines, r->o->scale), own + first, factor);
}

static lt_tensor *loss(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, lt_tensor *hidden, double factor)
{
    return of_embeddings(cx, r, b, lt_model_pool(cx, r->model, hidden, b->batch.seqs), 0, b->counted, factor);
}

const lt_objective_kind lt_objective_contrastive = {
    .is = {"objective", "contrastive", "an embedding nearer its positive than what else is in the batch", "Henderson et al. 2017, arXiv 1705.00652"},
    .head = "none",
    .read = read_row,
    .prepare = prepare,
    .target = target,
    .loss = loss,
    .of_embeddings = of_embeddings,
};
