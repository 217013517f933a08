/* Fuzzes tokenizer files together with the texts they are used on: the bytes before the first NUL are a tokenizer.json, those
 * before the next a text, the rest the second of a pair. Either an error about the input, or encodings whose ids have names,
 * whose offsets lie in order, whose sizes add up, and which decode. For clang's -fsanitize=fuzzer. */
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(lt_ctx *cx, const lt_tokenizer *t, const lt_encoding *e, const lt_encode_options *o)
{
    if (o->max_tokens && e->n > o->max_tokens) abort();
    int32_t special = 0;
    for (int32_t i = 0; i < e->n; i++) {
        special += e->special[i];
        if (!e->special[i] && !lt_token_text(t, e->ids[i])) abort();
        if (e->offsets[i][0] > e->offsets[i][1] || e->types[i] < 0) abort();
    }
    if (special != e->special_count || (o->no_special && special) || e->left_out < 0) abort();
}

static void use(lt_ctx *cx, const lt_tokenizer *t, const char *text, size_t size, const char *pair, size_t pair_size)
{
    static const lt_encode_options options[] = {
        {0}, {.byte_offsets = true}, {.no_special = true, .max_tokens = 3}, {.max_tokens = 40}};
    for (int i = 0; i < 4; i++) {
        lt_scope scope = lt_open(cx, "use");
        lt_encoding *e = lt_encode(cx, t, text, size, pair, pair_size, &options[i]);
        lt_str s = {0};
        if (e) {
            check(cx, t, e, &options[i]);
            lt_decode(cx, t, e->ids, e->n, i & 1, &s); /* special tokens of a layout may have ids that nothing names */
        }
        lt_str_free(&s);
        lt_status status = lt_ctx_status(cx);
        if (status != LT_OK && status != LT_ERR_INPUT && status != LT_ERR_USAGE) abort();
        lt_end(cx, scope);
        lt_ctx_clear(cx);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *json = (const char *)data, *end = json + size, *text = memchr(json, 0, size);
    if (!text) text = end;
    const char *begin = text < end ? text + 1 : end, *pair = begin < end ? memchr(begin, 0, (size_t)(end - begin)) : NULL;
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    if (!cx) return 0;
    lt_tokenizer *t = lt_tokenizer_parse(cx, json, (size_t)(text - json), "fuzz");
    lt_status status = lt_ctx_status(cx);
    if (t ? status != LT_OK : status != LT_ERR_INPUT && status != LT_ERR_UNSUPPORTED) abort();
    lt_ctx_clear(cx);
    if (t) use(cx, t, begin, (size_t)((pair ? pair : end) - begin), pair ? pair + 1 : NULL, pair ? (size_t)(end - pair - 1) : 0);
    lt_tokenizer_free(t);
    lt_ctx_free(cx);
    return 0;
}
