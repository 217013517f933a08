/* Encoding: text → pieces → tokens → what the post-processor makes of them. Everything on the way lives in an inner scope; the
 * result is one block that outlives it. Offsets count code points of the text as it is read, with U+FFFD for ill-formed bytes. */
#include <inttypes.h>

#include "text/kinds.h"

enum { MOST_BYTES = 1 << 30 };

/* Whether all is ASCII and whether all is well-formed, in one walk. */
static void look(const char *s, size_t size, bool *ascii, bool *well_formed)
{
    const char *end = s + size, *p = s;
    *ascii = *well_formed = true;
    while (p < end) {
        uint64_t eight;
        if (end - p >= 8 && (memcpy(&eight, p, 8), !(eight & 0x8080808080808080u))) {
            p += 8;
        } else if ((uint8_t)*p < 0x80) {
            p++;
        } else {
            uint32_t c;
            int n = lt_utf8_next(p, end, &c);
            *ascii = false;
            if (c == 0xFFFD && !(n == 3 && !memcmp(p, "\xEF\xBF\xBD", 3))) {
                *well_formed = false;
                return;
            }
            p += n;
        }
    }
}

bool lt_source_read(lt_ctx *cx, const char *text, size_t size, lt_source *s)
{
    bool well_formed;
    if (size > MOST_BYTES) return lt_fail_if(cx, true, LT_ERR_INPUT, "a text of %zu bytes, expected at most %d", size, MOST_BYTES);
    *s = (lt_source){text, (uint32_t)size, true, text, size};
    look(text, size, &s->ascii, &well_formed);
    if (well_formed) return true;
    char *made = lt_alloc_array(cx, (int64_t)size * 3, 1);
    if (!made) return false;
    uint32_t n = 0, c;
    for (const char *p = text, *end = text + size; p < end;) {
        p += lt_utf8_next(p, end, &c);
        n += (uint32_t)lt_utf8_put(c, made + n);
    }
    s->text = made;
    s->size = n;
    return lt_fail_if(cx, n > MOST_BYTES, LT_ERR_INPUT, "a text of %" PRIu32 " bytes, expected at most %d", n, MOST_BYTES);
}

/* ---- pieces ---- */

/* Cuts added tokens out of each piece that is still text, after normalising it where told. */
static bool cut_added(lt_ctx *cx, const lt_tokenizer *t, bool normalized, lt_pieces *ps)
{
    const lt_pattern_set *set = normalized ? &t->normalized : &t->raw;
    if (!set->n && !(normalized && t->normalizer.kind)) return true;
    lt_pieces out = {0};
    lt_patience patience = {0};
    for (int32_t i = 0; i < ps->n && lt_patient(cx, &patience, i); i++) {
        lt_piece p = ps->at[i];
        p.most = lt_most_bytes(p.size);
        bool ok = p.id >= 0 ? lt_pieces_add(cx, &out, &p, 0, p.size, p.id)
                            : (!normalized || lt_normalize(cx, &t->normalizer, &p)) && lt_added_cut(cx, t, set, &p, &out);
        if (!ok) return false;
    }
    *ps = out;
    return lt_ok(cx);
}

/* An added token's blanks are those of the text that it was found as. */
static bool add_piece_token(lt_ctx *cx, const lt_piece *p, lt_tokens *out)
{
    if (!lt_tokens_add(cx, out, p->id, 0, p->size)) return false;
    lt_count_blanks(p->text, p->size, &out->at[out->n - 1].blank_before, &out->at[out->n - 1].blank_after);
    return true;
}

static bool tokenize(lt_ctx *cx, const lt_tokenizer *t, const lt_pieces *ps, lt_tokens *out)
{
    for (int32_t i = 0; i < ps->n; i++) {
        const lt_piece *p = &ps->at[i];
        int32_t first = out->n;
        bool ok = p->id >= 0 ? add_piece_token(cx, p, out) : t->model.kind->tokenize(cx, t->model.self, p, out);
        if (!ok || ((i & 1023) == 1023 && !lt_ok(cx))) return false;
        for (int32_t k = first; k < out->n; k++) {
            lt_span s = lt_piece_span(p, out->at[k].start, out->at[k].end);
            out->at[k].start = s.start;
            out->at[k].end = s.end;
        }
    }
    return true;
}

/* ---- offsets ---- */

/* The code point that each byte belongs to. NULL in *out: every byte is one. */
static bool count_chars(lt_ctx *cx, const lt_source *s, uint32_t **out)
{
    *out = NULL;
    if (s->ascii) return true;
    uint32_t *at = lt_alloc_array(cx, s->size, sizeof *at), n = UINT32_MAX;
    if (!at) return false;
    for (uint32_t i = 0; i < s->size; i++) {
        if (((uint8_t)s->text[i] & 0xC0) != 0x80) n++;
        at[i] = n;
    }
    *out = at;
    return true;
}

/* As the reference converts them, oddities beyond the end included (BPE's byte fallback can lead there). */
static void to_chars(const lt_source *s, const uint32_t *char_of, lt_token *t)
{
    if (t->start >= s->size) return;
    uint32_t start = char_of ? char_of[t->start] : t->start, last;
    if (t->end < s->size) {
        t->end = char_of ? char_of[t->end] : t->end;
    } else {
        last = t->end - 1 < s->size ? (char_of ? char_of[t->end - 1] : t->end - 1) : start + 1;
        t->end = last + 1;
    }
    t->start = start;
}

/* From code points to the bytes of the text as it came. */
static bool to_bytes(lt_ctx *cx, const lt_source *s, lt_tokens *ts)
{
    if (s->ascii) return true;
    uint32_t *begin = lt_alloc_array(cx, (int64_t)s->given_size + 1, sizeof *begin), n = 0, c;
    if (!begin) return false;
    for (const char *p = s->given, *end = p + s->given_size; p < end;) {
        begin[n++] = (uint32_t)(p - s->given);
        p += lt_utf8_next(p, end, &c);
    }
    begin[n] = (uint32_t)s->given_size;
    for (int32_t i = 0; i < ts->n; i++) {
        lt_token *t = &ts->at[i];
        t->start = begin[t->start < n ? t->start : n];
        t->end = begin[t->end < n ? t->end : n];
    }
    return true;
}

static bool encode_text(lt_ctx *cx, const lt_tokenizer *t, const lt_source *s, lt_tokens *out)
{
    uint32_t *char_of;
    lt_piece whole = {.text = s->text, .size = s->size, .id = -1};
    lt_pieces ps = {0};
    bool ok = lt_pieces_add(cx, &ps, &whole, 0, s->size, -1) && cut_added(cx, t, false, &ps) && cut_added(cx, t, true, &ps) &&
              lt_pretokenize(cx, &t->pre_tokenizer, &ps) && tokenize(cx, t, &ps, out) && count_chars(cx, s, &char_of);
    for (int32_t i = 0; ok && i < out->n; i++) to_chars(s, char_of, &out->at[i]);
    return ok;
}

/* ---- the result ---- */

static lt_layout default_layout(bool pair)
{
    static const lt_slot slots[2] = {{-1, 0}, {-2, 1}};
    return (lt_layout){pair ? 2 : 1, 0, slots};
}

static void fill(lt_encoding *e, const lt_layout *layout, const lt_tokens *ts, bool special)
{
    for (int32_t i = 0; i < layout->n; i++) {
        lt_slot slot = layout->slot[i];
        if (slot.id >= 0) {
            if (!special) continue;
            e->ids[e->n] = slot.id;
            e->types[e->n] = slot.type;
            e->offsets[e->n][0] = e->offsets[e->n][1] = 0;
            e->part[e->n] = 0;
            e->special[e->n++] = 1;
            e->special_count++;
            continue;
        }
        const lt_tokens *x = &ts[-1 - slot.id];
        for (int32_t k = 0; k < x->n; k++) {
            e->ids[e->n] = x->at[k].id;
            e->types[e->n] = slot.type;
            e->offsets[e->n][0] = (int32_t)x->at[k].start;
            e->offsets[e->n][1] = (int32_t)x->at[k].end;
            e->part[e->n] = (uint8_t)-slot.id;
            e->special[e->n++] = 0;
        }
    }
}

static size_t up16(size_t n) { return (n + 15) / 16 * 16; }

/* Points the arrays behind the header of the block that holds them. */
static void lay_arrays(lt_encoding *e, size_t n)
{
    uint8_t *p = (uint8_t *)e + up16(sizeof *e);
    e->ids = (int32_t *)(void *)p;
    p += up16(n * sizeof *e->ids);
    e->types = (int32_t *)(void *)p;
    p += up16(n * sizeof *e->types);
    e->offsets = (int32_t(*)[2])(void *)p;
    p += up16(n * sizeof *e->offsets);
    e->special = p;
    e->part = p + n;
}

static lt_encoding *build(lt_ctx *cx, const lt_tokenizer *t, const lt_tokens *ts, bool pair, bool special, size_t *bytes)
{
    lt_layout layout = !t->post.laid_out ? default_layout(pair) : pair ? t->post.pair : t->post.single;
    size_t n = 0;
    for (int32_t i = 0; i < layout.n; i++) n += layout.slot[i].id >= 0 ? special : (size_t)ts[-1 - layout.slot[i].id].n;
    *bytes = up16(sizeof(lt_encoding)) + 3 * up16(n * sizeof(int32_t)) + up16(n * 2 * sizeof(int32_t)) + 2 * n;
    if (n > INT32_MAX) return lt_fail(cx, LT_ERR_INPUT, "%zu tokens, expected fewer", n);
    lt_encoding *e = lt_alloc(cx, *bytes);
    if (!e) return NULL;
    *e = (lt_encoding){0};
    lay_arrays(e, n);
    fill(e, &layout, ts, special);
    return e;
}

static lt_encoding *encode(lt_ctx *cx, const lt_tokenizer *t, const lt_source s[2], bool pair, const lt_encode_options *o,
                           size_t *bytes)
{
    lt_tokens ts[2] = {{0}, {0}};
    int32_t left_out = 0, n[2];
    for (int i = 0; i < 1 + pair; i++)
        if (!encode_text(cx, t, &s[i], &ts[i])) return NULL;
    n[0] = ts[0].n;
    n[1] = ts[1].n;
    if (!lt_post_truncate(cx, &t->post, pair, o, n)) return NULL;
    for (int i = 0; i < 1 + pair; i++) {
        left_out += ts[i].n - n[i];
        ts[i].n = n[i];
        lt_post_trim(t, &ts[i]);
        if (o->byte_offsets && !to_bytes(cx, &s[i], &ts[i])) return NULL;
    }
    lt_encoding *e = build(cx, t, ts, pair, !o->no_special, bytes);
    if (e) e->left_out = left_out;
    return e;
}

lt_encoding *lt_encode(lt_ctx *cx, const lt_tokenizer *t, const char *text, size_t size, const char *pair, size_t pair_size,
                       const lt_encode_options *options)
{
    static const lt_encode_options none = {0};
    if (!t || !text || !lt_ok(cx)) return NULL;
    size_t bytes = 0;
    lt_source s[2] = {{0}, {0}};
    lt_scope scope = lt_open(cx, NULL);
    bool ok = lt_source_read(cx, text, size, &s[0]) && (!pair || lt_source_read(cx, pair, pair_size, &s[1]));
    lt_encoding *e = ok ? encode(cx, t, s, pair != NULL, options ? options : &none, &bytes) : NULL;
    e = lt_end_keep(cx, scope, e, bytes);
    if (e) lay_arrays(e, (size_t)e->n);
    return e;
}
