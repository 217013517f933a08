/* GPT-2's tokenizer (Radford et al., "Language models are unsupervised multitask learners", 2019), trained: words with the blank before
 * them, in bytes, of which all 256 are in the vocabulary, so that any text comes back. Nothing is normalised, no blank is added. */
#include "text/byte_level.h"
#include "text/kinds.h"
#include "text/train/trainer.h"

static const char *const special[] = {"<|endoftext|>", NULL};

static bool cut(lt_ctx *cx, const lt_tokenizer *t, const lt_source *text, lt_pieces *out)
{
    lt_piece p = {.text = text->text, .size = text->size, .id = -1};
    return lt_byte_level_words(cx, &p, out);
}

/* Bytes become tokens in the order of the code points that stand for them. */
static bool make_alphabet(lt_ctx *cx, lt_trainer *t, int32_t id[256])
{
    int32_t before = t->tokens.n;
    for (uint32_t c = 0; c < 0x200; c++) {
        char text[4];
        int byte = lt_byte_of(c);
        if (byte >= 0 && (id[byte] = lt_trainer_token(cx, t, text, (size_t)lt_utf8_put(c, text))) < 0) return false;
    }
    t->alphabet = t->tokens.n - before;
    return true;
}

static bool learn(lt_ctx *cx, lt_trainer *t)
{
    int32_t id[256];
    int64_t total = 0;
    const lt_vocab *w = &t->words.text;
    for (int32_t i = 0; i < w->n; i++) total += w->entry[i].size;
    if (!make_alphabet(cx, t, id)) return false;
    lt_symbols s = {.at = lt_alloc_array(cx, total, sizeof *s.at)};
    if (!s.at) return false;
    for (int32_t i = 0; i < w->n; i++) {
        const uint8_t *text = (const uint8_t *)w->text + w->entry[i].offset;
        for (uint32_t k = 0; k < w->entry[i].size; k++) lt_symbols_put(&s, id[text[k]]);
        lt_symbols_end_word(&s);
    }
    return lt_trainer_merge(cx, t, s.at, s.n, "");
}

static void put_parts(const lt_trainer *t, lt_str *s)
{
    lt_str_puts(s, "  \"normalizer\": null,\n"
                   "  \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true},\n"
                   "  \"post_processor\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, \"use_regex\": true},\n"
                   "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true},\n");
}

static void put_merge(lt_str *s, const lt_vocab *tokens, lt_merge m)
{
    lt_str pair = {0};
    const lt_vocab_entry *a = &tokens->entry[m.a], *b = &tokens->entry[m.b];
    lt_str_add(&pair, tokens->text + a->offset, a->size);
    lt_str_puts(&pair, " ");
    lt_str_add(&pair, tokens->text + b->offset, b->size);
    lt_json_put_text(s, pair.data ? pair.data : "", pair.size);
    s->failed |= pair.failed;
    lt_str_free(&pair);
}

/* Merges are texts with a blank between, which readers of all ages take: no token of bytes holds one. */
static void put_merges(const lt_trainer *t, lt_str *s)
{
    lt_str_puts(s, ",\n    \"merges\": [");
    for (int32_t i = 0; i < t->merges; i++) {
        lt_str_puts(s, i ? ",\n      " : "\n      ");
        put_merge(s, &t->tokens, t->merge[i]);
    }
    lt_str_puts(s, t->merges ? "\n    ]" : "]");
}

static void put_config(const lt_trainer *t, lt_str *s)
{
    lt_str_puts(s, "  \"tokenizer_class\": \"GPT2Tokenizer\",\n  \"add_prefix_space\": false,\n  \"clean_up_tokenization_spaces\": false,\n"
                   "  \"bos_token\": \"<|endoftext|>\",\n  \"eos_token\": \"<|endoftext|>\",\n  \"unk_token\": \"<|endoftext|>\"");
}

const lt_trainer_kind lt_trainer_bpe = {
    .is = {"trainer", "bpe", "GPT-2's tokenizer, learnt from texts: bytes, merged by frequency", "Sennrich et al. 2016, arXiv 1508.07909"},
    .special = special,
    .bytes = 256,
    .cut = cut,
    .learn = learn,
    .put_parts = put_parts,
    .model = "\"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n    \"continuing_subword_prefix\": null,\n    "
             "\"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": false",
    .put_merges = put_merges,
    .put_config = put_config,
};
