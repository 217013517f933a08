/* GPT-2's byte level (Radford et al. 2019): bytes that are printable Latin-1 stand for themselves, the 68 others for U+0100 …, so
 * any text is a text over 256 code points. And its pre-tokenizer, whose pattern
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * is written out below as a scanner, much faster than a pattern library and with the reference's own classes. */
#include "text/byte_level.h"

#include "text/kinds.h"
#include "text/unicode.h"

static bool is_printable(uint32_t c) { return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c != 0xAD && c <= 0xFF); }

uint32_t lt_byte_char(uint8_t b)
{
    if (is_printable(b)) return b;
    return b <= 0x20 ? 0x100u + b : b <= 0xA0 ? 0x100u + 0x21 + (b - 0x7Fu) : 0x143; /* 0–32, 127–160, 173 */
}

int lt_byte_of(uint32_t c)
{
    if (c < 0x100) return is_printable(c) ? (int)c : -1;
    if (c <= 0x120) return (int)(c - 0x100);
    return c <= 0x142 ? (int)(c - 0x121 + 0x7F) : c == 0x143 ? 0xAD : -1;
}

/* Every byte has the origin of its whole code point. */
bool lt_piece_to_byte_level(lt_ctx *cx, lt_piece *p)
{
    char *text = lt_alloc_array(cx, (int64_t)p->size * 2, 1);
    lt_span *align = lt_alloc_array(cx, (int64_t)p->size * 2, sizeof *align);
    if (!text || !align) return false;
    uint32_t n = 0, size;
    for (uint32_t i = 0; i < p->size; i += size) {
        uint8_t first = (uint8_t)p->text[i];
        size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        lt_span origin = lt_piece_span(p, i, i + size);
        for (uint32_t k = 0; k < size; k++) {
            uint32_t c = lt_byte_char((uint8_t)p->text[i + k]);
            if (c < 0x80) {
                align[n] = origin;
                text[n++] = (char)c;
            } else {
                align[n] = align[n + 1] = origin;
                text[n++] = (char)(0xC0 | c >> 6);
                text[n++] = (char)(0x80 | (c & 0x3F));
            }
        }
    }
    p->text = text;
    p->align = align;
    p->size = n;
    return true;
}

/* ---- the pre-tokenizer ---- */

typedef struct {
    bool add_prefix_space, use_regex;
} byte_level;

static const void *parse(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    byte_level *b = lt_keep(cx, t, sizeof *b, NULL);
    if (!b) return NULL;
    b->add_prefix_space = lt_part_bool(cx, t, o, where, "add_prefix_space", true);
    b->use_regex = lt_part_bool(cx, t, o, where, "use_regex", true);
    lt_part_bool(cx, t, o, where, "trim_offsets", true);
    return lt_ok(cx) ? b : NULL;
}

enum { LETTERS = LT_CHAR_LETTER, NUMBERS = LT_CHAR_NUMERIC, BLANKS = LT_CHAR_SPACE, OTHERS = 0 };

/* Which of the four the code point at `at` is in. */
static uint8_t group_at(const lt_piece *p, uint32_t at, uint32_t *size)
{
    uint8_t byte = (uint8_t)p->text[at];
    uint32_t c = byte;
    *size = byte < 0x80 ? 1 : (uint32_t)lt_utf8_next(p->text + at, p->text + p->size, &c);
    uint8_t class = lt_char_class(c);
    return class & LETTERS ? LETTERS : class & NUMBERS ? NUMBERS : class & BLANKS;
}

/* The end of the run of one group that begins at `at`; *last: where its last code point begins. */
static uint32_t run_end(const lt_piece *p, uint32_t at, uint8_t group, uint32_t *last)
{
    uint32_t size;
    for (; at < p->size && group_at(p, at, &size) == group; at += size) *last = at;
    return at;
}

/* 's 't 'm 'd 're 've 'll at `at`: their size, else 0. */
static uint32_t contraction(const lt_piece *p, uint32_t at)
{
    const char *s = p->text + at;
    uint32_t left = p->size - at;
    if (s[0] != '\'' || left < 2) return 0;
    if (s[1] == 's' || s[1] == 't' || s[1] == 'm' || s[1] == 'd') return 2;
    if (left < 3) return 0;
    return (s[1] == 'r' && s[2] == 'e') || (s[1] == 'v' && s[2] == 'e') || (s[1] == 'l' && s[2] == 'l') ? 3 : 0;
}

/* The end of the match at `at`; something always matches. */
static uint32_t match_end(const lt_piece *p, uint32_t at)
{
    uint32_t size, next, last = at, n = contraction(p, at);
    if (n) return at + n;
    uint8_t group = group_at(p, at, &size);
    if (group != BLANKS) return run_end(p, at, group, &last);
    if (p->text[at] == ' ' && at + 1 < p->size) {
        group = group_at(p, at + 1, &next);
        if (group != BLANKS) return run_end(p, at + 1, group, &last);
    }
    uint32_t end = run_end(p, at, BLANKS, &last);
    return end < p->size && last > at ? last : end; /* the last blank goes with what follows, unless it is all there is */
}

bool lt_byte_level_words(lt_ctx *cx, const lt_piece *p, lt_pieces *out)
{
    for (uint32_t at = 0, end; at < p->size; at = end) {
        end = match_end(p, at);
        if (!lt_pieces_add(cx, out, p, at, end, -1)) return false;
    }
    return true;
}

static bool cut(lt_ctx *cx, const void *self, const lt_piece *given, lt_pieces *out)
{
    const byte_level *b = self;
    lt_piece p = *given;
    int32_t first = out->n;
    if (b->add_prefix_space && p.text[0] != ' ' && !lt_piece_prepend(cx, &p, " ", 1)) return false;
    if (!(b->use_regex ? lt_byte_level_words(cx, &p, out) : lt_pieces_add(cx, out, &p, 0, p.size, -1))) return false;
    for (int32_t i = first; i < out->n; i++)
        if (!lt_piece_to_byte_level(cx, &out->at[i])) return false;
    return true;
}

const lt_part_kind lt_pre_byte_level = {
    .is = {"pre-tokenizer", "ByteLevel", "GPT-2's words, in bytes", "Radford et al. 2019"}, .parse = parse, .cut = cut};
