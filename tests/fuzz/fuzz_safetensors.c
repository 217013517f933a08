/* Fuzzes the reader of safetensors: whatever the bytes, either an error or tensors that lie inside them and can be read as far as
 * their type allows. For clang's -fsanitize=fuzzer. */
#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void visit(lt_ctx *cx, const lt_weights *w, const uint8_t *data, size_t size)
{
    size_t sum = 0;
    for (int i = 0; i < lt_weights_count(w); i++) {
        const lt_stored *s = lt_weights_at(w, i);
        const uint8_t *begin = s->data;
        if (begin < data || begin + s->bytes > data + size || lt_weights_find(w, s->name) != s) abort();
        sum += s->bytes;
        double *room = malloc(8 * s->bytes + 1);
        if (room && lt_stored_read(cx, s, LT_F64, room)) lt_stored_read(cx, s, LT_F32, room);
        lt_ctx_clear(cx);
        lt_stored_release(s);
        free(room);
    }
    if (sum > size) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    if (!cx) return 0;
    lt_weights *w = lt_weights_parse(cx, data, size, "fuzz");
    if (!w == lt_ok(cx)) abort(); /* an error if and only if there are no weights */
    if (w) visit(cx, w, data, size);
    lt_weights_close(w);
    lt_ctx_free(cx);
    return 0;
}
