/* Fuzzes the readers of runs and judgements: the first byte says where the input is cut in two. Whatever the bytes, either an
 * error or all measures, each a number; shares lie between 0 and 1. For clang's -fsanitize=fuzzer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lathe/retrieve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(const char *path, const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *tmp = getenv("TMPDIR");
    char run[200], qrels[200];
    if (!size) return 0;
    snprintf(run, sizeof run, "%.100s/fuzz-eval-%ld.run", tmp ? tmp : "/tmp", (long)getpid());
    snprintf(qrels, sizeof qrels, "%.100s/fuzz-eval-%ld.qrels", tmp ? tmp : "/tmp", (long)getpid());
    size_t cut = (size - 1) * data[0] / 255;
    put(run, data + 1, cut);
    put(qrels, data + 1 + cut, size - 1 - cut);
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .memory_limit = (size_t)64 << 20});
    for (int complete = 0; cx && complete < 2; complete++) {
        int n;
        const lt_metric *m = lt_eval_run(cx, run, qrels, complete, &n);
        if (!m == lt_ok(cx)) abort();
        for (int i = 0; m && i < n; i++)
            if (!isfinite(m[i].value) || m[i].value < 0 || (m[i].value > 1 + 1e-9 && strncmp(m[i].name, "num_", 4) != 0)) abort();
        lt_ctx_clear(cx);
    }
    lt_ctx_free(cx);
    unlink(run);
    unlink(qrels);
    return 0;
}
