/* Fuzzes the opening of an index, its check and its searches: the input is the file, or, where it is short, changes to a good
 * one (six bytes each: place, value). Whatever the bytes, an error or an answer; what the check passes can be searched. For
 * clang's -fsanitize=fuzzer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "retrieve/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[200];
static uint8_t *good;
static size_t good_size;

static void make_good(void)
{
    static const char *const text[] = {"an apple a day", "keeps the doctor away", "the apple tree"};
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1});
    lt_index *x = lt_index_open(cx, path, LT_INDEX_CREATE, NULL);
    lt_pending p = {0};
    if (!x || !lt_index_set_dim(cx, x, 4, false)) abort();
    for (int i = 0; i < 3; i++) {
        lt_document d = {.id = text[i] + i, .title = "t", .text = text[i], .title_size = 1, .text_size = strlen(text[i])};
        float v[] = {(float)i, 1, 2, 3};
        if (!lt_pending_add(cx, &p, &d) || !lt_pending_vector(cx, &p, i, v, 4, true)) abort();
    }
    if (!lt_index_write(cx, x, &p, NULL, NULL) || !lt_index_close(cx, x)) abort();
    lt_pending_free(&p);
    lt_map map;
    if (!lt_map_open(cx, &map, path) || !(good = malloc(map.size))) abort();
    memcpy(good, map.data, good_size = map.size);
    lt_map_close(&map);
    lt_ctx_free(cx);
}

static void write_input(const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    if (!f) abort();
    bool whole = size >= 512;
    uint8_t *bytes = whole ? NULL : malloc(good_size);
    if (bytes) {
        memcpy(bytes, good, good_size);
        for (size_t i = 0; i + 6 <= size; i += 6) {
            uint32_t at;
            memcpy(&at, data + i, 4);
            bytes[at % good_size] = data[i + 4];
        }
    }
    if (fwrite(whole ? data : bytes, 1, whole ? size : good_size, f) != (whole ? size : good_size) || fclose(f) != 0) abort();
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *tmp = getenv("TMPDIR");
    if (!good) {
        snprintf(path, sizeof path, "%.100s/fuzz-index-%ld", tmp ? tmp : "/tmp", (long)getpid());
        make_good();
    }
    write_input(data, size);
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .memory_limit = (size_t)256 << 20});
    lt_index *x = cx ? lt_index_open(cx, path, LT_INDEX_READ, NULL) : NULL;
    if (x) {
        float q[] = {1, 0, 0, 0};
        int n;
        bool sound = lt_index_check(cx, x), four = x->info.dim == 4;
        lt_ctx_clear(cx);
        lt_index_about(x);
        for (int mode = LT_SEARCH_BM25; mode <= LT_SEARCH_HYBRID; mode++) {
            lt_hit *h = lt_search_with(cx, x, "apple the doctor", four ? q : NULL, &(lt_search_options){.mode = mode}, &n);
            if (!h && sound && (four || mode == LT_SEARCH_BM25)) abort();
            lt_ctx_clear(cx);
        }
        lt_index_close(cx, x);
    }
    lt_ctx_free(cx);
    unlink(path);
    return 0;
}
