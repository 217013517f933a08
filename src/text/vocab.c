/* A vocabulary: texts in one block, entries in file order, and hash tables (open addressing, linear probing, at most half
 * full) that store each entry's hash, so that a probe seldom touches a text in vain. */
#include "text/vocab.h"

#include <inttypes.h>

static void put(lt_index *x, uint32_t hash, int32_t entry)
{
    uint32_t i = hash & x->mask;
    while (x->slot[i].entry >= 0) i = (i + 1) & x->mask;
    x->slot[i] = (lt_vocab_slot){hash, entry};
}

/* Twice the slots, or the first ones. */
static bool grow(lt_ctx *cx, lt_index *x)
{
    lt_index wide = *x;
    int64_t old = x->slot ? (int64_t)x->mask + 1 : 0, slots = old ? old * 2 : 512;
    wide.slot = lt_new(cx, slots, sizeof *wide.slot);
    if (!wide.slot) return false;
    wide.mask = (uint32_t)(slots - 1);
    for (int64_t i = 0; i < slots; i++) wide.slot[i].entry = -1;
    for (int64_t i = 0; i < old; i++)
        if (x->slot[i].entry >= 0) put(&wide, x->slot[i].hash, x->slot[i].entry);
    lt_free(x->slot);
    *x = wide;
    return true;
}

bool lt_vocab_add(lt_ctx *cx, lt_vocab *v, const char *text, size_t size, int32_t id)
{
    if (v->n == v->capacity) {
        int32_t capacity = v->capacity ? v->capacity > INT32_MAX / 2 ? INT32_MAX : v->capacity * 2 : 256;
        lt_vocab_entry *entry = capacity == v->n ? NULL : lt_resize(cx, v->entry, capacity, sizeof *entry);
        if (!entry) return lt_fail_if(cx, true, LT_ERR_MEMORY, "no memory for %" PRId32 " tokens", v->n);
        v->entry = entry;
        v->capacity = capacity;
    }
    if ((int64_t)v->n * 2 >= (v->whole.slot ? (int64_t)v->whole.mask + 1 : 0) && !grow(cx, &v->whole)) return false;
    if (size >= UINT32_MAX / 2 - v->text_size)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "expected less than 2 GiB of tokens' texts");
    if (v->text_size + size + 1 > v->text_capacity) {
        uint32_t capacity = (uint32_t)(v->text_size + size + 1) + v->text_capacity;
        char *block = lt_resize(cx, v->text, capacity, 1);
        if (!block) return false;
        v->text = block;
        v->text_capacity = capacity;
    }
    memcpy(v->text + v->text_size, text, size);
    v->text[v->text_size + size] = 0;
    v->entry[v->n++] = (lt_vocab_entry){v->text_size, (uint32_t)size, id};
    v->text_size += (uint32_t)size + 1;
    put(&v->whole, lt_hash(text, size), v->n - 1);
    if (size > v->whole.longest) v->whole.longest = (uint32_t)size;
    return true;
}

bool lt_index_make(lt_ctx *cx, const lt_vocab *v, const char *prefix, size_t size, lt_index *x)
{
    int64_t n = 0;
    for (int32_t i = 0; i < v->n; i++) n += v->entry[i].size >= size && !memcmp(v->text + v->entry[i].offset, prefix, size);
    int64_t slots = 4;
    while (slots < 2 * n) slots *= 2;
    x->slot = lt_new(cx, slots, sizeof *x->slot);
    if (!x->slot) return false;
    for (int64_t i = 0; i < slots; i++) x->slot[i].entry = -1;
    x->mask = (uint32_t)(slots - 1);
    x->skip = (uint32_t)size;
    x->longest = 0;
    for (int32_t i = 0; i < v->n; i++) {
        const lt_vocab_entry *e = &v->entry[i];
        if (e->size < size || memcmp(v->text + e->offset, prefix, size)) continue;
        uint32_t rest = e->size - x->skip;
        put(x, lt_hash(v->text + e->offset + size, rest), i);
        if (rest > x->longest) x->longest = rest;
    }
    return true;
}

bool lt_vocab_close(lt_ctx *cx, lt_vocab *v)
{
    v->ids = 0;
    for (int32_t i = 0; i < v->n; i++)
        if (v->entry[i].id >= v->ids) v->ids = v->entry[i].id + 1;
    v->by_id = lt_new(cx, v->ids, sizeof *v->by_id);
    if (!v->by_id) return false;
    for (int32_t i = 0; i < v->ids; i++) v->by_id[i] = -1;
    for (int32_t i = 0; i < v->n; i++) {
        const lt_vocab_entry *e = &v->entry[i], *other;
        if (v->by_id[e->id] >= 0) {
            other = &v->entry[v->by_id[e->id]];
            return lt_fail_if(cx, true, LT_ERR_INPUT, "the id %" PRId32 " stands for \"%s\" and for \"%s\"", e->id,
                              v->text + other->offset, v->text + e->offset);
        }
        v->by_id[e->id] = i;
    }
    return true;
}

void lt_vocab_free(lt_vocab *v)
{
    lt_free(v->text);
    lt_free(v->entry);
    lt_free(v->by_id);
    lt_free(v->whole.slot);
    *v = (lt_vocab){0};
}
