/* Rows of files: opens one file after another, lets the reader that its name or the caller chose cut it into rows, and keeps
 * count of rows and bytes. */
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/ctx.h"
#include "text/rows.h"

static const size_t LONGEST_LINE = (size_t)64 << 20;

static bool is_stdin(const char *path) { return !strcmp(path, "-"); }
static const char *name_of(const char *path) { return is_stdin(path) ? "standard input" : path; }

/* ---- which reader ---- */

static const lt_rows_reader *by_ending(const char *path)
{
    static const struct {
        const char *ending;
        const lt_rows_reader *reader;
    } known[] = {{".jsonl", &lt_reader_jsonl},
                 {".ndjson", &lt_reader_jsonl},
                 {".json", &lt_reader_json},
                 {".csv", &lt_reader_csv},
                 {".conll", &lt_reader_conll},
                 {".conllu", &lt_reader_conll},
                 {".tsv", &lt_reader_tsv}};
    const lt_codec *codec = lt_codec_of(path);
    size_t n = strlen(path) - (codec ? strlen(codec->ending) : 0);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t m = strlen(known[i].ending);
        if (n >= m && !strncasecmp(path + n - m, known[i].ending, m)) return known[i].reader;
    }
    return &lt_reader_lines;
}

bool lt_rows_are_lines(const char *path) { return by_ending(path) == &lt_reader_lines; }

static const lt_rows_reader *choose_reader(const lt_rows *r, const char *path)
{
    if (r->options.ids) return &lt_reader_ids;
    switch (r->options.format) {
    case LT_ROWS_LINES:
        return &lt_reader_lines;
    case LT_ROWS_JSONL:
        return &lt_reader_jsonl;
    case LT_ROWS_CSV:
        return &lt_reader_csv;
    case LT_ROWS_TSV:
        return &lt_reader_tsv;
    case LT_ROWS_CONLL:
        return &lt_reader_conll;
    default:
        return by_ending(path);
    }
}

lt_rows_format lt_rows_format_named(const char *name)
{
    static const char *const names[LT_ROWS_FORMATS] = {"auto", "lines", "jsonl", "csv", "tsv", "conll"};
    int i = 0;
    while (i < LT_ROWS_FORMATS && (!name || strcmp(names[i], name) != 0)) i++;
    return (lt_rows_format)i;
}

/* ---- opening and closing ---- */

/* All files are looked at before the first is read: a wrong name is an error at once, not after hours. */
static bool look_at(lt_ctx *cx, lt_rows *r, const char *path, bool *known)
{
    struct stat st;
    if (is_stdin(path)) {
        *known = *known && fstat(0, &st) == 0 && S_ISREG(st.st_mode);
    } else {
        if (stat(path, &st) != 0) return lt_io_error(cx, path);
        if (S_ISDIR(st.st_mode)) return lt_fail_if(cx, true, LT_ERR_IO, "%s: expected a file of rows, found a directory", path);
        *known = *known && S_ISREG(st.st_mode);
    }
    if (*known) r->bytes_total += st.st_size;
    return true;
}

static bool take_paths(lt_ctx *cx, lt_rows *r, const char *const *files, int n)
{
    r->path = lt_new(cx, n, sizeof *r->path);
    for (int i = 0; r->path && i < n; i++) {
        r->path[i] = lt_strdup(cx, files[i]);
        if (!r->path[i]) return false;
        r->paths = i + 1;
    }
    return r->path != NULL;
}

static lt_rows *rows_new(lt_ctx *cx, const char *const *files, int n, const lt_rows_options *options)
{
    if (!lt_ok(cx)) return NULL;
    lt_rows *r = lt_new(cx, 1, sizeof *r);
    if (!r) return NULL;
    if (options) r->options = *options;
    if (!r->options.max_line) r->options.max_line = LONGEST_LINE;
    if (r->options.max_line > SIZE_MAX / 16) r->options.max_line = SIZE_MAX / 16;
    r->note = &r->notes;
    if (take_paths(cx, r, files, n) && lt_rows_parse_columns(cx, r, r->options.columns)) return r;
    lt_rows_close(r);
    return NULL;
}

lt_rows *lt_rows_open(lt_ctx *cx, const char *const *files, int n, const lt_rows_options *options)
{
    static const char *const standard_input[] = {"-"};
    if (n == 0) files = standard_input;
    lt_rows *r = rows_new(cx, files, n ? n : 1, options);
    bool good = r != NULL, known = true;
    for (int i = 0; good && i < r->paths; i++) good = look_at(cx, r, r->path[i], &known);
    if (r && !known) r->bytes_total = 0;
    if (good) return r;
    lt_rows_close(r);
    return NULL;
}

lt_rows *lt_rows_open_memory(lt_ctx *cx, const void *bytes, size_t size, const char *name, const lt_rows_options *options)
{
    lt_rows *r = rows_new(cx, &name, 1, options);
    if (!r) return NULL;
    r->memory = size ? bytes : "";
    r->memory_size = size;
    r->bytes_total = (int64_t)size;
    return r;
}

static void close_file(lt_rows *r)
{
    if (r->stream) r->bytes_before += lt_byte_stream_place(r->stream);
    lt_byte_stream_close(r->stream);
    r->stream = NULL;
    r->begin = r->end = 0;
}

void lt_notes_free(lt_note *notes)
{
    while (notes) {
        lt_note *next = notes->next;
        lt_free(notes);
        notes = next;
    }
}

void lt_rows_close(lt_rows *r)
{
    if (!r) return;
    close_file(r);
    for (int i = 0; i < r->paths; i++) lt_free(r->path[i]);
    lt_notes_free(r->notes);
    lt_json_free(r->json);
    lt_str_free(&r->first_columns);
    void *owned[] = {r->path, r->columns, r->rename, r->buf, r->names, r->name, r->field, r};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) lt_free(owned[i]);
}

/* ---- reading ---- */

/* A byte order mark at the start of a file is no part of its text. Waits for no byte that need not come. */
static bool skip_byte_order_mark(lt_ctx *cx, lt_rows *r)
{
    static const char mark[] = {(char)0xEF, (char)0xBB, (char)0xBF};
    for (size_t i = 0; i < sizeof mark; i++) {
        int got = r->end - r->begin > i ? 1 : lt_rows_fill(cx, r);
        if (got <= 0) return got == 0;
        if (r->buf[r->begin + i] != mark[i]) return true;
    }
    lt_rows_drop(r, sizeof mark);
    return true;
}

static bool open_file(lt_ctx *cx, lt_rows *r)
{
    const char *path = r->path[r->at++];
    r->reader = choose_reader(r, path);
    r->file = name_of(path);
    r->name_count = 0;
    r->stream =
        r->memory ? lt_byte_stream_memory(cx, r->memory, r->memory_size, path) : lt_byte_stream_open(cx, path, name_of(path));
    r->next_line = 1;
    r->taken = 0;
    return r->stream && skip_byte_order_mark(cx, r) && (!r->reader->begin || r->reader->begin(cx, r));
}

static void forget_row(lt_rows *r)
{
    lt_rows_drop(r, r->taken);
    r->taken = 0;
    lt_json_free(r->json);
    r->json = NULL;
    r->note = &r->notes;
}

static bool fill_in(lt_ctx *cx, lt_rows *r, lt_row *row)
{
    *row = (lt_row){.file = r->stream->name, .line = r->line, .index = r->index, .impl = r};
    if (r->unseen && !lt_rows_check_columns(cx, r, false)) return false;
    r->index++;
    return true;
}

bool lt_rows_next(lt_ctx *cx, lt_rows *r, lt_row *row)
{
    if (!r || !lt_ok(cx)) return false;
    forget_row(r);
    while (!r->over) {
        if (!r->stream) {
            r->over = r->at == r->paths || !open_file(cx, r);
            if (r->over && lt_ok(cx) && r->unseen) lt_rows_check_columns(cx, r, true);
            continue;
        }
        r->line = r->next_line;
        lt_rows_result result = r->reader->next(cx, r);
        if (result == LT_ROWS_GOT) return fill_in(cx, r, row);
        if (result == LT_ROWS_ERROR) return false;
        close_file(r);
    }
    return false;
}

int64_t lt_rows_bytes_total(const lt_rows *r) { return r ? r->bytes_total : 0; }
int64_t lt_rows_bytes_done(const lt_rows *r)
{
    if (!r) return 0;
    /* What waits in the window is read but not handed out; of a compressed file its share of the stored bytes is not known. */
    int64_t waiting = r->stream && !r->stream->codec ? (int64_t)(r->end - r->begin - r->taken) : 0;
    return r->bytes_before + (r->stream ? lt_byte_stream_place(r->stream) : 0) - waiting;
}

/* ---- plain lines ---- */

static lt_rows_result next_line(lt_ctx *cx, lt_rows *r)
{
    int got = lt_rows_line(cx, r, 0, &r->size, &r->taken);
    if (got <= 0) return got < 0 ? LT_ROWS_ERROR : LT_ROWS_END;
    r->buf[r->begin + r->size] = 0;
    r->next_line++;
    return LT_ROWS_GOT;
}

static bool find_text(const lt_rows *r, const char *column, lt_cell *cell)
{
    if (strcmp(column, "text")) return false;
    *cell = (lt_cell){.text = r->buf + r->begin, .size = r->size};
    return true;
}

static const char *text_column(const lt_rows *r, int i, void **iter) { return i == 0 ? "text" : NULL; }

const lt_rows_reader lt_reader_lines = {NULL, next_line, find_text, text_column, true};
