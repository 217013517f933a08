/* Normalizers that work code point by code point: Lowercase, Strip, StripAccents, Nmt, Prepend, ByteLevel, and Sequence. The
 * larger ones have their own files. */
#include "text/kinds.h"
#include "text/unicode.h"

bool lt_normalize(lt_ctx *cx, const lt_part *part, lt_piece *p)
{
    return !part->kind || !p->size || part->kind->normalize(cx, part->self, p);
}

/* Kinds without options: any non-NULL self will do. */
const void *lt_part_plain(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where) { return ""; }

/* ---- Sequence ---- */

static const void *parse_sequence(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    return lt_sequence_parse(cx, t, LT_SLOT_NORMALIZER, o, "normalizers", where);
}

static bool run_sequence(lt_ctx *cx, const void *self, lt_piece *p)
{
    const lt_sequence *s = self;
    for (int32_t i = 0; i < s->n; i++)
        if (!lt_normalize(cx, &s->part[i], p)) return false;
    return true;
}

/* ---- Lowercase ---- */

static bool lowercase(lt_ctx *cx, const void *self, lt_piece *p)
{
    lt_edit e = lt_edit_begin(cx, p);
    const char *end = p->text + p->size;
    uint32_t c, low[2];
    for (const char *s = p->text; s < end && !e.failed;) {
        s += lt_utf8_next(s, end, &c);
        int n = lt_char_lower(c, low);
        for (int i = 0; i < n; i++) lt_edit_put(&e, low[i], i > 0);
    }
    return lt_edit_end(&e, p);
}

/* ---- Strip ---- */

typedef struct {
    bool left, right;
} strip_options;

static const void *parse_strip(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    strip_options *s = lt_keep(cx, t, sizeof *s, NULL);
    if (!s) return NULL;
    s->left = lt_part_bool(cx, t, o, where, "strip_left", true);
    s->right = lt_part_bool(cx, t, o, where, "strip_right", true);
    return lt_ok(cx) ? s : NULL;
}

static bool strip(lt_ctx *cx, const void *self, lt_piece *p)
{
    const strip_options *o = self;
    const char *from = p->text, *to = p->text + p->size, *end = to;
    uint32_t c;
    for (int n; o->left && from < end; from += n) {
        n = lt_utf8_next(from, end, &c);
        if (!(lt_char_class(c) & LT_CHAR_SPACE)) break;
    }
    while (o->right && to > from) {
        const char *s = to - 1;
        while (((uint8_t)*s & 0xC0) == 0x80) s--;
        lt_utf8_next(s, end, &c);
        if (!(lt_char_class(c) & LT_CHAR_SPACE)) break;
        to = s;
    }
    uint32_t skip = (uint32_t)(from - p->text);
    *p = (lt_piece){from, p->align ? p->align + skip : NULL, (uint32_t)(to - from), p->base + skip, p->id, p->most};
    return true;
}

/* ---- those that drop or replace single code points ---- */

enum { DROP = UINT32_MAX };

/* Replaces each code point by map(it), or drops it. */
static bool map_all(lt_ctx *cx, lt_piece *p, uint32_t (*map)(uint32_t))
{
    lt_edit e = lt_edit_begin(cx, p);
    const char *end = p->text + p->size;
    for (const char *s = p->text; s < end && !e.failed;) {
        uint32_t c;
        int n = lt_utf8_next(s, end, &c);
        s += n;
        c = map(c);
        if (c == DROP)
            lt_edit_skip(&e, (uint32_t)n);
        else
            lt_edit_put(&e, c, 0);
    }
    return lt_edit_end(&e, p);
}

static uint32_t without_marks(uint32_t c) { return lt_char_class(c) & LT_CHAR_MARK ? DROP : c; }
static bool strip_accents(lt_ctx *cx, const void *self, lt_piece *p) { return map_all(cx, p, without_marks); }

/* Some controls vanish, blanks of many kinds become U+0020: the rules of the NMT team's normalisation in SentencePiece. */
static uint32_t nmt_map(uint32_t c)
{
    if ((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) return DROP;
    bool blank = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 ||
                 c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    return blank ? ' ' : c;
}
static bool nmt(lt_ctx *cx, const void *self, lt_piece *p) { return map_all(cx, p, nmt_map); }

/* ---- Prepend ---- */

static const void *parse_prepend(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    lt_string *s = lt_keep(cx, t, sizeof *s, NULL);
    if (!s) return NULL;
    s->text = lt_part_text(cx, t, o, where, "prepend", "", &s->size);
    return s->text ? s : NULL;
}

bool lt_piece_prepend(lt_ctx *cx, lt_piece *p, const char *text, size_t size)
{
    if (!p->size || !size) return true;
    lt_edit e = lt_edit_begin(cx, p);
    const char *end = text + size, *mine = p->text + p->size;
    uint32_t c;
    for (const char *s = text; s < end && !e.failed;) {
        s += lt_utf8_next(s, end, &c);
        lt_edit_put(&e, c, e.size > 0); /* the first one replaces the piece's first, which then comes back as new */
    }
    bool first = true;
    for (const char *s = p->text; s < mine && !e.failed; first = false) {
        s += lt_utf8_next(s, mine, &c);
        lt_edit_put(&e, c, first);
    }
    return lt_edit_end(&e, p);
}

static bool prepend(lt_ctx *cx, const void *self, lt_piece *p)
{
    const lt_string *s = self;
    return lt_piece_prepend(cx, p, s->text, s->size);
}

/* ---- ByteLevel ---- */

static bool byte_level(lt_ctx *cx, const void *self, lt_piece *p) { return lt_piece_to_byte_level(cx, p); }

const lt_part_kind lt_normalizer_sequence = {.is = {"normalizer", "Sequence", "several normalizers, one after another", ""},
                                             .parse = parse_sequence,
                                             .normalize = run_sequence};
const lt_part_kind lt_normalizer_lowercase = {
    .is = {"normalizer", "Lowercase", "lower case", "Unicode"}, .parse = lt_part_plain, .normalize = lowercase};
const lt_part_kind lt_normalizer_strip = {
    .is = {"normalizer", "Strip", "no blanks at the ends", ""}, .parse = parse_strip, .normalize = strip};
const lt_part_kind lt_normalizer_strip_accents = {
    .is = {"normalizer", "StripAccents", "no combining marks", ""}, .parse = lt_part_plain, .normalize = strip_accents};
const lt_part_kind lt_normalizer_nmt = {
    .is = {"normalizer", "Nmt", "controls out, blanks unified, as SentencePiece's nmt rules", ""},
    .parse = lt_part_plain,
    .normalize = nmt};
const lt_part_kind lt_normalizer_prepend = {
    .is = {"normalizer", "Prepend", "a text in front", ""}, .parse = parse_prepend, .normalize = prepend};
const lt_part_kind lt_normalizer_byte_level = {
    .is = {"normalizer", "ByteLevel", "bytes as printable code points", "GPT-2"}, .parse = lt_part_plain, .normalize = byte_level};
