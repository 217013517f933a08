/* Post-processors, all boiled down to one thing: a layout of special tokens around the sequences, for one and for two, and whether
 * offsets leave out the blanks at a token's ends. BertProcessing, RobertaProcessing, TemplateProcessing, ByteLevel, Sequence. */
#include <inttypes.h>

#include "text/kinds.h"
#include "text/unicode.h"

enum { FIRST = -1, SECOND = -2, MOST_TRIMS = 4, MOST_SLOTS = 4096 };

static bool lay_out(lt_ctx *cx, lt_tokenizer *t, const char *where, lt_layout *layout, const lt_slot *slots, int32_t n)
{
    lt_slot *kept = lt_keep(cx, t, (size_t)n * sizeof *kept, NULL);
    if (!kept) return false;
    *layout = (lt_layout){n, 0, kept};
    for (int32_t i = 0; i < n; i++) {
        kept[i] = slots[i];
        layout->added += slots[i].id >= 0;
    }
    return true;
}

static bool begin_layout(lt_ctx *cx, lt_tokenizer *t, const char *where)
{
    bool again = t->post.laid_out;
    t->post.laid_out = true;
    return lt_fail_if(cx, again, LT_ERR_UNSUPPORTED, "%s: %s: a second part that adds special tokens is not supported", t->file,
                      where);
}

/* One that a fixed layout names: ["[SEP]", 102]. */
static bool read_pair(lt_ctx *cx, const lt_tokenizer *t, const lt_json *o, const char *where, const char *key, int32_t *id)
{
    const lt_json *v = lt_json_get(o, key), *number = lt_json_at(v, 1);
    int64_t x = lt_json_int(number, -1);
    *id = (int32_t)x;
    return lt_fail_if(cx, lt_json_size(v) != 2 || !lt_json_text(lt_json_at(v, 0), NULL) || x < 0 || x > INT32_MAX, LT_ERR_INPUT,
                      "%s: %s.%s: expected a token and its id, as in [\"[SEP]\", 102]", t->file, where, key);
}

/* ---- BertProcessing, RobertaProcessing ---- */

static const void *parse_bert(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    int32_t cls, sep;
    if (!read_pair(cx, t, o, where, "cls", &cls) || !read_pair(cx, t, o, where, "sep", &sep) || !begin_layout(cx, t, where))
        return NULL;
    lt_slot slots[] = {{cls, 0}, {FIRST, 0}, {sep, 0}, {SECOND, 1}, {sep, 1}};
    return lay_out(cx, t, where, &t->post.single, slots, 3) && lay_out(cx, t, where, &t->post.pair, slots, 5) ? t : NULL;
}

static bool add_trim(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    bool trim = lt_part_bool(cx, t, o, where, "trim_offsets", true), keep = lt_part_bool(cx, t, o, where, "add_prefix_space", true);
    if (!lt_ok(cx) || !trim) return lt_ok(cx);
    if (t->post.trims == MOST_TRIMS)
        return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s: %s: offsets are trimmed too often", t->file, where);
    t->post.trim[t->post.trims++].keep_prefix = keep;
    return true;
}

static const void *parse_roberta(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    int32_t cls, sep;
    if (!read_pair(cx, t, o, where, "cls", &cls) || !read_pair(cx, t, o, where, "sep", &sep) || !begin_layout(cx, t, where))
        return NULL;
    lt_slot slots[] = {{cls, 0}, {FIRST, 0}, {sep, 0}, {sep, 0}, {SECOND, 0}, {sep, 0}};
    if (!lay_out(cx, t, where, &t->post.single, slots, 3) || !lay_out(cx, t, where, &t->post.pair, slots, 6)) return NULL;
    return add_trim(cx, t, o, where) ? t : NULL;
}

/* ---- TemplateProcessing ---- */

/* The ids of the special token `name`. */
static const lt_json *special_ids(lt_ctx *cx, const lt_tokenizer *t, const lt_json *special, const char *where, const char *name)
{
    const lt_json *ids = lt_json_get(lt_json_get(special, name), "ids");
    if (lt_json_is(ids) != LT_JSON_ARRAY)
        return lt_fail(cx, LT_ERR_INPUT, "%s: %s.special_tokens: no ids for \"%s\", which the template names", t->file, where,
                       name);
    for (int64_t i = 0; i < lt_json_size(ids); i++) {
        int64_t id = lt_json_int(lt_json_at(ids, i), -1);
        if (id < 0 || id > INT32_MAX)
            return lt_fail(cx, LT_ERR_INPUT, "%s: %s.special_tokens: \"%s\": expected ids that are not negative", t->file, where,
                           name);
    }
    return ids;
}

typedef struct {
    lt_slot *at;
    int64_t n, capacity;
} slots;

static bool add_slot(lt_ctx *cx, slots *s, int32_t id, int64_t type)
{
    if (s->n == MOST_SLOTS)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "post_processor: a template of more than %d tokens", MOST_SLOTS);
    s->at = lt_scope_grow(cx, s->at, s->n, 1, &s->capacity, sizeof *s->at);
    if (s->at) s->at[s->n++] = (lt_slot){id, (int32_t)type};
    return s->at != NULL;
}

/* {"Sequence": {"id": "A", "type_id": 0}} or {"SpecialToken": {"id": "[CLS]", "type_id": 0}} */
static bool read_template_piece(lt_ctx *cx, const lt_tokenizer *t, const lt_json *piece, const lt_json *special, const char *where,
                                bool pair, slots *out)
{
    const lt_json *sequence = lt_json_get(piece, "Sequence"), *token = lt_json_get(piece, "SpecialToken"),
                  *o = sequence ? sequence : token;
    const char *id = lt_json_text(lt_json_get(o, "id"), NULL);
    int64_t type = lt_json_int(lt_json_get(o, "type_id"), -1);
    if (!id || type < 0 || type > INT32_MAX || lt_json_size(piece) != 1 || (sequence && strcmp(id, "A") && strcmp(id, "B")))
        return lt_fail_if(cx, true, LT_ERR_INPUT,
                          "%s: %s: expected templates of {\"Sequence\": {\"id\": \"A\" or \"B\", \"type_id\"}} and "
                          "{\"SpecialToken\": {\"id\", \"type_id\"}}",
                          t->file, where);
    if (sequence) {
        bool second = !strcmp(id, "B");
        if (second && !pair) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %s.single: there is no sequence B", t->file, where);
        return add_slot(cx, out, second ? SECOND : FIRST, type);
    }
    const lt_json *ids = special_ids(cx, t, special, where, id);
    for (int64_t i = 0; i < lt_json_size(ids); i++)
        if (!add_slot(cx, out, (int32_t)lt_json_int(lt_json_at(ids, i), 0), type)) return false;
    return ids != NULL;
}

static bool read_template(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where, bool pair, lt_layout *layout)
{
    const lt_json *list = lt_json_get(o, pair ? "pair" : "single"), *special = lt_json_get(o, "special_tokens");
    if (lt_json_is(list) != LT_JSON_ARRAY)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %s.%s: expected an array", t->file, where, pair ? "pair" : "single");
    slots s = {0};
    lt_scope scope = lt_open(cx, NULL);
    bool ok = true;
    for (int64_t i = 0; ok && i < lt_json_size(list); i++)
        ok = read_template_piece(cx, t, lt_json_at(list, i), special, where, pair, &s);
    ok = ok && lay_out(cx, t, where, layout, s.at, (int32_t)s.n);
    lt_end(cx, scope);
    return ok;
}

static const void *parse_template(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    return begin_layout(cx, t, where) && read_template(cx, t, o, where, false, &t->post.single) &&
                   read_template(cx, t, o, where, true, &t->post.pair)
               ? t
               : NULL;
}

/* ---- ByteLevel, Sequence ---- */

static const void *parse_byte_level(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    return add_trim(cx, t, o, where) ? t : NULL;
}

static const void *parse_sequence(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    return lt_sequence_parse(cx, t, LT_SLOT_POST_PROCESSOR, o, "processors", where);
}

/* ---- at work ---- */

/* Longest first: the shorter text gives way only when both are beyond half of the room. */
bool lt_post_truncate(lt_ctx *cx, const lt_post *post, bool pair, const lt_encode_options *o, int32_t n[2])
{
    int32_t added = !post->laid_out || o->no_special ? 0 : pair ? post->pair.added : post->single.added;
    if (o->max_tokens <= 0)
        return lt_fail_if(cx, o->max_tokens < 0, LT_ERR_USAGE, "max_tokens is %" PRId32 ", expected at least 0", o->max_tokens);
    if (o->max_tokens < added)
        return lt_fail_if(cx, true, LT_ERR_USAGE, "max_tokens is %" PRId32 ", expected at least %" PRId32 ", for special tokens",
                          o->max_tokens, added);
    int32_t room = o->max_tokens - added;
    if (!pair) {
        if (n[0] > room) n[0] = room;
    } else if ((int64_t)n[0] + n[1] > room) {
        bool swap = n[0] > n[1];
        int32_t small = n[swap], large = n[!swap];
        large = small > room ? small : room - small > small ? room - small : small;
        if ((int64_t)small + large > room) {
            small = room / 2;
            large = small + room % 2;
        }
        n[swap] = small;
        n[!swap] = large;
    }
    return true;
}

/* Blanks, or the code point that stands for one in byte-level texts. */
static bool is_blank(uint32_t c) { return c == 0x120 || lt_char_class(c) & LT_CHAR_SPACE; }

void lt_count_blanks(const char *text, size_t size, int32_t *before, int32_t *after)
{
    uint32_t c;
    *before = *after = 0;
    for (const char *s = text, *end = text + size; s < end; ++*before) {
        s += lt_utf8_next(s, end, &c);
        if (!is_blank(c)) break;
    }
    for (const char *end = text + size, *to = end; to > text; ++*after) {
        do to--;
        while (to > text && ((uint8_t)*to & 0xC0) == 0x80);
        lt_utf8_next(to, end, &c);
        if (!is_blank(c)) break;
    }
}

static void trim_token(lt_token *x, bool first, bool keep_prefix, uint32_t before, uint32_t after)
{
    if (before > 0) {
        if ((first || x->start == 0) && keep_prefix && before == 1) before = 0;
        x->start = x->start + before < x->end ? x->start + before : x->end;
    }
    if (after > 0 && x->end >= after) x->end = x->end - after > x->start ? x->end - after : x->start;
}

void lt_post_trim(const lt_tokenizer *t, lt_tokens *ts)
{
    for (int32_t i = 0; t->post.trims && i < ts->n; i++) {
        lt_token *x = &ts->at[i];
        int32_t before = x->blank_before, after = x->blank_after;
        if (before < 0) {
            int32_t e = t->vocab.by_id[x->id];
            lt_count_blanks(t->vocab.text + t->vocab.entry[e].offset, t->vocab.entry[e].size, &before, &after);
        }
        for (int32_t k = 0; k < t->post.trims; k++)
            trim_token(x, i == 0, t->post.trim[k].keep_prefix, (uint32_t)before, (uint32_t)after);
    }
}

const lt_part_kind lt_post_bert = {.is = {"post-processor", "BertProcessing", "[CLS] A [SEP] B [SEP]", "Devlin et al. 2019"},
                                   .parse = parse_bert};
const lt_part_kind lt_post_roberta = {.is = {"post-processor", "RobertaProcessing", "<s> A </s></s> B </s>", "Liu et al. 2019"},
                                      .parse = parse_roberta};
const lt_part_kind lt_post_template = {.is = {"post-processor", "TemplateProcessing", "special tokens where a template says", ""},
                                       .parse = parse_template};
const lt_part_kind lt_post_byte_level = {.is = {"post-processor", "ByteLevel", "offsets without blanks", "GPT-2"},
                                         .parse = parse_byte_level};
const lt_part_kind lt_post_sequence = {.is = {"post-processor", "Sequence", "several post-processors, one after another", ""},
                                       .parse = parse_sequence};
