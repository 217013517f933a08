/* Gradient caching (Gao et al. 2021, arXiv 2101.06983): a loss over the embeddings of a large batch in the memory of a small one. All embeddings are computed a
 * part of the batch at a time and nothing else of that is kept; the loss gives gradients of embeddings; then each part is computed again and takes its own
 * of them back through the model. Dropout is keyed by rows of the whole batch, so both passes, and one without parts, drop the same. */
#include <string.h>

#include "train/train.h"

typedef struct cached {
    const lt_run *r;
    const lt_minibatch *b;
    lt_drop_place from; /* where the batch begins */
    lt_tensor *all;     /* embeddings, a leaf; made with the first part */
} cached;

static lt_tensor *embed_part(lt_ctx *cx, const cached *c, int32_t first, int32_t n)
{
    const lt_batch *whole = &c->b->batch;
    const int32_t *offset = whole->seqs->offset, row = offset[first];
    int32_t *length = lt_alloc_array(cx, n, sizeof *length);
    for (int32_t i = 0; length && i < n; i++) length[i] = offset[first + i + 1] - offset[first + i];
    const lt_batch part = {length ? lt_seqs_new(cx, n, length) : NULL, whole->ids + row, whole->types ? whole->types + row : NULL};
    if (!part.seqs) return NULL;
    lt_dropout_go_on(cx, (lt_drop_place){c->from.site, c->from.row + (uint32_t)row});
    return lt_model_pool(cx, c->r->model, lt_model_hidden(cx, c->r->model, &part), part.seqs);
}

static bool make_leaf(lt_ctx *cx, cached *c, lt_dtype dtype, int64_t cols)
{
    const int64_t n = c->b->batch.seqs->n;
    c->all = lt_tensor_2d(cx, dtype, n, cols);
    lt_tensor *grad = c->all ? lt_tensor_2d(cx, dtype, n, cols) : NULL;
    if (!grad) return false;
    memset(grad->data, 0, (size_t)(n * cols) * lt_dtype_size(dtype));
    c->all->grad = grad;
    return true;
}

static int32_t part_size(const cached *c, int32_t first)
{
    const int32_t left = c->b->batch.seqs->n - first;
    return left < c->r->o->cache_batch ? left : c->r->o->cache_batch;
}

/* learn: on a tape as the second pass is, so that both are the same operations. */
static bool embed_all(lt_ctx *cx, cached *c, bool learn)
{
    const int width = lt_model_about(c->r->model)->embedding;
    if (!make_leaf(cx, c, LT_F32, width)) return false;
    for (int32_t i = 0, n; i < c->b->batch.seqs->n; i += n) {
        n = part_size(c, i);
        lt_scope scope = lt_open(cx, NULL);
        const bool ready = !learn || lt_tape_begin(cx);
        const lt_tensor *y = ready ? embed_part(cx, c, i, n) : NULL;
        if (y) memcpy((float *)c->all->data + (int64_t)i * width, y->data, (size_t)n * (size_t)width * sizeof(float));
        lt_tape_end(cx);
        lt_end(cx, scope);
        if (!y) return false;
    }
    return true;
}

/* Anchors a part at a time as well: the matrix of scores is not made whole either. */
static bool loss_of_all(lt_ctx *cx, const cached *c, double factor, bool learn, double *loss)
{
    for (int64_t i = 0, n; i < c->b->counted; i += n) {
        n = c->b->counted - i < c->r->o->cache_batch ? c->b->counted - i : c->r->o->cache_batch;
        lt_scope scope = lt_open(cx, NULL);
        const bool ready = !learn || lt_tape_begin(cx);
        lt_tensor *one = ready ? c->r->objective->of_embeddings(cx, c->r, c->b, c->all, i, n, factor) : NULL;
        const bool good = one && (!learn || lt_backward(cx, one, NULL));
        if (good) *loss += lt_number(one);
        lt_tape_end(cx);
        lt_end(cx, scope);
        if (!good) return false;
    }
    return true;
}

static bool learn_part(lt_ctx *cx, const cached *c, int32_t first, int32_t n)
{
    const int64_t cols = c->all->shape[1];
    if (!lt_tape_begin(cx)) return false;
    lt_tensor *dy = lt_tensor_of(cx, c->all->dtype, 2, (int64_t[]){n, cols}, (float *)c->all->grad->data + first * cols);
    const bool good = dy && lt_backward(cx, embed_part(cx, c, first, n), dy);
    lt_tape_end(cx);
    return good;
}

bool lt_cached_batch(lt_ctx *cx, const lt_run *r, const lt_minibatch *b, double factor, bool learn, double *loss)
{
    cached c = {.r = r, .b = b, .from = lt_dropout_place(cx)};
    lt_scope scope = lt_open(cx, NULL);
    bool good = embed_all(cx, &c, learn) && loss_of_all(cx, &c, factor, learn, loss);
    for (int32_t i = 0, n; good && learn && i < b->batch.seqs->n; i += n) {
        n = part_size(&c, i);
        good = learn_part(cx, &c, i, n);
    }
    lt_dropout_go_on(cx, (lt_drop_place){lt_dropout_place(cx).site, c.from.row});
    lt_end(cx, scope);
    return good;
}
