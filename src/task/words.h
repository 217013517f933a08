/* Words that come one by one, as tokens: in training and when tagging alike. */
#ifndef LT_TASK_WORDS_H
#define LT_TASK_WORDS_H

#include "lathe/text.h"

/* Without special tokens; scoped. Byte-level tokenizers mark words by the blank before them, which the first of a text does not have. */
lt_encoding *lt_encode_word(lt_ctx *cx, const lt_tokenizer *t, const char *word, size_t size, bool first);

#endif
