/* What all models share: reading the vocabulary. */
#include <inttypes.h>

#include "text/kinds.h"

/* Ids index tables: one far beyond the number of tokens would make them large. */
enum { ID_FACTOR = 8, ID_SLACK = 1024 };

bool lt_model_vocab(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    const lt_json *vocab = lt_json_get(o, "vocab"), *v;
    if (lt_json_is(vocab) != LT_JSON_OBJECT)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %s.vocab: expected an object of tokens and ids", t->file, where);
    int64_t most = lt_json_size(vocab) * ID_FACTOR + ID_SLACK;
    if (most > INT32_MAX) most = INT32_MAX;
    void *iter = NULL;
    for (const char *key; lt_json_each(vocab, &iter, &key, &v);) {
        int64_t id = lt_json_int(v, -1);
        if (lt_json_is(v) != LT_JSON_INT || id < 0 || id >= most)
            return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: %s.vocab: \"%s\": expected an id from 0 to %" PRId64, t->file, where,
                              key, most - 1);
        if (!lt_vocab_add(cx, &t->vocab, key, strlen(key), (int32_t)id)) return false;
    }
    lt_scope scope = lt_open(cx, t->file);
    bool ok = lt_vocab_close(cx, &t->vocab);
    lt_end(cx, scope);
    return ok;
}
