/* The embedding slot, kind "sum": word + position + token type, then a norm (Devlin et al. 2019). Absolute positions are gathered by
 * each row's place in its own sequence, so packing changes nothing. */
#include "lathe/nn.h"

#include <string.h>

static bool declare(lt_embed_slot *e, lt_decl *d)
{
    return e->word.kind->declare(&e->word, d) && (!e->position.out || e->position.kind->declare(&e->position, d)) &&
           (!e->type.out || e->type.kind->declare(&e->type, d)) && (!e->norm.kind || e->norm.kind->declare(&e->norm, d));
}

/* Row of the position table for every token. RoBERTa's tokens that equal the pad id stand at position `pad`, uncounted. */
static int32_t *positions(lt_ctx *cx, const lt_embed_slot *e, const int32_t *ids, const lt_seqs *s)
{
    int32_t *at = lt_alloc_array(cx, lt_seqs_rows(s), sizeof *at);
    for (int32_t i = 0; at && i < s->n; i++) {
        int32_t next = e->position_offset;
        for (int32_t r = s->offset[i]; r < s->offset[i + 1]; r++) {
            if (e->pad >= 0 && ids[r] == e->pad) at[r] = e->pad;
            else at[r] = s->pos ? e->position_offset + s->pos[r] : next++;
        }
    }
    return at;
}

static lt_tensor *forward(lt_ctx *cx, const lt_embed_slot *e, const int32_t *ids, const int32_t *types, const lt_seqs *s)
{
    const int64_t n = lt_seqs_rows(s);
    lt_tensor *x = lt_linear_rows(cx, &e->word, ids, n);
    if (x && e->type.out) {
        int32_t *zero = types ? NULL : lt_alloc_array(cx, n, sizeof *zero);
        if (zero) memset(zero, 0, (size_t)n * sizeof *zero);
        x = types || zero ? lt_add(cx, x, lt_linear_rows(cx, &e->type, types ? types : zero, n)) : NULL;
    }
    if (x && e->position.out) {
        int32_t *at = positions(cx, e, ids, s);
        x = at ? lt_add(cx, x, lt_linear_rows(cx, &e->position, at, n)) : NULL;
    }
    return lt_dropout(cx, lt_norm(cx, &e->norm, x, true), e->dropout);
}

lt_tensor *lt_embed_tokens(lt_ctx *cx, const lt_embed_slot *e, const int32_t *ids, const int32_t *types, const lt_seqs *s)
{
    lt_scope scope = lt_open(cx, NULL);
    return lt_close(cx, scope, e->kind->forward(cx, e, ids, types, s));
}

const lt_embed_kind lt_embed_sum = {
    .is = {"embed", "sum", "word, position and token type embeddings added, then a norm", "Devlin et al. 2019, arXiv 1810.04805"},
    .declare = declare,
    .forward = forward,
};
