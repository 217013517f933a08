/* Fuzzes the reader of stored examples: bytes as a file whose checksums are made right, so that what they say is what gets looked at. Whatever it is, it is
 * refused or its examples are within bounds. For clang's -fsanitize=fuzzer. */
#include "../../src/train/data/store.c"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Header, table and names as the input has them, but for what would refuse it at once. */
static void seal(uint8_t *bytes, size_t size, lt_store_key key)
{
    header h;
    memcpy(&h, bytes, sizeof h);
    memcpy(h.magic, magic, sizeof magic);
    h.key[0] = key.a, h.key[1] = key.b;
    h.version = VERSION;
    h.size = size;
    h.table = PAGE;
    h.n = (int64_t)((uint64_t)h.n % ((size - PAGE) / sizeof(lt_example) + 1));
    h.name_bytes = size - PAGE - (size_t)h.n * sizeof(lt_example);
    h.table_sum = sum_of(2, bytes + PAGE, size - PAGE);
    h.tokens = 0;
    for (int64_t i = 0; i < h.n; i++) {
        lt_example x;
        memcpy(&x, bytes + PAGE + (size_t)i * sizeof x, sizeof x);
        h.tokens += x.n;
    }
    h.sum = sum_of_header(&h);
    memcpy(bytes, &h, sizeof h);
}

static void read_all(lt_ctx *cx, const lt_examples *e)
{
    for (int64_t i = 0; i < e->n && i < 100; i++) {
        lt_scope scope = lt_open(cx, NULL);
        const int32_t n = e->at[i].n;
        int32_t *ids = lt_alloc_array(cx, n, sizeof *ids), *types = lt_alloc_array(cx, n, sizeof *types), *labels = lt_alloc_array(cx, n, sizeof *labels);
        if (ids && types && labels && lt_example_read(cx, e, i, ids, types, labels))
            for (int32_t k = 0; k < n; k++)
                if (ids[k] < 0 || ids[k] >= 1000) abort();
        if (e->at[i].label >= 0 && e->at[i].label > 1 && e->at[i].label >= e->names) abort();
        lt_end(cx, scope);
        lt_ctx_clear(cx);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const lt_store_key key = {1, 2};
    const size_t head = sizeof(header) + 64; /* of the input: header and some tokens; the rest is table and names */
    if (size < head) return 0;
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .memory_limit = (size_t)64 << 20});
    char path[] = "/tmp/fuzz_store.XXXXXX";
    const int fd = mkstemp(path);
    uint8_t *bytes = calloc(1, PAGE + size);
    if (cx && fd >= 0 && bytes) {
        memcpy(bytes, data, head);
        memcpy(bytes + PAGE, data + head, size - head);
        seal(bytes, PAGE + size - head, key);
        if (write(fd, bytes, PAGE + size - head) == (ssize_t)(PAGE + size - head)) {
            lt_examples e = {0};
            bool found;
            if (lt_store_open(cx, &e, path, key, 1000, &found) && found) read_all(cx, &e);
            lt_examples_free(&e);
        }
    }
    if (fd >= 0) close(fd);
    unlink(path);
    free(bytes);
    lt_ctx_free(cx);
    return 0;
}
