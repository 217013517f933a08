/* A set of strings with ids, found by open addressing. See vocab.c. */
#ifndef LT_TEXT_VOCAB_H
#define LT_TEXT_VOCAB_H

#include <string.h>

#include "base/hash.h"
#include "lathe/base.h"

typedef struct lt_vocab_entry {
    uint32_t offset, size; /* of its text */
    int32_t id;
} lt_vocab_entry;
typedef struct lt_vocab_slot {
    uint32_t hash;
    int32_t entry; /* -1: empty */
} lt_vocab_slot;
typedef struct lt_index { /* finds entries by their text after the first `skip` bytes */
    lt_vocab_slot *slot;
    uint32_t mask, skip;
    uint32_t longest; /* bytes, after `skip` */
} lt_index;
typedef struct lt_vocab {
    char *text; /* every entry's, each NUL-terminated */
    uint32_t text_size, text_capacity;
    lt_vocab_entry *entry;
    int32_t n, capacity;
    int32_t *by_id; /* entry of an id, -1: none; `ids` places; after lt_vocab_close */
    int32_t ids;
    lt_index whole;
} lt_vocab;

/* All fail with an error in cx. Entries of one vocabulary have different texts: adding one twice is the caller's mistake. */
bool lt_vocab_add(lt_ctx *cx, lt_vocab *v, const char *text, size_t size, int32_t id);
bool lt_vocab_close(lt_ctx *cx, lt_vocab *v); /* makes by_id; an id that two entries share is an error */
void lt_vocab_free(lt_vocab *v);
/* An index of the entries that begin with `prefix` by what follows. */
bool lt_index_make(lt_ctx *cx, const lt_vocab *v, const char *prefix, size_t size, lt_index *index);

/* The entry, or -1. */
static inline int32_t lt_index_find(const lt_vocab *v, const lt_index *x, const char *text, size_t size, uint32_t hash)
{
    if (size > x->longest) return -1;
    for (uint32_t i = hash & x->mask;; i = (i + 1) & x->mask) {
        const lt_vocab_slot *s = &x->slot[i];
        if (s->entry < 0) return -1;
        if (s->hash != hash) continue;
        const lt_vocab_entry *e = &v->entry[s->entry];
        if (e->size - x->skip == size && !memcmp(v->text + e->offset + x->skip, text, size)) return s->entry;
    }
}
/* The id, or -1. */
static inline int32_t lt_vocab_find(const lt_vocab *v, const char *text, size_t size)
{
    if (!v->n) return -1;
    int32_t e = lt_index_find(v, &v->whole, text, size, lt_hash(text, size));
    return e < 0 ? -1 : v->entry[e].id;
}

#endif
