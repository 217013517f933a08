/* Pre-tokenizers that cut between classes of code points: BertPreTokenizer, Whitespace, WhitespaceSplit, Punctuation, Digits;
 * and Sequence. Those with patterns have their own files. */
#include "text/kinds.h"
#include "text/unicode.h"

bool lt_pretokenize(lt_ctx *cx, const lt_part *part, lt_pieces *ps)
{
    if (!part->kind) return true;
    if (part->kind == &lt_pre_sequence) {
        const lt_sequence *s = part->self;
        for (int32_t i = 0; i < s->n; i++)
            if (!lt_pretokenize(cx, &s->part[i], ps)) return false;
        return true;
    }
    lt_pieces out = {0};
    lt_patience patience = {0};
    for (int32_t i = 0; i < ps->n && lt_patient(cx, &patience, i); i++) {
        const lt_piece *p = &ps->at[i];
        bool ok = p->id >= 0 ? lt_pieces_add(cx, &out, p, 0, p->size, p->id) : part->kind->cut(cx, part->self, p, &out);
        if (!ok) return false;
    }
    *ps = out;
    return lt_ok(cx);
}

static const void *parse_sequence(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    return lt_sequence_parse(cx, t, LT_SLOT_PRE_TOKENIZER, o, "pretokenizers", where);
}

/* The code point at p->text + i, and its class. */
static uint8_t class_at(const lt_piece *p, uint32_t i, uint32_t *size)
{
    uint8_t byte = (uint8_t)p->text[i];
    uint32_t c = byte;
    *size = byte < 0x80 ? 1 : (uint32_t)lt_utf8_next(p->text + i, p->text + p->size, &c);
    return lt_char_class(c);
}

/* ---- BertPreTokenizer: words between blanks, each punctuation mark alone ---- */

static bool cut_bert(lt_ctx *cx, const void *self, const lt_piece *p, lt_pieces *out)
{
    uint32_t start = 0, n;
    for (uint32_t i = 0; i < p->size; i += n) {
        uint8_t class = class_at(p, i, &n);
        if (!(class & (LT_CHAR_SPACE | LT_CHAR_PUNCT))) continue;
        if (!lt_pieces_add(cx, out, p, start, i, -1)) return false;
        start = i + n;
        if (!(class & LT_CHAR_SPACE) && !lt_pieces_add(cx, out, p, i, start, -1)) return false;
    }
    return lt_pieces_add(cx, out, p, start, p->size, -1);
}

/* ---- Whitespace: \w+|[^\w\s]+ ---- */

static bool cut_whitespace(lt_ctx *cx, const void *self, const lt_piece *p, lt_pieces *out)
{
    uint32_t start = 0, n;
    uint8_t inside = LT_CHAR_SPACE; /* the class of the stretch from `start` */
    for (uint32_t i = 0; i < p->size; i += n) {
        uint8_t class = class_at(p, i, &n) & (LT_CHAR_WORD | LT_CHAR_SPACE);
        if (class == inside) continue;
        if (inside != LT_CHAR_SPACE && !lt_pieces_add(cx, out, p, start, i, -1)) return false;
        start = i;
        inside = class;
    }
    return inside == LT_CHAR_SPACE || lt_pieces_add(cx, out, p, start, p->size, -1);
}

/* ---- cuts at each code point of some class ---- */

static bool cut_at_class(lt_ctx *cx, const lt_piece *p, lt_pieces *out, uint8_t classes, lt_cut_behavior behavior)
{
    lt_cut cut = {.cx = cx, .piece = p, .out = out, .behavior = behavior};
    uint32_t start = 0, n;
    for (uint32_t i = 0; i < p->size; i += n) {
        if (!(class_at(p, i, &n) & classes)) continue;
        if (start < i && !lt_cut_put(&cut, start, i, false)) return false;
        start = i + n;
        if (!lt_cut_put(&cut, i, start, true)) return false;
    }
    return (start == p->size || lt_cut_put(&cut, start, p->size, false)) && lt_cut_end(&cut);
}

static bool cut_whitespace_split(lt_ctx *cx, const void *self, const lt_piece *p, lt_pieces *out)
{
    return cut_at_class(cx, p, out, LT_CHAR_SPACE, LT_CUT_REMOVED);
}

static const void *parse_punctuation(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    lt_cut_behavior *b = lt_keep(cx, t, sizeof *b, NULL);
    return b && lt_cut_behavior_parse(cx, t, o, where, "Isolated", b) ? b : NULL;
}
static bool cut_punctuation(lt_ctx *cx, const void *self, const lt_piece *p, lt_pieces *out)
{
    return cut_at_class(cx, p, out, LT_CHAR_PUNCT, *(const lt_cut_behavior *)self);
}

static const void *parse_digits(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    lt_cut_behavior *b = lt_keep(cx, t, sizeof *b, NULL);
    if (b) *b = lt_part_bool(cx, t, o, where, "individual_digits", false) ? LT_CUT_ISOLATED : LT_CUT_CONTIGUOUS;
    return lt_ok(cx) ? b : NULL;
}
static bool cut_digits(lt_ctx *cx, const void *self, const lt_piece *p, lt_pieces *out)
{
    return cut_at_class(cx, p, out, LT_CHAR_NUMERIC, *(const lt_cut_behavior *)self);
}

const lt_part_kind lt_pre_sequence = {.is = {"pre-tokenizer", "Sequence", "several pre-tokenizers, one after another", ""},
                                      .parse = parse_sequence};
const lt_part_kind lt_pre_bert = {
    .is = {"pre-tokenizer", "BertPreTokenizer", "words, and each punctuation mark alone", "Devlin et al. 2019"},
    .parse = lt_part_plain,
    .cut = cut_bert};
const lt_part_kind lt_pre_whitespace = {
    .is = {"pre-tokenizer", "Whitespace", "words and runs of other marks", ""}, .parse = lt_part_plain, .cut = cut_whitespace};
const lt_part_kind lt_pre_whitespace_split = {.is = {"pre-tokenizer", "WhitespaceSplit", "what stands between blanks", ""},
                                              .parse = lt_part_plain,
                                              .cut = cut_whitespace_split};
const lt_part_kind lt_pre_punctuation = {
    .is = {"pre-tokenizer", "Punctuation", "cuts at punctuation marks", ""}, .parse = parse_punctuation, .cut = cut_punctuation};
const lt_part_kind lt_pre_digits = {
    .is = {"pre-tokenizer", "Digits", "numbers, or each digit, alone", ""}, .parse = parse_digits, .cut = cut_digits};
