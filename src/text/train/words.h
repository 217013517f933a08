/* How often each word occurs in rows of text. See words.c. */
#ifndef LT_TEXT_TRAIN_WORDS_H
#define LT_TEXT_TRAIN_WORDS_H

#include "text/tokenizer.h"

typedef struct lt_words {
    lt_vocab text;  /* an entry a word, in no order that means anything */
    int64_t *count; /* … and how often it occurs */
    int32_t capacity;
} lt_words;

/* Cuts a text into words, appended to `out`. */
typedef bool lt_word_cut(lt_ctx *cx, const lt_tokenizer *t, const lt_source *text, lt_pieces *out);

/* Counts the words of all rows' column "text", on all threads. *n_rows: how many rows there were. */
bool lt_words_count(lt_ctx *cx, lt_rows *rows, lt_word_cut *cut, const lt_tokenizer *t, lt_words *out, int64_t *n_rows);
void lt_words_free(lt_words *w);

#endif
