/* Fuzzes the readers of rows: the first byte chooses format, compression and renames. Whatever the bytes, rows come in order, each
 * with texts that end in NUL, in bounded memory; reading goes on after rows that were refused. For clang's -fsanitize=fuzzer. */
#include <stdlib.h>
#include <string.h>

#include "text/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void visit(lt_ctx *cx, const lt_row *row)
{
    static const char *const columns[] = {"text", "id", "a", "ids", "words"};
    for (int i = 0; i < 5; i++) {
        size_t n = 0;
        int32_t count;
        const char *text = lt_row_text(row, columns[i], &n);
        if (text && text[n]) abort();
        if (!lt_row_want_text(cx, row, columns[i], &n) != !text) abort();
        lt_ctx_clear(cx);
        lt_scope scope = lt_open(cx, NULL);
        lt_row_ids(cx, row, columns[i], &count);
        lt_ctx_clear(cx);
        lt_end(cx, scope);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"f.txt", "f.jsonl",  "f.json",   "f.csv",     "f.tsv",
                                        "f.ids", "f.txt.gz", "f.csv.gz", "f.txt.zst", "f.jsonl.zst",
                                        "f.conll", "f.conllu"};
    enum { NAMES = sizeof names / sizeof *names };
    if (!size) return 0;
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = 1, .memory_limit = (size_t)64 << 20});
    if (!cx) return 0;
    lt_rows_options options = {.max_line = 1 << 16, .ids = data[0] % NAMES == 5, .columns = data[0] & 128 ? "text=2,id=1" : data[0] & 64 ? "text=a,id=text" : NULL};
    lt_rows *rows = lt_rows_open_memory(cx, data + 1, size - 1, names[data[0] % NAMES], &options);
    lt_row row;
    int64_t index = 0, line = 0;
    for (int refused = 0; refused < 100;) {
        if (lt_rows_next(cx, rows, &row)) {
            if (row.index != index++ || row.line <= line) abort();
            if (names[data[0] % NAMES][2] != 'j') line = row.line; /* an array may have several objects in a line */
            visit(cx, &row);
        } else if (lt_ok(cx)) {
            break;
        } else {
            refused++;
            lt_ctx_clear(cx);
        }
    }
    if (rows && rows->capacity > (size_t)1 << 20) abort();
    lt_rows_close(rows);
    lt_ctx_free(cx);
    return 0;
}
