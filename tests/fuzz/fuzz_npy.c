/* Fuzzes the reader of .npy: whatever the bytes, either an error or an array of as many elements as the file holds. For clang's
 * -fsanitize=fuzzer. */
#include <stdlib.h>

#include "format/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .memory_limit = (size_t)64 << 20});
    if (!cx) return 0;
    lt_tensor *t = lt_npy_parse(cx, data, size, "fuzz");
    if (!t == lt_ok(cx)) abort(); /* an error if and only if there is no tensor */
    if (t && (size_t)(t->shape[0] * t->shape[1] * t->shape[2] * t->shape[3]) * lt_dtype_size(t->dtype) > size) abort();
    lt_ctx_free(cx);
    return 0;
}
