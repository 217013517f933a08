/* Fuzzes the training of tokenizers: two bytes say kind, options and size, the rest is the text, line by line. Either an error about
 * the size, or a tokenizer that opens, has as many entries as were asked for, and tokenizes the text; a byte-level one gives it back.
 * For clang's -fsanitize=fuzzer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[200], texts[220];

static void check(lt_ctx *cx, const lt_tokenizer_train_options *o, const char *text, size_t size)
{
    lt_tokenizer *t = lt_tokenizer_open(cx, o->out);
    if (!t || lt_tokenizer_about(t)->vocab != o->vocab_size) abort();
    for (int32_t i = 0; i < o->vocab_size; i++)
        if (!lt_token_text(t, i) || lt_token_id(t, lt_token_text(t, i)) != i) abort();
    lt_source s;
    lt_str again = {0};
    lt_scope scope = lt_open(cx, NULL);
    lt_encoding *e = lt_encode(cx, t, text, size, NULL, 0, NULL);
    if (!e || !lt_source_read(cx, text, size, &s) || !lt_decode(cx, t, e->ids, e->n, false, &again)) abort();
    if (!strcmp(o->kind, "bpe") && (again.size != s.size || (s.size && memcmp(again.data, s.text, s.size)))) abort();
    lt_end(cx, scope);
    lt_str_free(&again);
    lt_tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *tmp = getenv("TMPDIR"), *file = texts;
    if (size < 2) return 0;
    if (!*folder) {
        snprintf(folder, sizeof folder, "%.100s/fuzz-tokenizer-train-%ld", tmp ? tmp : "/tmp", (long)getpid());
        snprintf(texts, sizeof texts, "%s.txt", folder);
    }
    FILE *f = fopen(texts, "wb");
    if (!f || fwrite(data + 2, 1, size - 2, f) != size - 2 || fclose(f) != 0) abort();
    bool bpe = data[0] & 1;
    lt_tokenizer_train_options o = {
        .kind = bpe ? "bpe" : "wordpiece",
        .files = &file,
        .n_files = 1,
        .out = folder,
        .vocab_size = (bpe ? 250 : 1) + data[1],
        .min_frequency = data[0] >> 6,
        .cased = !bpe && (data[0] & 2),
        .limit_alphabet = bpe ? 0 : data[0] >> 2 & 15,
    };
    lt_tokenizer_train_result r;
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    if (!cx) return 0;
    if (lt_tokenizer_train(cx, &o, &r)) {
        check(cx, &o, (const char *)data + 2, size - 2);
    } else {
        lt_status status = lt_ctx_status(cx);
        if (status != LT_ERR_INPUT && status != LT_ERR_USAGE) abort();
    }
    lt_ctx_free(cx);
    unlink(texts);
    return 0;
}
