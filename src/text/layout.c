#include "text/kinds.h"
bool lt_tokenizer_from_vocab_txt(lt_ctx *cx, const char *dir, const char *file, lt_str *json){return false;}
bool lt_tokenizer_from_merges(lt_ctx *cx, const char *dir, const char *vocab, const char *merges, lt_str *json){return false;}
