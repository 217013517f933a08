/* The list of all kinds of parts, slot by slot; what reads a part by its "type"; and the checks that all of them share. */
#include "text/kinds.h"

#include <inttypes.h>

#include "text/train/trainer.h"

enum { MOST_PARTS = 64, MOST_PATH = 200 };

static const lt_kind *const kinds[] = {
    &lt_model_wordpiece.is,
    &lt_model_bpe.is,

    &lt_normalizer_bert.is,
    &lt_normalizer_sequence.is,
    &lt_normalizer_lowercase.is,
    &lt_normalizer_nfc.is,
    &lt_normalizer_nfd.is,
    &lt_normalizer_nfkc.is,
    &lt_normalizer_nfkd.is,
    &lt_normalizer_strip.is,
    &lt_normalizer_strip_accents.is,
    &lt_normalizer_nmt.is,
    &lt_normalizer_replace.is,
    &lt_normalizer_prepend.is,
    &lt_normalizer_byte_level.is,

    &lt_pre_bert.is,
    &lt_pre_byte_level.is,
    &lt_pre_sequence.is,
    &lt_pre_whitespace.is,
    &lt_pre_whitespace_split.is,
    &lt_pre_punctuation.is,
    &lt_pre_digits.is,
    &lt_pre_split.is,

    &lt_post_bert.is,
    &lt_post_roberta.is,
    &lt_post_template.is,
    &lt_post_byte_level.is,
    &lt_post_sequence.is,

    &lt_decoder_wordpiece.is,
    &lt_decoder_byte_level.is,
    &lt_decoder_bpe.is,
    &lt_decoder_sequence.is,
    &lt_decoder_fuse.is,
    &lt_decoder_replace.is,
    &lt_decoder_strip.is,
    &lt_decoder_byte_fallback.is,

    &lt_trainer_wordpiece.is,
    &lt_trainer_bpe.is,
};
enum { KINDS = sizeof kinds / sizeof *kinds };

const lt_kind *const *lt_text_kinds(int *n)
{
    *n = KINDS;
    return kinds;
}

/* `is` is a kind's first member. */
static const lt_part_kind *kind_at(int i, int slot)
{
    static const char *const slots[LT_SLOTS] = {"normalizer", "pre-tokenizer", "model", "post-processor", "decoder"};
    return strcmp(kinds[i]->slot, slots[slot]) ? NULL : (const lt_part_kind *)(const void *)kinds[i];
}

static bool unknown_kind(lt_ctx *cx, const lt_tokenizer *t, int slot, const char *where, const char *type)
{
    lt_str known = {0};
    for (int i = 0; i < KINDS; i++)
        if (kind_at(i, slot)) lt_str_printf(&known, "%s%s", known.size ? ", " : "", kinds[i]->name);
    lt_fail(cx, LT_ERR_UNSUPPORTED, "%s: %s.type: \"%s\" is not known (known: %s)", t->file, where, type,
            known.failed ? "…" : known.data);
    lt_str_free(&known);
    return false;
}

/* Models of old files have no type: merges make BPE, a prefix makes WordPiece. */
static const char *type_of(int slot, const lt_json *o)
{
    const lt_json *type = lt_json_get(o, "type");
    if (type || slot != LT_SLOT_MODEL) return lt_json_text(type, NULL);
    return lt_json_get(o, "merges") ? "BPE" : lt_json_get(o, "continuing_subword_prefix") ? "WordPiece" : NULL;
}

bool lt_part_parse(lt_ctx *cx, lt_tokenizer *t, int slot, const lt_json *o, const char *where, lt_part *part)
{
    *part = (lt_part){0};
    if (lt_json_is(o) == LT_JSON_NULL) return true;
    const char *type = type_of(slot, o);
    if (!type) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %s.type: expected a string that names a kind", t->file, where);
    for (int i = 0; i < KINDS; i++) {
        const lt_part_kind *kind = kind_at(i, slot);
        if (!kind || strcmp(type, kind->is.name)) continue;
        part->kind = kind;
        part->self = kind->parse(cx, t, o, where);
        return part->self != NULL;
    }
    return unknown_kind(cx, t, slot, where, type);
}

const lt_sequence *lt_sequence_parse(lt_ctx *cx, lt_tokenizer *t, int slot, const lt_json *o, const char *key, const char *where)
{
    const lt_json *list = lt_json_get(o, key);
    int64_t n = lt_json_size(list);
    if (lt_json_is(list) != LT_JSON_ARRAY) return lt_fail(cx, LT_ERR_INPUT, "%s: %s.%s: expected an array", t->file, where, key);
    if (strlen(where) > MOST_PATH) return lt_fail(cx, LT_ERR_INPUT, "%s: %s: sequences nest too deep", t->file, where);
    if (n > MOST_PARTS)
        return lt_fail(cx, LT_ERR_INPUT, "%s: %s.%s: %" PRId64 " parts, expected at most %d", t->file, where, key, n, MOST_PARTS);
    lt_sequence *s = lt_keep(cx, t, sizeof *s + (size_t)n * sizeof *s->part, NULL);
    if (!s) return NULL;
    for (; s->n < n; s->n++) {
        lt_scope scope = lt_open(cx, NULL);
        const char *path = lt_sprintf(cx, "%s.%s[%" PRId32 "]", where, key, s->n);
        bool ok = path && lt_part_parse(cx, t, slot, lt_json_at(list, s->n), path, &s->part[s->n]);
        lt_end(cx, scope);
        if (!ok) return NULL;
        if (!s->part[s->n].kind)
            return lt_fail(cx, LT_ERR_INPUT, "%s: %s.%s[%" PRId32 "]: expected an object", t->file, where, key, s->n);
    }
    return s;
}

/* ---- checks ---- */

static void complain(lt_ctx *cx, const lt_tokenizer *t, const char *where, const char *key, const char *what)
{
    lt_fail(cx, LT_ERR_INPUT, "%s: %s.%s: expected %s", t->file, where, key, what);
}

bool lt_part_bool(lt_ctx *cx, const lt_tokenizer *t, const lt_json *o, const char *where, const char *key, bool otherwise)
{
    const lt_json *v = lt_json_get(o, key);
    if (lt_json_is(v) != LT_JSON_NULL && lt_json_is(v) != LT_JSON_BOOL) complain(cx, t, where, key, "true or false");
    return lt_json_bool(v, otherwise);
}

const char *lt_part_text(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where, const char *key, const char *otherwise,
                         size_t *size)
{
    const lt_json *v = lt_json_get(o, key);
    const char *text = lt_json_text(v, size);
    if (!text && lt_json_is(v) == LT_JSON_NULL) {
        text = otherwise;
        *size = strlen(otherwise);
    }
    if (!text) {
        complain(cx, t, where, key, "a string");
        return NULL;
    }
    char *copy = lt_keep(cx, t, *size + 1, NULL);
    if (copy) memcpy(copy, text, *size);
    return copy;
}

int64_t lt_part_int(lt_ctx *cx, const lt_tokenizer *t, const lt_json *o, const char *where, const char *key, int64_t min,
                    int64_t max, int64_t otherwise)
{
    const lt_json *v = lt_json_get(o, key);
    if (lt_json_is(v) == LT_JSON_NULL) return otherwise;
    int64_t x = lt_json_int(v, min);
    if (lt_json_is(v) == LT_JSON_INT && x >= min && x <= max) return x;
    lt_fail(cx, LT_ERR_INPUT, "%s: %s.%s: expected an integer from %" PRId64 " to %" PRId64, t->file, where, key, min, max);
    return otherwise;
}
