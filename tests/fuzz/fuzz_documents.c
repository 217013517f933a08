/* Fuzzes the readers of documents: the first byte chooses the kind of file, or a folder with the file in it. Whatever the
 * bytes, documents have an id and texts of the sizes they say, and reading ends. For clang's -fsanitize=fuzzer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lathe/retrieve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[100]; /* of this process, removed at its end */

static void remove_folder(void)
{
    char command[200];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) perror(folder);
}

static void visit(const lt_document *d)
{
    volatile unsigned sum = 0; /* every byte can be read */
    if (!d->id || !*d->id || !d->title || !d->text) abort();
    for (size_t i = 0; i < d->title_size; i++) sum += (unsigned char)d->title[i];
    for (size_t i = 0; i < d->text_size; i++) sum += (unsigned char)d->text[i];
    (void)sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"f", "f.jsonl", "f.csv", "f.tsv", "f.gz", "corpus.jsonl", "in/f"};
    enum { NAMES = sizeof names / sizeof *names };
    char path[200], inner[120];
    if (!size) return 0;
    if (!folder[0]) {
        const char *tmp = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%.60s/fuzz-documents-XXXXXX", tmp ? tmp : "/tmp");
        if (!mkdtemp(folder)) abort();
        atexit(remove_folder);
        snprintf(inner, sizeof inner, "%s/in", folder);
        mkdir(inner, 0777);
    }
    const char *name = names[data[0] % NAMES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data + 1, 1, size - 1, f) != size - 1 || fclose(f) != 0) abort();
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .memory_limit = (size_t)64 << 20});
    if (!cx) return 0;
    const char *source = path;
    if (name[0] == 'c') source = folder;
    if (name[0] == 'i') path[strlen(path) - 2] = 0;
    lt_documents *d = lt_documents_open(cx, &source, 1, &(lt_rows_options){.max_line = 1 << 16});
    lt_document doc;
    while (d && lt_documents_next(cx, d, &doc)) visit(&doc);
    lt_documents_close(d);
    lt_ctx_free(cx);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
    return 0;
}
