/* BERT's tokenizer (Devlin et al., "BERT", 2019), trained: its normalisation and words; pieces that go on within a word carry ##. The
 * pieces are found by merging pairs by frequency, as the reference does, not by likelihood as in Schuster and Nakajima, "Japanese and
 * Korean voice search", 2012. Characters beyond the alphabet's limit are left out of words here, and make a word unknown later. */
#include <stdlib.h>

#include "text/kinds.h"
#include "text/train/trainer.h"

enum { USUAL_LIMIT = 1000 };

static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", NULL};

typedef struct letter {
    int64_t count;
    int32_t begins, goes_on; /* its tokens; first 1: it is needed, 0: it is not */
} letter;
typedef struct letters {
    letter *at;
    uint32_t n; /* code points up to the last one there is */
} letters;

static bool cut(lt_ctx *cx, const lt_tokenizer *t, const lt_source *text, lt_pieces *out)
{
    lt_piece p = {.text = text->text, .size = text->size, .id = -1, .most = lt_most_bytes(text->size)};
    return lt_normalize(cx, &t->normalizer, &p) && lt_pieces_add(cx, out, &p, 0, p.size, -1) && lt_pretokenize(cx, &t->pre_tokenizer, out);
}

/* ---- the alphabet ---- */

static uint32_t last_letter(const lt_words *w)
{
    uint32_t last = 0, c;
    const char *p = w->text.text, *end = p + w->text.text_size;
    while (p < end) {
        p += lt_utf8_next(p, end, &c);
        if (c > last) last = c;
    }
    return last;
}

static bool count_letters(lt_ctx *cx, const lt_words *w, letters *l, int64_t *total)
{
    l->n = last_letter(w) + 1;
    l->at = lt_alloc_array(cx, l->n, sizeof *l->at);
    if (!l->at) return false;
    memset(l->at, 0, l->n * sizeof *l->at);
    *total = 0;
    for (int32_t i = 0; i < w->text.n; i++) {
        const char *begin = w->text.text + w->text.entry[i].offset, *end = begin + w->text.entry[i].size;
        uint32_t c;
        for (const char *p = begin; p < end; ++*total) {
            bool first = p == begin;
            p += lt_utf8_next(p, end, &c);
            l->at[c].count += w->count[i];
            l->at[c].begins = 1;
            if (!first) l->at[c].goes_on = 1;
        }
    }
    return true;
}

typedef struct ranked {
    int64_t count;
    uint32_t c;
} ranked;

static int by_count(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : x->c < y->c ? -1 : 1;
}

/* How many of the letters, which are sorted, are kept. Where nobody said how many, as many as usual if they fit, else what half of the
 * vocabulary holds. */
static int32_t how_many(const lt_trainer *t, const letters *l, const ranked *r, int32_t n)
{
    int32_t limit = t->options->limit_alphabet, most = limit ? limit : USUAL_LIMIT, need = t->tokens.n, kept = 0, half = 0;
    for (; kept < n && kept < most; kept++) {
        need += 1 + l->at[r[kept].c].goes_on;
        if (need <= t->tokens.n + (t->options->vocab_size - t->tokens.n) / 2) half = kept + 1;
    }
    return limit || need <= t->options->vocab_size ? kept : half;
}

/* Takes the need of the letters away that are not kept. */
static bool limit_letters(lt_ctx *cx, const lt_trainer *t, letters *l)
{
    int32_t n = 0, i = 0;
    for (uint32_t c = 0; c < l->n; c++) n += l->at[c].begins;
    ranked *r = lt_alloc_array(cx, n + 1, sizeof *r);
    if (!r) return false;
    for (uint32_t c = 0; c < l->n; c++)
        if (l->at[c].begins) r[i++] = (ranked){l->at[c].count, c};
    qsort(r, (size_t)n, sizeof *r, by_count);
    for (i = how_many(t, l, r, n); i < n; i++) l->at[r[i].c].begins = l->at[r[i].c].goes_on = 0;
    return true;
}

/* Gives the letters their tokens: all that begin a word, then all that go on in one, by code point. */
static bool make_alphabet(lt_ctx *cx, lt_trainer *t, letters *l)
{
    char text[8] = "##";
    int32_t before = t->tokens.n;
    for (int inside = 0; inside < 2; inside++) {
        for (uint32_t c = 0; c < l->n; c++) {
            int32_t *id = inside ? &l->at[c].goes_on : &l->at[c].begins;
            size_t size = *id ? (size_t)lt_utf8_put(c, text + 2) : 0;
            *id = size ? lt_trainer_token(cx, t, inside ? text : text + 2, inside ? size + 2 : size) : -1;
            if (size && *id < 0) return false;
        }
    }
    t->alphabet = t->tokens.n - before;
    return lt_fail_if(cx, t->tokens.n > t->options->vocab_size, LT_ERR_INPUT,
                      "a vocabulary of %d entries: the special tokens and the alphabet, %d entries of these texts' letters, do not fit; "
                      "limit the alphabet to fewer letters",
                      t->options->vocab_size, t->alphabet);
}

static bool learn(lt_ctx *cx, lt_trainer *t)
{
    int64_t total;
    const lt_vocab *w = &t->words.text;
    letters l;
    if (!count_letters(cx, &t->words, &l, &total) || !limit_letters(cx, t, &l) || !make_alphabet(cx, t, &l)) return false;
    lt_symbols s = {.at = lt_alloc_array(cx, total, sizeof *s.at)};
    if (!s.at) return false;
    for (int32_t i = 0; i < w->n; i++) {
        const char *begin = w->text + w->entry[i].offset, *end = begin + w->entry[i].size;
        uint32_t c;
        for (const char *p = begin; p < end;) {
            bool first = p == begin;
            p += lt_utf8_next(p, end, &c);
            int32_t id = first ? l.at[c].begins : l.at[c].goes_on;
            if (id >= 0) lt_symbols_put(&s, id);
        }
        lt_symbols_end_word(&s);
    }
    return lt_trainer_merge(cx, t, s.at, s.n, "##");
}

/* ---- writing ---- */

static void put_parts(const lt_trainer *t, lt_str *s)
{
    lt_str_printf(s,
                  "  \"normalizer\": {\"type\": \"BertNormalizer\", \"clean_text\": true, \"handle_chinese_chars\": true, "
                  "\"strip_accents\": null, \"lowercase\": %s},\n",
                  t->options->cased ? "false" : "true");
    lt_str_puts(s, "  \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"},\n"
                   "  \"post_processor\": {\"type\": \"TemplateProcessing\",\n"
                   "    \"single\": [{\"SpecialToken\": {\"id\": \"[CLS]\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, "
                   "{\"SpecialToken\": {\"id\": \"[SEP]\", \"type_id\": 0}}],\n"
                   "    \"pair\": [{\"SpecialToken\": {\"id\": \"[CLS]\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, "
                   "{\"SpecialToken\": {\"id\": \"[SEP]\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}, "
                   "{\"SpecialToken\": {\"id\": \"[SEP]\", \"type_id\": 1}}],\n"
                   "    \"special_tokens\": {\"[CLS]\": {\"id\": \"[CLS]\", \"ids\": [2], \"tokens\": [\"[CLS]\"]}, "
                   "\"[SEP]\": {\"id\": \"[SEP]\", \"ids\": [3], \"tokens\": [\"[SEP]\"]}}},\n"
                   "  \"decoder\": {\"type\": \"WordPiece\", \"prefix\": \"##\", \"cleanup\": true},\n");
}

static void put_config(const lt_trainer *t, lt_str *s)
{
    lt_str_printf(s,
                  "  \"tokenizer_class\": \"BertTokenizer\",\n  \"do_lower_case\": %s,\n  \"strip_accents\": null,\n"
                  "  \"tokenize_chinese_chars\": true,\n  \"clean_up_tokenization_spaces\": true,\n  \"unk_token\": \"[UNK]\",\n"
                  "  \"sep_token\": \"[SEP]\",\n  \"pad_token\": \"[PAD]\",\n  \"cls_token\": \"[CLS]\",\n  \"mask_token\": \"[MASK]\"",
                  t->options->cased ? "false" : "true");
}

const lt_trainer_kind lt_trainer_wordpiece = {
    .is = {"trainer", "wordpiece", "BERT's tokenizer, learnt from texts: letters, merged by frequency", "Devlin et al. 2019, arXiv 1810.04805"},
    .special = special,
    .limits = true,
    .cut = cut,
    .learn = learn,
    .put_parts = put_parts,
    .model = "\"type\": \"WordPiece\",\n    \"unk_token\": \"[UNK]\",\n    \"continuing_subword_prefix\": \"##\",\n    "
             "\"max_input_chars_per_word\": 100",
    .put_config = put_config,
};
