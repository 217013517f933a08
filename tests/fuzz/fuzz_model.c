/* Fuzzes the small files of a model directory: the input is cut at NUL bytes into config.json, modules.json, 1_Pooling/config.json,
 * sentence_bert_config.json and config_sentence_transformers.json. Whatever the bytes, inspecting gives a report and opening an
 * error, since there are no weights. For clang's -fsanitize=fuzzer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lathe/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const files[] = {"config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json",
                                    "config_sentence_transformers.json"};
enum { FILES = sizeof files / sizeof *files };
static char folder[200];

static void path_of(const char *name, char path[300]) { snprintf(path, 300, "%s/%s", folder, name); }

static void remove_folder(void)
{
    char path[300];
    for (int i = 0; i < FILES; i++) {
        path_of(files[i], path);
        unlink(path);
    }
    path_of("1_Pooling", path);
    rmdir(path);
    rmdir(folder);
}

static void make_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    char path[300];
    snprintf(folder, sizeof folder, "%.100s/fuzz-model-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder)) abort();
    path_of("1_Pooling", path);
    if (mkdir(path, 0777) != 0) abort();
    atexit(remove_folder);
}

/* A part that is not there is a file that is not there. */
static void write_parts(const uint8_t *data, size_t size)
{
    const uint8_t *end = data + size;
    for (int i = 0; i < FILES; i++) {
        char path[300];
        path_of(files[i], path);
        unlink(path);
        if (data >= end) continue;
        const uint8_t *stop = memchr(data, 0, (size_t)(end - data));
        size_t n = (size_t)((stop && i + 1 < FILES ? stop : end) - data);
        FILE *f = n ? fopen(path, "wb") : NULL;
        if (n && (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0)) abort();
        data += n + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!folder[0]) make_folder();
    write_parts(data, size);
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .memory_limit = (size_t)64 << 20});
    if (!cx) return 0;
    const lt_model_info *about = lt_model_inspect(cx, folder);
    for (int i = 0; about && i < about->n_unsupported; i++)
        if (!about->unsupported[i][0]) abort();
    if (!about == lt_ok(cx)) abort();
    lt_ctx_clear(cx);
    if (lt_model_open(cx, folder, NULL) || lt_ok(cx)) abort();
    lt_ctx_free(cx);
    return 0;
}
