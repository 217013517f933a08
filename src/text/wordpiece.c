/* WordPiece: a word becomes the longest token that it begins with, then the longest that what is left begins with, and so on
 * (Wu et al., "Google's neural machine translation system", 2016). The hashes of all beginnings come from one walk, so a token
 * costs a few probes and no copy: tokens inside words are indexed by their text without the prefix. */
#include <inttypes.h>

#include "text/kinds.h"

enum { MOST_BYTES = 512 }; /* of beginnings whose hashes are kept */

typedef struct {
    const lt_tokenizer *t;
    int32_t unk; /* -1: not in the vocabulary */
    const char *unk_text;
    int64_t most_chars; /* a longer word is unknown */
    lt_index inside;    /* tokens that go on within a word */
} wordpiece;

static void destroy(void *self) { lt_free(((wordpiece *)self)->inside.slot); }

static const void *parse(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    wordpiece *w = lt_keep(cx, t, sizeof *w, destroy);
    size_t unk_size, prefix_size;
    if (!w || !lt_model_vocab(cx, t, o, where)) return NULL;
    w->t = t;
    w->unk_text = lt_part_text(cx, t, o, where, "unk_token", "[UNK]", &unk_size);
    const char *prefix = lt_part_text(cx, t, o, where, "continuing_subword_prefix", "##", &prefix_size);
    w->most_chars = lt_part_int(cx, t, o, where, "max_input_chars_per_word", 0, INT64_MAX, 100);
    if (!lt_ok(cx) || !lt_index_make(cx, &t->vocab, prefix, prefix_size, &w->inside)) return NULL;
    w->unk = lt_vocab_find(&t->vocab, w->unk_text, unk_size);
    return w;
}

static bool unknown(lt_ctx *cx, const wordpiece *w, const lt_piece *p, lt_tokens *out)
{
    if (w->unk >= 0) return lt_tokens_add(cx, out, w->unk, 0, p->size);
    int size = p->size < 40 ? (int)p->size : 40;
    return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: model.unk_token: \"%s\" is not in the vocabulary, and \"%.*s\" needs it",
                      w->t->file, w->unk_text, size, p->text);
}

/* The longest token that text[start …] begins with; -1: none. Sets *end behind it. */
static int32_t longest(const wordpiece *w, const lt_piece *p, uint32_t start, uint32_t *end)
{
    const lt_vocab *v = &w->t->vocab;
    const lt_index *index = start ? &w->inside : &v->whole;
    uint32_t hash[MOST_BYTES], at[MOST_BYTES], n = 0, most = p->size - start;
    if (most > index->longest) most = index->longest;
    const uint8_t *s = (const uint8_t *)p->text + start;
    uint64_t h = LT_HASH_BEGIN;
    int32_t found = -1;
    for (uint32_t i = 0; i < most; i++) {
        h = lt_hash_step(h, s[i]);
        bool boundary = start + i + 1 == p->size || (s[i + 1] & 0xC0) != 0x80;
        if (!boundary) continue;
        if (n < MOST_BYTES) {
            hash[n] = lt_hash_end(h);
            at[n++] = i + 1;
            continue;
        }
        int32_t e = lt_index_find(v, index, p->text + start, i + 1, lt_hash_end(h));
        if (e < 0) continue;
        found = v->entry[e].id;
        *end = start + i + 1;
    }
    while (found < 0 && n--) {
        int32_t e = lt_index_find(v, index, p->text + start, at[n], hash[n]);
        if (e < 0) continue;
        found = v->entry[e].id;
        *end = start + at[n];
    }
    return found;
}

static bool tokenize(lt_ctx *cx, const void *self, const lt_piece *p, lt_tokens *out)
{
    const wordpiece *w = self;
    int64_t chars = 0;
    for (uint32_t i = 0; i < p->size; i++) chars += ((uint8_t)p->text[i] & 0xC0) != 0x80;
    if (chars > w->most_chars) return unknown(cx, w, p, out);
    int32_t before = out->n;
    for (uint32_t start = 0, end; start < p->size; start = end) {
        int32_t id = longest(w, p, start, &end);
        if (id < 0) {
            out->n = before;
            return unknown(cx, w, p, out);
        }
        if (!lt_tokens_add(cx, out, id, start, end)) return false;
    }
    return true;
}

const lt_part_kind lt_model_wordpiece = {
    .is = {"model", "WordPiece", "longest tokens first", "Wu et al. 2016"}, .parse = parse, .tokenize = tokenize};
