/* Byte pair encoding (Sennrich et al., "Neural machine translation of rare words with subword units", 2016): a word's characters
 * are merged pair by pair, the pair of lowest rank first, leftmost first. Short words look for the lowest rank in a small array,
 * long ones keep a heap, so that a word of n characters costs n log n. Whether merging a token's own text gives that token back
 * is remembered, so that most words of a text cost one look-up. */
#include <inttypes.h>
#include <stdatomic.h>

#include "text/kinds.h"

enum { SHORT = 40, DIRECT = 0x800 };

typedef struct {
    uint64_t pair;    /* left id << 32 | right id */
    int32_t rank, id; /* rank -1: empty */
} merge;

typedef struct {
    const lt_tokenizer *t;
    merge *merges;
    uint64_t mask;
    lt_string unk, prefix, suffix;
    bool has_unk, fuse_unk, byte_fallback, ignore_merges;
    int32_t unk_id;          /* -1: not in the vocabulary */
    int32_t byte_id[256];    /* of "<0xE4>"; -1: none */
    int32_t char_id[DIRECT]; /* of the first code points, alone; -1: none */
    atomic_uchar *whole;     /* per entry: 0 not yet known, 1 its text becomes itself, 2 it does not. Any thread finds the same */
} bpe;

typedef struct { /* part of a word */
    int32_t id, prev, next;
    uint32_t size; /* bytes; 0: merged into the one before */
} symbol;

/* ---- reading ---- */

static void destroy(void *self)
{
    bpe *b = self;
    lt_free(b->merges);
    lt_free(b->whole);
}

static uint64_t mix(uint64_t pair)
{
    pair *= 0x9E3779B97F4A7C15u;
    return pair ^ pair >> 32;
}

static const merge *find_merge(const bpe *b, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (uint64_t i = mix(pair) & b->mask;; i = (i + 1) & b->mask) {
        const merge *m = &b->merges[i];
        if (m->rank < 0) return NULL;
        if (m->pair == pair) return m;
    }
}

/* Of two merges of one pair the later one counts, as in the reference. */
static void put_merge(bpe *b, int32_t left, int32_t right, int32_t rank, int32_t id)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right, i = mix(pair) & b->mask;
    while (b->merges[i].rank >= 0 && b->merges[i].pair != pair) i = (i + 1) & b->mask;
    b->merges[i] = (merge){pair, rank, id};
}

static bool missing(lt_ctx *cx, const bpe *b, const char *where, int64_t i, const lt_string *token)
{
    return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %s.merges[%" PRId64 "]: \"%.*s\" is not in the vocabulary", b->t->file, where, i,
                      token->size < 60 ? (int)token->size : 60, token->text);
}

/* A merge is "left right" or ["left", "right"]. */
static bool read_merge(const lt_json *m, lt_string part[2])
{
    if (lt_json_size(m) == 2) {
        for (int i = 0; i < 2; i++) part[i].text = lt_json_text(lt_json_at(m, i), &part[i].size);
        return part[0].text && part[1].text;
    }
    size_t size;
    const char *text = lt_json_text(m, &size), *blank = text ? memchr(text, ' ', size) : NULL;
    if (!blank || memchr(blank + 1, ' ', size - (size_t)(blank + 1 - text))) return false;
    part[0] = (lt_string){text, (size_t)(blank - text)};
    part[1] = (lt_string){blank + 1, size - (size_t)(blank + 1 - text)};
    return true;
}

static bool add_merge(lt_ctx *cx, bpe *b, const char *where, int64_t i, int32_t rank, const lt_string part[2], lt_str *joined)
{
    const lt_vocab *v = &b->t->vocab;
    int32_t id[2];
    for (int k = 0; k < 2; k++)
        if ((id[k] = lt_vocab_find(v, part[k].text, part[k].size)) < 0) return missing(cx, b, where, i, &part[k]);
    size_t skip = b->prefix.size;
    bool cuts = part[1].size < skip || (part[1].size > skip && ((uint8_t)part[1].text[skip] & 0xC0) == 0x80);
    if (cuts)
        return lt_fail_if(cx, true, LT_ERR_INPUT,
                          "%s: %s.merges[%" PRId64 "]: \"%.*s\" does not begin with the prefix of continuing words", b->t->file,
                          where, i, (int)(part[1].size < 60 ? part[1].size : 60), part[1].text);
    lt_str_clear(joined);
    lt_str_add(joined, part[0].text, part[0].size);
    lt_str_add(joined, part[1].text + skip, part[1].size - skip);
    if (joined->failed) return lt_fail_if(cx, true, LT_ERR_MEMORY, "%s: no memory for merges", b->t->file);
    lt_string token = {joined->data, joined->size};
    int32_t to = lt_vocab_find(v, token.text, token.size);
    if (to < 0) return missing(cx, b, where, i, &token);
    put_merge(b, id[0], id[1], rank, to);
    return true;
}

static bool read_merges(lt_ctx *cx, bpe *b, const lt_json *o, const char *where)
{
    const lt_json *list = lt_json_get(o, "merges");
    int64_t n = lt_json_size(list), slots = 4;
    if (lt_json_is(list) != LT_JSON_ARRAY)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %s.merges: expected an array", b->t->file, where);
    while (slots < 2 * n) slots *= 2;
    b->merges = lt_new(cx, slots, sizeof *b->merges);
    if (!b->merges) return false;
    b->mask = (uint64_t)slots - 1;
    for (int64_t i = 0; i < slots; i++) b->merges[i].rank = -1;
    lt_str joined = {0};
    int32_t rank = 0;
    bool ok = true;
    for (int64_t i = 0; ok && i < n; i++) {
        const lt_json *m = lt_json_at(list, i);
        const char *text = lt_json_text(m, NULL);
        lt_string part[2];
        if (text && !strncmp(text, "#version", 8)) continue;
        ok = lt_fail_if(cx, !read_merge(m, part), LT_ERR_INPUT,
                        "%s: %s.merges[%" PRId64 "]: expected \"left right\" or [\"left\", \"right\"]", b->t->file, where, i) &&
             add_merge(cx, b, where, i, rank++, part, &joined);
    }
    lt_str_free(&joined);
    return ok;
}

static void index_characters(bpe *b)
{
    char text[8];
    for (uint32_t c = 0; c < DIRECT; c++) b->char_id[c] = lt_vocab_find(&b->t->vocab, text, (size_t)lt_utf8_put(c, text));
    static const char hex[] = "0123456789ABCDEF";
    for (int i = 0; i < 256; i++) {
        char name[6] = {'<', '0', 'x', hex[i >> 4], hex[i & 15], '>'};
        b->byte_id[i] = lt_vocab_find(&b->t->vocab, name, 6);
    }
}

static bool read_options(lt_ctx *cx, lt_tokenizer *t, bpe *b, const lt_json *o, const char *where)
{
    if (lt_json_num(lt_json_get(o, "dropout"), 0) != 0)
        return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: %s.dropout: random merges are not supported, expected null", t->file,
                          where);
    b->has_unk = lt_json_is(lt_json_get(o, "unk_token")) != LT_JSON_NULL;
    b->unk.text = lt_part_text(cx, t, o, where, "unk_token", "", &b->unk.size);
    b->prefix.text = lt_part_text(cx, t, o, where, "continuing_subword_prefix", "", &b->prefix.size);
    b->suffix.text = lt_part_text(cx, t, o, where, "end_of_word_suffix", "", &b->suffix.size);
    b->fuse_unk = lt_part_bool(cx, t, o, where, "fuse_unk", false);
    b->byte_fallback = lt_part_bool(cx, t, o, where, "byte_fallback", false);
    b->ignore_merges = lt_part_bool(cx, t, o, where, "ignore_merges", false);
    return lt_ok(cx);
}

static const void *parse(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    bpe *b = lt_keep(cx, t, sizeof *b, destroy);
    if (!b) return NULL;
    b->t = t;
    if (!lt_model_vocab(cx, t, o, where) || !read_options(cx, t, b, o, where) || !read_merges(cx, b, o, where)) return NULL;
    b->unk_id = b->has_unk ? lt_vocab_find(&t->vocab, b->unk.text, b->unk.size) : -1;
    index_characters(b);
    b->whole = lt_new(cx, t->vocab.n, sizeof *b->whole);
    return b->whole ? b : NULL;
}

/* ---- characters ---- */

typedef struct {
    symbol *at;
    int32_t n;
    int64_t capacity;
    int32_t unknown; /* bytes of an unknown stretch that waits; 0: none */
} word;

static bool add_symbol(lt_ctx *cx, word *w, int32_t id, uint32_t size)
{
    w->at = lt_scope_grow(cx, w->at, w->n, 1, &w->capacity, sizeof *w->at);
    if (!w->at) return false;
    w->at[w->n] = (symbol){id, w->n - 1, w->n + 1, size};
    w->n++;
    return true;
}

static bool flush_unknown(lt_ctx *cx, const bpe *b, word *w)
{
    uint32_t size = (uint32_t)w->unknown;
    w->unknown = 0;
    return !size || add_symbol(cx, w, b->unk_id, size);
}

/* A character that the vocabulary lacks: its bytes, or unknown (one token for several, where they fuse), or nothing. */
static bool add_unknown(lt_ctx *cx, const bpe *b, word *w, const char *text, size_t size, uint32_t bytes)
{
    bool by_bytes = b->byte_fallback;
    for (size_t i = 0; by_bytes && i < size; i++) by_bytes = b->byte_id[(uint8_t)text[i]] >= 0;
    if (by_bytes) {
        for (size_t i = 0; i < size; i++)
            if (!add_symbol(cx, w, b->byte_id[(uint8_t)text[i]], 1)) return false;
        return true;
    }
    if (!b->has_unk) return true;
    if (b->unk_id < 0)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: model.unk_token: \"%s\" is not in the vocabulary, and a text needs it",
                          b->t->file, b->unk.text);
    if (!b->fuse_unk && !flush_unknown(cx, b, w)) return false;
    w->unknown += (int32_t)bytes;
    return true;
}

/* Characters with the prefix of continuing ones and the suffix of the last, where the model has such. */
static bool decorate(lt_ctx *cx, const bpe *b, const lt_piece *p, uint32_t start, uint32_t end, lt_string *s)
{
    bool prefix = start > 0 && b->prefix.size, suffix = end == p->size && b->suffix.size;
    *s = (lt_string){p->text + start, end - start};
    if (!prefix && !suffix) return true;
    size_t before = prefix ? b->prefix.size : 0, after = suffix ? b->suffix.size : 0;
    char *text = lt_alloc_array(cx, (int64_t)(before + s->size + after), 1);
    if (!text) return false;
    memcpy(text, b->prefix.text, before);
    memcpy(text + before, s->text, s->size);
    memcpy(text + before + s->size, b->suffix.text, after);
    *s = (lt_string){text, before + s->size + after};
    return true;
}

static bool split_word(lt_ctx *cx, const bpe *b, const lt_piece *p, word *w)
{
    bool plain = !b->prefix.size && !b->suffix.size;
    for (uint32_t i = 0, end; i < p->size; i = end) {
        uint32_t c;
        end = i + (uint32_t)lt_utf8_next(p->text + i, p->text + p->size, &c);
        lt_string s;
        if (!decorate(cx, b, p, i, end, &s)) return false;
        int32_t id = plain && c < DIRECT ? b->char_id[c] : lt_vocab_find(&b->t->vocab, s.text, s.size);
        bool ok =
            id < 0 ? add_unknown(cx, b, w, s.text, s.size, end - i) : flush_unknown(cx, b, w) && add_symbol(cx, w, id, end - i);
        if (!ok) return false;
    }
    return flush_unknown(cx, b, w);
}

/* ---- merging ---- */

/* Joins symbol i with the one behind it. */
static void join(word *w, int32_t i, int32_t id)
{
    symbol *a = &w->at[i], *z = &w->at[a->next];
    a->id = id;
    a->size += z->size;
    z->size = 0;
    a->next = z->next;
    if (a->next < w->n) w->at[a->next].prev = i;
}

/* For short words: the symbols move together after each merge, and ranks[i] is that of the pair (i, i + 1). */
static void merge_short(const bpe *b, word *w)
{
    const merge *m[SHORT];
    int32_t n = w->n;
    symbol *s = w->at;
    for (int32_t i = 0; i + 1 < n; i++) m[i] = find_merge(b, s[i].id, s[i + 1].id);
    for (;;) {
        int32_t best = -1;
        for (int32_t i = 0; i + 1 < n; i++)
            if (m[i] && (best < 0 || m[i]->rank < m[best]->rank)) best = i;
        if (best < 0) break;
        s[best].id = m[best]->id;
        s[best].size += s[best + 1].size;
        n--;
        for (int32_t i = best + 1; i < n; i++) {
            s[i] = s[i + 1];
            m[i] = m[i + 1 < n ? i + 1 : i];
        }
        if (best > 0) m[best - 1] = find_merge(b, s[best - 1].id, s[best].id);
        if (best + 1 < n) m[best] = find_merge(b, s[best].id, s[best + 1].id);
    }
    w->n = n;
}

typedef struct {
    int32_t rank, at, id;
} candidate;
typedef struct {
    candidate *at;
    int64_t n, capacity;
} heap;

static bool before(const candidate *a, const candidate *b) { return a->rank != b->rank ? a->rank < b->rank : a->at < b->at; }

static bool push(lt_ctx *cx, heap *h, const bpe *b, const word *w, int32_t i)
{
    if (i < 0 || w->at[i].next >= w->n) return true;
    const merge *m = find_merge(b, w->at[i].id, w->at[w->at[i].next].id);
    if (!m) return true;
    h->at = lt_scope_grow(cx, h->at, h->n, 1, &h->capacity, sizeof *h->at);
    if (!h->at) return false;
    candidate x = {m->rank, i, m->id};
    int64_t k = h->n++;
    for (; k > 0 && before(&x, &h->at[(k - 1) / 2]); k = (k - 1) / 2) h->at[k] = h->at[(k - 1) / 2];
    h->at[k] = x;
    return true;
}

static candidate pop(heap *h)
{
    candidate top = h->at[0], x = h->at[--h->n];
    int64_t k = 0;
    for (int64_t child; (child = 2 * k + 1) < h->n; k = child) {
        if (child + 1 < h->n && before(&h->at[child + 1], &h->at[child])) child++;
        if (!before(&h->at[child], &x)) break;
        h->at[k] = h->at[child];
    }
    h->at[k] = x;
    return top;
}

static bool merge_long(lt_ctx *cx, const bpe *b, word *w)
{
    heap h = {0};
    for (int32_t i = 0; i + 1 < w->n; i++)
        if (!push(cx, &h, b, w, i)) return false;
    while (h.n) {
        candidate x = pop(&h);
        const symbol *s = &w->at[x.at];
        if (!s->size || s->next >= w->n) continue;
        const merge *m = find_merge(b, s->id, w->at[s->next].id);
        if (!m || m->id != x.id) continue; /* the pair is no longer there */
        join(w, x.at, x.id);
        if (!push(cx, &h, b, w, s->prev) || !push(cx, &h, b, w, x.at)) return false;
    }
    int32_t n = 0;
    for (int32_t i = 0; i < w->n; i++)
        if (w->at[i].size) w->at[n++] = w->at[i];
    w->n = n;
    return true;
}

static bool merge_word(lt_ctx *cx, const bpe *b, const lt_piece *p, word *w)
{
    if (!split_word(cx, b, p, w)) return false;
    if (w->n > SHORT || b->prefix.size) return merge_long(cx, b, w);
    merge_short(b, w);
    return true;
}

/* ---- words ---- */

/* Whether the text of this entry, as a word, becomes just this token. */
static bool is_whole(lt_ctx *cx, const bpe *b, int32_t entry)
{
    unsigned char known = atomic_load_explicit(&b->whole[entry], memory_order_relaxed);
    if (known) return known == 1;
    const lt_vocab_entry *e = &b->t->vocab.entry[entry];
    lt_piece p = {.text = b->t->vocab.text + e->offset, .size = e->size, .id = -1};
    word w = {0};
    lt_scope scope = lt_open(cx, NULL);
    bool ok = merge_word(cx, b, &p, &w), whole = ok && w.n == 1 && w.at[0].id == e->id && w.at[0].size == e->size;
    lt_end(cx, scope);
    if (ok) atomic_store_explicit(&b->whole[entry], whole ? 1 : 2, memory_order_relaxed);
    return whole;
}

static bool tokenize(lt_ctx *cx, const void *self, const lt_piece *p, lt_tokens *out)
{
    const bpe *b = self;
    const lt_vocab *v = &b->t->vocab;
    int32_t entry = v->n ? lt_index_find(v, &v->whole, p->text, p->size, lt_hash(p->text, p->size)) : -1;
    if (entry >= 0 && (b->ignore_merges || is_whole(cx, b, entry))) return lt_tokens_add(cx, out, v->entry[entry].id, 0, p->size);
    symbol room[SHORT + 8];
    word w = {.at = room, .capacity = SHORT + 8};
    if (!lt_ok(cx) || !merge_word(cx, b, p, &w)) return false;
    uint32_t at = 0;
    for (int32_t i = 0; i < w.n; i++) {
        if (!lt_tokens_add(cx, out, w.at[i].id, at, at + w.at[i].size)) return false;
        at += w.at[i].size;
    }
    return true;
}

const lt_part_kind lt_model_bpe = {
    .is = {"model", "BPE", "pairs merged by rank", "Sennrich et al. 2016"}, .parse = parse, .tokenize = tokenize};
