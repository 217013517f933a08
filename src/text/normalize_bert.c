/* BertNormalizer: controls out and blanks unified, ideographs set apart, accents stripped, lower case (Devlin et al., BERT, 2019:
 * its BasicTokenizer). One walk does all of it, and leaves alignments out where nothing moved; the rare texts whose marks
 * canonical ordering would move take the reference's way, pass by pass. */
#include "text/kinds.h"
#include "text/normal_form.h"
#include "text/unicode.h"

typedef struct {
    bool clean, chinese, strip, lower;
    uint8_t ascii[128]; /* what becomes of it; 0xFF: it is dropped */
} bert_options;

static const void *parse(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    bert_options *b = lt_keep(cx, t, sizeof *b, NULL);
    if (!b) return NULL;
    b->clean = lt_part_bool(cx, t, o, where, "clean_text", true);
    b->chinese = lt_part_bool(cx, t, o, where, "handle_chinese_chars", true);
    b->lower = lt_part_bool(cx, t, o, where, "lowercase", true);
    b->strip = lt_part_bool(cx, t, o, where, "strip_accents", b->lower);
    for (uint32_t c = 0; c < 128; c++) {
        uint8_t class = lt_char_class(c);
        b->ascii[c] = (uint8_t)c;
        if (b->lower && c >= 'A' && c <= 'Z') b->ascii[c] = (uint8_t)(c + 32);
        if (b->clean && class & LT_CHAR_REMOVED)
            b->ascii[c] = 0xFF;
        else if (b->clean && class & LT_CHAR_SPACE)
            b->ascii[c] = ' ';
    }
    return lt_ok(cx) ? b : NULL;
}

static bool filter(lt_ctx *cx, lt_piece *p, bool clean)
{
    lt_edit e = lt_edit_begin(cx, p);
    const char *end = p->text + p->size;
    for (const char *s = p->text; s < end && !e.failed;) {
        uint32_t c;
        int n = lt_utf8_next(s, end, &c);
        uint8_t class = lt_char_class(c);
        s += n;
        if (class & (clean ? LT_CHAR_REMOVED : LT_CHAR_MN))
            lt_edit_skip(&e, (uint32_t)n);
        else
            lt_edit_put(&e, clean && class & LT_CHAR_SPACE ? ' ' : c, 0);
    }
    return lt_edit_end(&e, p);
}

static bool space_chinese(lt_ctx *cx, lt_piece *p)
{
    lt_edit e = lt_edit_begin(cx, p);
    const char *end = p->text + p->size;
    uint32_t c;
    for (const char *s = p->text; s < end && !e.failed;) {
        s += lt_utf8_next(s, end, &c);
        bool chinese = lt_char_is_chinese(c);
        if (chinese) lt_edit_put(&e, ' ', 0);
        lt_edit_put(&e, c, chinese);
        if (chinese) lt_edit_put(&e, ' ', 1);
    }
    return lt_edit_end(&e, p);
}

static bool pass_by_pass(lt_ctx *cx, const bert_options *b, lt_piece *p)
{
    if (b->clean && !filter(cx, p, true)) return false;
    if (b->chinese && !space_chinese(cx, p)) return false;
    if (b->strip && (!lt_normal_form(cx, p, LT_NFD) || !filter(cx, p, false))) return false;
    return !b->lower || lt_normalizer_lowercase.normalize(cx, NULL, p);
}

/* Puts what becomes of c, all of it at c's place (e->at is behind c). False: marks that are not Mn would be reordered. */
static bool put_char(const bert_options *b, lt_edit *e, uint32_t c)
{
    uint32_t part[LT_DECOMPOSED], low[2];
    bool chinese = b->chinese && lt_char_is_chinese(c);
    int n = 1;
    part[0] = c;
    if (b->strip) n = lt_char_decompose(c, false, part);
    if (chinese) lt_edit_put(e, ' ', 1);
    for (int i = 0; i < n; i++) {
        if (b->strip && part[i] >= 0x300) {
            if (lt_char_class(part[i]) & LT_CHAR_MN) continue;
            if (lt_char_combining_class(part[i])) return false;
        }
        int m = b->lower ? lt_char_lower(part[i], low) : 1;
        if (!b->lower) low[0] = part[i];
        for (int k = 0; k < m; k++) lt_edit_put(e, low[k], 1);
    }
    if (chinese) lt_edit_put(e, ' ', 1);
    return true;
}

static bool walk(lt_ctx *cx, const bert_options *b, lt_piece *p, lt_edit *e)
{
    const char *end = p->text + p->size;
    for (const char *s = p->text + e->at; s < end && !e->failed;) {
        uint8_t byte = (uint8_t)*s;
        if (byte < 0x80) {
            s++;
            if (b->ascii[byte] == 0xFF)
                lt_edit_skip(e, 1);
            else
                lt_edit_put(e, b->ascii[byte], 0);
            continue;
        }
        uint32_t c;
        int n = lt_utf8_next(s, end, &c);
        s += n;
        lt_edit_skip(e, (uint32_t)n);
        uint8_t class = b->clean ? lt_char_class(c) : 0;
        if (class & LT_CHAR_REMOVED) continue;
        if (class & LT_CHAR_SPACE)
            lt_edit_put(e, ' ', 1);
        else if (!put_char(b, e, c))
            return pass_by_pass(cx, b, p);
    }
    return lt_edit_end(e, p);
}

static bool normalize(lt_ctx *cx, const void *self, lt_piece *p)
{
    const bert_options *b = self;
    lt_edit e = {.cx = cx, .from = p, .capacity = (int64_t)p->size + p->size / 8 + 16};
    e.text = lt_alloc_array(cx, e.capacity, 1);
    if (!e.text) return false;
    uint32_t i = 0;
    for (; i < p->size; i++) { /* as long as each byte becomes one byte */
        uint8_t byte = (uint8_t)p->text[i];
        if (byte >= 0x80 || b->ascii[byte] == 0xFF) break;
        e.text[i] = (char)b->ascii[byte];
    }
    if (i == p->size) {
        p->text = e.text;
        return true;
    }
    e.align = lt_alloc_array(cx, e.capacity, sizeof *e.align);
    if (!e.align) return false;
    for (uint32_t k = 0; k < i; k++) e.align[k] = lt_piece_span(p, k, k + 1);
    e.at = i;
    e.size = i;
    lt_piece from = *p;
    e.from = &from;
    return walk(cx, b, p, &e);
}

const lt_part_kind lt_normalizer_bert = {
    .is = {"normalizer", "BertNormalizer", "BERT's cleaning, ideographs apart, accents, lower case", "Devlin et al. 2019"},
    .parse = parse,
    .normalize = normalize};
