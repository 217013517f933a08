/* Fuzzes checkpoints with weights in them, quantised ones above all: the input is config.json, a NUL and model.safetensors. Whatever the
 * bytes, the model is refused with a message, or opens, and runs or is refused then. For clang's -fsanitize=fuzzer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lathe/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[200];

static const char *path_of(const char *name)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void remove_folder(void)
{
    unlink(path_of("config.json"));
    unlink(path_of("model.safetensors"));
    rmdir(folder);
}

static void make_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.100s/fuzz-quantized-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder)) abort();
    atexit(remove_folder);
}

static void write_file(const char *name, const uint8_t *data, size_t n)
{
    FILE *f = fopen(path_of(name), "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0) abort();
}

static void run(lt_ctx *cx, const lt_model *m)
{
    const int32_t ids[] = {2, 5, 199, 3}, lengths[] = {1, 3};
    const lt_batch b = {.seqs = lt_seqs_new(cx, 2, lengths), .ids = ids};
    if (!b.seqs || !lt_forward(cx, m, &b, LT_OUT_HIDDEN, NULL) == lt_ok(cx)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *stop = size ? memchr(data, 0, size) : NULL;
    if (!stop) return 0;
    if (!folder[0]) make_folder();
    write_file("config.json", data, (size_t)(stop - data));
    write_file("model.safetensors", stop + 1, size - (size_t)(stop - data) - 1);
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .memory_limit = (size_t)64 << 20});
    if (!cx) return 0;
    lt_model *m = lt_model_open(cx, folder, NULL);
    if (!m == lt_ok(cx)) abort();
    if (m) run(cx, m);
    lt_model_close(m);
    lt_ctx_free(cx);
    return 0;
}
