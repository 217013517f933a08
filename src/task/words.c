/* A word as tokens: words are tokenised one by one, so that it is known which tokens are whose. */
#include "task/words.h"

#include <string.h>

lt_encoding *lt_encode_word(lt_ctx *cx, const lt_tokenizer *t, const char *word, size_t size, bool first)
{
    const bool blank = !first && strcmp(lt_tokenizer_about(t)->kind, "bpe") == 0;
    char *text = lt_alloc_array(cx, (int64_t)size + 1, 1);
    if (!text) return NULL;
    text[0] = ' ';
    memcpy(text + 1, word, size);
    return lt_encode(cx, t, blank ? text : word, size + blank, NULL, 0, &(lt_encode_options){.no_special = true});
}
