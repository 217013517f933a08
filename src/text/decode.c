/* Decoding: ids → the tokens' texts → what the decoder makes of the list → one text. Decoders: WordPiece, ByteLevel, BPEDecoder,
 * ByteFallback, Fuse, Replace, Strip, Sequence. Lists live in a scope; each decoder rewrites the list. */
#include <inttypes.h>

#include "text/byte_level.h"
#include "text/kinds.h"
#include "text/pattern.h"

static bool run(lt_ctx *cx, const lt_part *part, lt_strings *s) { return part->kind->decode(cx, part->self, s); }

bool lt_decode(lt_ctx *cx, const lt_tokenizer *t, const int32_t *ids, int32_t n, bool skip_special, lt_str *out)
{
    if (!t || !out || !lt_ok(cx)) return false;
    lt_scope scope = lt_open(cx, NULL);
    lt_strings s = {lt_alloc_array(cx, n, sizeof *s.at), 0};
    bool ok = s.at != NULL;
    for (int32_t i = 0; ok && i < n; i++) {
        size_t size = 0;
        const char *text = lt_tokenizer_text(t, ids[i], &size);
        ok = lt_fail_if(cx, !text, LT_ERR_INPUT, "%s: no token has the id %" PRId32, t->file, ids[i]);
        int32_t added = ok ? t->added_of_id[ids[i]] : -1;
        if (ok && !(skip_special && added >= 0 && t->added[added].special)) s.at[s.n++] = (lt_string){text, size};
    }
    ok = ok && (!t->decoder.kind || run(cx, &t->decoder, &s));
    for (int32_t i = 0; ok && i < s.n; i++) {
        if (i && !t->decoder.kind) lt_str_add(out, " ", 1);
        lt_str_add(out, s.at[i].text, s.at[i].size);
    }
    lt_end(cx, scope);
    return ok && lt_fail_if(cx, out->failed, LT_ERR_MEMORY, "no memory for a decoded text");
}

/* ---- texts in the scope ---- */

typedef struct {
    lt_ctx *cx;
    char *text;
    int64_t size, capacity;
    bool failed;
} buffer;

static void put(buffer *b, const char *text, size_t size)
{
    char *wide = b->failed ? NULL : lt_scope_grow(b->cx, b->text, b->size, (int64_t)size, &b->capacity, 1);
    b->failed = !wide && size;
    if (b->failed || !size) return;
    b->text = wide;
    memcpy(b->text + b->size, text, size);
    b->size += (int64_t)size;
}

static bool become(buffer *b, lt_string *s)
{
    *s = (lt_string){b->text ? b->text : "", (size_t)b->size};
    return !b->failed;
}

/* Every `from` in s becomes `to`; an empty `from` stands between all code points, as in Rust's str::replace. */
static bool replace(lt_ctx *cx, lt_string *s, const char *from, size_t from_size, const char *to)
{
    size_t to_size = strlen(to), i = 0;
    if (from_size && !memmem(s->text, s->size, from, from_size)) return true;
    buffer b = {.cx = cx};
    while (i < s->size) {
        uint32_t c;
        size_t n = (size_t)lt_utf8_next(s->text + i, s->text + s->size, &c);
        bool here = i + from_size <= s->size && !memcmp(s->text + i, from, from_size);
        if (here) put(&b, to, to_size);
        if (here && from_size) {
            i += from_size;
            continue;
        }
        put(&b, s->text + i, n);
        i += n;
    }
    if (!from_size) put(&b, to, to_size);
    return become(&b, s);
}

/* ---- WordPiece ---- */

typedef struct {
    lt_string prefix;
    bool cleanup;
} wordpiece;

static const void *parse_wordpiece(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    wordpiece *w = lt_keep(cx, t, sizeof *w, NULL);
    if (!w) return NULL;
    w->prefix.text = lt_part_text(cx, t, o, where, "prefix", "##", &w->prefix.size);
    w->cleanup = lt_part_bool(cx, t, o, where, "cleanup", true);
    return lt_ok(cx) ? w : NULL;
}

/* Blanks that English tokenisation put in, out again: the reference's list, in its order. */
static bool clean_up(lt_ctx *cx, lt_string *s)
{
    static const char *const pair[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                          {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                          {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++)
        if (!replace(cx, s, pair[i][0], strlen(pair[i][0]), pair[i][1])) return false;
    return true;
}

static bool decode_wordpiece(lt_ctx *cx, const void *self, lt_strings *s)
{
    const wordpiece *w = self;
    for (int32_t i = 0; i < s->n; i++) {
        lt_string *x = &s->at[i];
        bool goes_on = x->size >= w->prefix.size && !memcmp(x->text, w->prefix.text, w->prefix.size);
        if (i && goes_on) {
            x->text += w->prefix.size;
            x->size -= w->prefix.size;
        } else if (i) {
            buffer b = {.cx = cx};
            put(&b, " ", 1);
            put(&b, x->text, x->size);
            if (!become(&b, x)) return false;
        }
        if (w->cleanup && !clean_up(cx, x)) return false;
    }
    return true;
}

/* ---- ByteLevel: tokens that are all byte-level code points become those bytes, others stay; then all is read as UTF-8 ---- */

static void put_bytes(buffer *b, const lt_string *s)
{
    int64_t before = b->size;
    for (const char *p = s->text, *end = p + s->size; p < end;) {
        uint32_t c;
        p += lt_utf8_next(p, end, &c);
        int byte = lt_byte_of(c);
        if (byte < 0) {
            b->size = before;
            put(b, s->text, s->size);
            return;
        }
        char one = (char)byte;
        put(b, &one, 1);
    }
}

static bool one_string(lt_strings *s, lt_string x)
{
    if (s->n) s->at[0] = x;
    s->n = s->n ? 1 : 0;
    return true;
}

static bool decode_byte_level(lt_ctx *cx, const void *self, lt_strings *s)
{
    buffer bytes = {.cx = cx}, text = {.cx = cx};
    for (int32_t i = 0; i < s->n; i++) put_bytes(&bytes, &s->at[i]);
    for (const char *p = bytes.text, *end = p + bytes.size; p < end;) {
        uint32_t c;
        char utf8[4];
        p += lt_utf8_next(p, end, &c);
        put(&text, utf8, (size_t)lt_utf8_put(c, utf8));
    }
    lt_string x;
    return !bytes.failed && become(&text, &x) && one_string(s, x);
}

/* ---- Fuse, BPEDecoder, Strip, Replace, ByteFallback, Sequence ---- */

static bool decode_fuse(lt_ctx *cx, const void *self, lt_strings *s)
{
    buffer b = {.cx = cx};
    for (int32_t i = 0; i < s->n; i++) put(&b, s->at[i].text, s->at[i].size);
    lt_string x;
    return become(&b, &x) && one_string(s, x);
}

static const void *parse_bpe(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    lt_string *s = lt_keep(cx, t, sizeof *s, NULL);
    if (s) s->text = lt_part_text(cx, t, o, where, "suffix", "</w>", &s->size);
    return lt_ok(cx) ? s : NULL;
}

static bool decode_bpe(lt_ctx *cx, const void *self, lt_strings *s)
{
    const lt_string *suffix = self;
    for (int32_t i = 0; i < s->n; i++)
        if (!replace(cx, &s->at[i], suffix->text, suffix->size, i == s->n - 1 ? "" : " ")) return false;
    return true;
}

typedef struct {
    lt_string content; /* one code point */
    int64_t start, stop;
} strip;

static const void *parse_strip(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    strip *x = lt_keep(cx, t, sizeof *x, NULL);
    if (!x) return NULL;
    x->content.text = lt_part_text(cx, t, o, where, "content", " ", &x->content.size);
    x->start = lt_part_int(cx, t, o, where, "start", 0, INT64_MAX, 0);
    x->stop = lt_part_int(cx, t, o, where, "stop", 0, INT64_MAX, 0);
    if (!lt_ok(cx)) return NULL;
    uint32_t c;
    bool one = x->content.size && (size_t)lt_utf8_next(x->content.text, x->content.text + x->content.size, &c) == x->content.size;
    return lt_fail_if(cx, !one, LT_ERR_INPUT, "%s: %s.content: expected one character", t->file, where) ? x : NULL;
}

static bool decode_strip(lt_ctx *cx, const void *self, lt_strings *s)
{
    const strip *o = self;
    size_t n = o->content.size;
    for (int32_t i = 0; i < s->n; i++) {
        lt_string *x = &s->at[i];
        for (int64_t k = 0; k < o->start && x->size >= n && !memcmp(x->text, o->content.text, n); k++) {
            x->text += n;
            x->size -= n;
        }
        for (int64_t k = 0; k < o->stop && x->size >= n && !memcmp(x->text + x->size - n, o->content.text, n); k++) x->size -= n;
    }
    return true;
}

static bool decode_replace(lt_ctx *cx, const void *self, lt_strings *s)
{
    for (int32_t i = 0; i < s->n; i++) {
        lt_piece p = {.text = s->at[i].text, .size = (uint32_t)s->at[i].size, .id = -1};
        p.most = lt_most_bytes(p.size);
        if (p.size && !lt_replace_all(cx, self, &p)) return false;
        s->at[i] = (lt_string){p.text, p.size};
    }
    return true;
}

/* The byte of "<0xE4>"; -1: another text. */
static int fallback_byte(const lt_string *s)
{
    static const char digits[] = "0123456789ABCDEFabcdef";
    if (s->size != 6 || memcmp(s->text, "<0x", 3) || s->text[5] != '>') return -1;
    const char *high = memchr(digits, s->text[3], 22), *low = memchr(digits, s->text[4], 22);
    if (!high && s->text[3] == '+' && low) high = digits; /* Rust's parser takes a sign */
    if (!high || !low) return -1;
    int a = (int)(high - digits), b = (int)(low - digits);
    return (a > 15 ? a - 6 : a) * 16 + (b > 15 ? b - 6 : b);
}

/* Writes the bytes gathered: a text if they are one, else U+FFFD for each. */
static void flush(buffer *bytes, buffer *out)
{
    bool well_formed = true;
    for (const char *p = bytes->text, *end = p + bytes->size; p < end;) {
        uint32_t c;
        int n = lt_utf8_next(p, end, &c);
        well_formed &= c != 0xFFFD || (n == 3 && !memcmp(p, "\xEF\xBF\xBD", 3));
        p += n;
    }
    if (well_formed) put(out, bytes->text, (size_t)bytes->size);
    for (int64_t i = 0; !well_formed && i < bytes->size; i++) put(out, "\xEF\xBF\xBD", 3);
    bytes->size = 0;
}

static bool decode_byte_fallback(lt_ctx *cx, const void *self, lt_strings *s)
{
    buffer bytes = {.cx = cx};
    int32_t n = 0;
    for (int32_t i = 0; i < s->n; i++) {
        int byte = fallback_byte(&s->at[i]);
        if (byte >= 0) {
            char one = (char)byte;
            put(&bytes, &one, 1);
            if (i + 1 < s->n && fallback_byte(&s->at[i + 1]) >= 0) continue;
            buffer text = {.cx = cx};
            flush(&bytes, &text);
            if (!become(&text, &s->at[n++])) return false;
        } else {
            s->at[n++] = s->at[i];
        }
    }
    s->n = n;
    return !bytes.failed;
}

static const void *parse_sequence(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    return lt_sequence_parse(cx, t, LT_SLOT_DECODER, o, "decoders", where);
}

static size_t total(const lt_strings *s)
{
    size_t n = 0;
    for (int32_t i = 0; i < s->n; i++) n += s->at[i].size;
    return n;
}

static bool decode_sequence(lt_ctx *cx, const void *self, lt_strings *s)
{
    const lt_sequence *q = self;
    size_t most = 64 * total(s) + 4096; /* hostile sequences double it again and again */
    for (int32_t i = 0; i < q->n; i++) {
        if (!run(cx, &q->part[i], s)) return false;
        if (total(s) > most) return lt_fail_if(cx, true, LT_ERR_INPUT, "a text grows beyond all measure when it is decoded");
    }
    return true;
}

const lt_part_kind lt_decoder_wordpiece = {.is = {"decoder", "WordPiece", "words with blanks between", "Wu et al. 2016"},
                                           .parse = parse_wordpiece,
                                           .decode = decode_wordpiece};
const lt_part_kind lt_decoder_byte_level = {.is = {"decoder", "ByteLevel", "bytes that code points stand for", "GPT-2"},
                                            .parse = lt_part_plain,
                                            .decode = decode_byte_level};
const lt_part_kind lt_decoder_bpe = {
    .is = {"decoder", "BPEDecoder", "a suffix ends each word", "Sennrich et al. 2016"}, .parse = parse_bpe, .decode = decode_bpe};
const lt_part_kind lt_decoder_sequence = {
    .is = {"decoder", "Sequence", "several decoders, one after another", ""}, .parse = parse_sequence, .decode = decode_sequence};
const lt_part_kind lt_decoder_fuse = {
    .is = {"decoder", "Fuse", "all tokens in one", ""}, .parse = lt_part_plain, .decode = decode_fuse};
const lt_part_kind lt_decoder_replace = {
    .is = {"decoder", "Replace", "a pattern's matches replaced", ""}, .parse = lt_replacement_parse, .decode = decode_replace};
const lt_part_kind lt_decoder_strip = {
    .is = {"decoder", "Strip", "a character off the ends", ""}, .parse = parse_strip, .decode = decode_strip};
const lt_part_kind lt_decoder_byte_fallback = {
    .is = {"decoder", "ByteFallback", "<0xE4> is a byte", "SentencePiece"}, .parse = lt_part_plain, .decode = decode_byte_fallback};
