/* Documents from whatever holds them: rows of a file (lines, JSONL, CSV, TSV), TREC SGML, BEIR folders, folders of files.
 * Sources are read one after another, each in bounded memory. */
#include "retrieve/documents.h"

#include "base/ctx.h"
#include "text/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct lt_documents {
    char **path;         /* [n], owned; a BEIR folder's is its corpus file */
    lt_folder **folders; /* [n], for other folders; taken over when it is their turn */
    int n, next;
    lt_rows_options options;
    char *columns;
    int64_t total, before; /* bytes of all sources, and of those that are done */
    /* the source that is open: one of these */
    lt_rows *rows;
    lt_folder *folder;
    bool lines, first, is_sgml,
        repeat; /* rows are plain lines; no row was read yet; rows are lines of SGML; the line just read may hold more documents */
    lt_sgml sgml;
    int64_t count; /* documents that could have had a number as id: rows, or <DOC>s */
    char number[24];
};

/* ---- sources ----------------------------------------------------------------------------------------------------- */

/* The corpus file of a BEIR folder; owned. NULL without error: it is none. */
static char *beir_corpus(lt_ctx *cx, const char *path)
{
    static const char *const names[] = {"corpus.jsonl", "corpus.jsonl.gz", "corpus.jsonl.zst"};
    char *found = NULL;
    lt_scope scope = lt_open(cx, NULL);
    for (int i = 0; i < 3 && !found && lt_is_dir(path); i++) {
        const char *file = lt_path_join(cx, path, names[i]);
        if (file && lt_is_file(file)) found = lt_strdup(cx, file);
    }
    lt_end(cx, scope);
    return found;
}

static bool add_path(lt_ctx *cx, lt_documents *d, const char *path)
{
    struct stat st;
    char *corpus = beir_corpus(cx, path);
    d->path[d->n] = corpus ? corpus : lt_strdup(cx, path);
    if (!d->path[d->n]) return false;
    const char *p = d->path[d->n++];
    if (!strcmp(p, "-")) return true;
    if (stat(p, &st) != 0) return lt_io_error(cx, p);
    if (S_ISREG(st.st_mode)) d->total += st.st_size;
    if (!S_ISDIR(st.st_mode)) return true;
    lt_folder *f = d->folders[d->n - 1] = lt_folder_open(cx, p);
    if (f) d->total += lt_folder_bytes(f);
    return f;
}

lt_documents *lt_documents_open(lt_ctx *cx, const char *const *paths, int n, const lt_rows_options *options)
{
    static const char *const standard_input[] = {"-"};
    if (!lt_ok(cx)) return NULL;
    if (n == 0) {
        paths = standard_input;
        n = 1;
    }
    lt_documents *d = lt_new(cx, 1, sizeof *d);
    if (!d) return NULL;
    if (options) d->options = *options;
    d->path = lt_new(cx, n, sizeof *d->path);
    d->folders = lt_new(cx, n, sizeof *d->folders);
    bool good = d->path && d->folders;
    if (good && d->options.columns) good = (d->columns = lt_strdup(cx, d->options.columns)) != NULL;
    d->options.columns = d->columns;
    for (int i = 0; i < n && good; i++) good = add_path(cx, d, paths[i]);
    if (good) return d;
    lt_documents_close(d);
    return NULL;
}

static int64_t done_in_source(const lt_documents *d)
{
    return d->rows ? lt_rows_bytes_done(d->rows) : d->folder ? lt_folder_done(d->folder) : 0;
}

static void close_source(lt_documents *d)
{
    d->before += done_in_source(d);
    if (d->rows) lt_rows_close(d->rows);
    lt_folder_close(d->folder);
    lt_sgml_free(&d->sgml);
    d->sgml = (lt_sgml){0};
    d->rows = NULL;
    d->folder = NULL;
    d->is_sgml = d->repeat = false;
}

void lt_documents_close(lt_documents *d)
{
    if (!d) return;
    close_source(d);
    for (int i = 0; i < d->n; i++) {
        lt_free(d->path[i]);
        lt_folder_close(d->folders[i]);
    }
    lt_free(d->path);
    lt_free(d->folders);
    lt_free(d->columns);
    lt_free(d);
}

int64_t lt_documents_bytes_total(const lt_documents *d) { return d->total; }
int64_t lt_documents_bytes_done(const lt_documents *d) { return d->before + done_in_source(d); }

static bool open_source(lt_ctx *cx, lt_documents *d)
{
    const char *path = d->path[d->next++];
    d->first = true;
    d->lines = d->options.format == LT_ROWS_AUTO && lt_rows_are_lines(path);
    d->folder = d->folders[d->next - 1];
    d->folders[d->next - 1] = NULL;
    if (d->folder) return true;
    d->rows = lt_rows_open(cx, &path, 1, &d->options);
    return d->rows;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static const char *first_of(const lt_row *row, const char *const *columns, size_t *size)
{
    const char *text = NULL;
    for (; *columns && !text; columns++) text = lt_row_text(row, *columns, size);
    return text;
}

static const char *number(lt_documents *d)
{
    snprintf(d->number, sizeof d->number, "%lld", (long long)d->count);
    return d->number;
}

/* A row as a document; *blank: an empty line, which is none (but has a number). */
static bool from_row(lt_ctx *cx, lt_documents *d, const lt_row *row, lt_document *doc, bool *blank)
{
    static const char *const ids[] = {"id", "_id", "docid", NULL}, *const titles[] = {"title", NULL},
                             *const texts[] = {"text", "contents", NULL};
    size_t id_size;
    *doc = (lt_document){0};
    *blank = false;
    d->count++;
    doc->id = first_of(row, ids, &id_size);
    doc->title = first_of(row, titles, &doc->title_size);
    doc->text = first_of(row, texts, &doc->text_size);
    if (!doc->text && !doc->title && !(doc->text = lt_row_want_text(cx, row, "text", &doc->text_size))) return false;
    *blank = !doc->id && !doc->title && lt_is_blank(doc->text, doc->text_size);
    if (!doc->id || !*doc->id) doc->id = number(d); /* also where a NUL byte comes first */
    if (!doc->title) doc->title = "";
    if (!doc->text) doc->text = "";
    return true;
}

/* The next document of SGML rows; false at the end or on error. */
static bool from_sgml(lt_ctx *cx, lt_documents *d, lt_row *row, bool have_row, lt_document *doc)
{
    lt_sgml_state state = LT_SGML_MORE;
    size_t size = 0;
    while (state == LT_SGML_MORE) {
        if (d->repeat) {
            state = lt_sgml_line(cx, &d->sgml, NULL, 0, d->path[d->next - 1], 0);
        } else {
            if (!have_row && !lt_rows_next(cx, d->rows, row)) break;
            have_row = false;
            const char *line = lt_row_text(row, "text", &size);
            state = lt_sgml_line(cx, &d->sgml, line ? line : "", size, row->file, row->line);
        }
        d->repeat = state == LT_SGML_DOCUMENT;
    }
    if (state == LT_SGML_MORE && d->sgml.inside)
        lt_fail(cx, LT_ERR_INPUT, "%s line %lld: <DOC> without </DOC>", d->path[d->next - 1], (long long)d->sgml.line);
    if (state != LT_SGML_DOCUMENT) return false;
    d->count++;
    const lt_sgml *s = &d->sgml;
    *doc = (lt_document){.id = s->id.size && *s->id.data ? s->id.data : number(d),
                         .title = s->title.data ? s->title.data : "",
                         .text = s->text.data ? s->text.data : "",
                         .title_size = s->title.size,
                         .text_size = s->text.size};
    return true;
}

/* The next document of the open source. */
static bool next_of_source(lt_ctx *cx, lt_documents *d, lt_document *doc)
{
    lt_row row;
    size_t size = 0;
    bool blank = true;
    if (d->folder) return lt_folder_next(cx, d->folder, doc);
    if (d->is_sgml) return from_sgml(cx, d, &row, false, doc);
    while (blank) {
        if (!lt_rows_next(cx, d->rows, &row)) return false;
        const char *line = d->first && d->lines ? lt_row_text(&row, "text", &size) : NULL;
        d->is_sgml = line && lt_sgml_begins(line, size);
        d->first = d->first && line && lt_is_blank(line, size);
        if (d->is_sgml) return from_sgml(cx, d, &row, true, doc);
        if (!from_row(cx, d, &row, doc, &blank)) return false;
    }
    return true;
}

bool lt_documents_next(lt_ctx *cx, lt_documents *d, lt_document *doc)
{
    while (d && lt_ok(cx)) {
        if (!d->rows && !d->folder && (d->next == d->n || !open_source(cx, d))) return false;
        if (next_of_source(cx, d, doc)) return true;
        close_source(d);
    }
    return false;
}
