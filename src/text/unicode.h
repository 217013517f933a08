/* What the tokenizers need to know of a code point, as the reference's Unicode tables say it (see unicode.c). */
#ifndef LT_TEXT_UNICODE_H
#define LT_TEXT_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    LT_CHAR_REMOVED = 1, /* BertNormalizer's clean_text drops it: controls, format characters, U+FFFD, … */
    LT_CHAR_SPACE = 2,
    LT_CHAR_PUNCT = 4,
    LT_CHAR_NUMERIC = 8, /* Nd, Nl, No */
    LT_CHAR_WORD = 16,   /* \w */
    LT_CHAR_MN = 32,     /* non-spacing marks, and what decomposes into nothing else */
    LT_CHAR_MARK = 64,   /* all combining marks */
    LT_CHAR_LETTER = 128
};
enum { LT_DECOMPOSED = 18 }; /* the longest decomposition, U+FDFA's */

uint8_t lt_char_class(uint32_t c);
bool lt_char_is_chinese(uint32_t c);                                             /* as BERT means it: CJK ideographs */
int lt_char_lower(uint32_t c, uint32_t out[2]);                                  /* how many */
int lt_char_decompose(uint32_t c, bool compatible, uint32_t out[LT_DECOMPOSED]); /* in full; how many, at least 1 */
int lt_char_combining_class(uint32_t c);
uint32_t lt_char_compose(uint32_t a, uint32_t b); /* 0: they do not compose */

#endif
