/* Packed forms of weights, kept from one product to the next: a step of several batches, or blocks that are computed again, would pack the same
 * numbers each time. They are good until the weights change. */
#include "base/ctx.h"
#include "tensor/tensor.h"

#include <stdlib.h>
#include <string.h>

typedef struct kept {
    lt_pack_key key;
    size_t bytes;
    int64_t made; /* when; older than the last change: to be made again */
    void *block;  /* owned; `packed` is in it, aligned */
    void *packed;
} kept;

struct packs {
    kept *at;
    int n, room;
    int64_t change;
};

static void packs_free(void *p)
{
    struct packs *s = p;
    for (int i = 0; s && i < s->n; i++) free(s->at[i].block);
    if (s) lt_free(s->at);
    lt_free(s);
}

bool lt_keep_packed(lt_ctx *cx, bool on)
{
    if (cx->packs) packs_free(cx->packs);
    cx->packs = NULL;
    if (!on) return true;
    struct packs *s = lt_new(cx, 1, sizeof *s);
    if (!s) return false;
    cx->packs = s;
    cx->packs_free = packs_free;
    return true;
}

void lt_weights_changed(lt_ctx *cx)
{
    struct packs *s = cx->packs;
    if (s) s->change++;
}

static bool is_same(const lt_pack_key *a, const lt_pack_key *b)
{
    return a->at == b->at && a->along == b->along && a->across == b->across && a->n == b->n && a->k == b->k && a->by == b->by;
}

void *lt_pack_room(lt_ctx *cx, const lt_pack_key *key, size_t bytes, bool *filled)
{
    enum { ALIGN = 64 };
    struct packs *s = cx->packs;
    *filled = false;
    if (!s) return lt_alloc(cx, bytes);
    for (int i = 0; i < s->n; i++)
        if (is_same(&s->at[i].key, key) && s->at[i].bytes == bytes) {
            *filled = s->at[i].made == s->change;
            s->at[i].made = s->change;
            return s->at[i].packed;
        }
    if (s->n == s->room) {
        kept *more = lt_resize(cx, s->at, s->room + 64, sizeof *more);
        if (!more) return NULL;
        s->at = more;
        s->room += 64;
    }
    void *block = bytes < SIZE_MAX / 2 ? malloc(bytes + ALIGN) : NULL;
    if (!block) return lt_fail(cx, LT_ERR_MEMORY, "no memory for packed weights of %zu bytes", bytes);
    s->at[s->n] = (kept){*key, bytes, s->change, block, (void *)(((uintptr_t)block + ALIGN - 1) / ALIGN * ALIGN)};
    return s->at[s->n++].packed;
}
