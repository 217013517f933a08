/* The kinds of parts, for the table in kinds.c, and what several of them share. A new kind is one file with one lt_part_kind,
 * declared here and listed there. */
#ifndef LT_TEXT_KINDS_H
#define LT_TEXT_KINDS_H

#include "text/tokenizer.h"

extern const lt_part_kind lt_normalizer_bert, lt_normalizer_sequence, lt_normalizer_lowercase, lt_normalizer_nfc, lt_normalizer_nfd,
    lt_normalizer_nfkc, lt_normalizer_nfkd, lt_normalizer_strip, lt_normalizer_strip_accents, lt_normalizer_nmt,
    lt_normalizer_replace, lt_normalizer_prepend, lt_normalizer_byte_level;
extern const lt_part_kind lt_pre_bert, lt_pre_byte_level, lt_pre_sequence, lt_pre_whitespace, lt_pre_whitespace_split,
    lt_pre_punctuation, lt_pre_digits, lt_pre_split;
extern const lt_part_kind lt_model_wordpiece, lt_model_bpe;
extern const lt_part_kind lt_post_bert, lt_post_roberta, lt_post_template, lt_post_byte_level, lt_post_sequence;
extern const lt_part_kind lt_decoder_wordpiece, lt_decoder_byte_level, lt_decoder_bpe, lt_decoder_sequence, lt_decoder_fuse,
    lt_decoder_replace, lt_decoder_strip, lt_decoder_byte_fallback;

/* normalize.c: parse of kinds that have no options. */
const void *lt_part_plain(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where);
bool lt_piece_prepend(lt_ctx *cx, lt_piece *p, const char *text, size_t size);
/* byte_level.c: each byte becomes the printable code point that stands for it. */
bool lt_piece_to_byte_level(lt_ctx *cx, lt_piece *p);
bool lt_byte_level_words(lt_ctx *cx, const lt_piece *p, lt_pieces *out); /* GPT-2's words, still as text */
/* model.c: reads model.vocab into t->vocab. */
bool lt_model_vocab(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where);

#endif
