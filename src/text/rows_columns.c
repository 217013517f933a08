/* Columns of the row at hand: what --columns renames, and values as text, as JSON and as token ids, with complaints that name
 * file, line and the columns there are. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/rows.h"

/* ---- --columns ---- */

static int count_commas(const char *s)
{
    int n = 0;
    for (; *s; s++) n += *s == ',';
    return n;
}

/* Cuts one "ours=theirs" out of *rest. */
static bool parse_rename(lt_ctx *cx, lt_rows *r, char **rest)
{
    char *pair = strsep(rest, ","), *equals = strchr(pair, '=');
    bool good = equals && equals != pair && equals[1];
    if (!good)
        return lt_fail_if(cx, true, LT_ERR_USAGE, "--columns: expected OURS=THEIRS, as in text=sentence,label=class, found \"%s\"",
                          pair);
    *equals = 0;
    for (int i = 0; i < r->renames; i++)
        if (!strcmp(r->rename[i].ours, pair)) return lt_fail_if(cx, true, LT_ERR_USAGE, "--columns: \"%s\" is given twice", pair);
    r->rename[r->renames++] = (lt_rename){pair, equals + 1, false};
    return true;
}

bool lt_rows_parse_columns(lt_ctx *cx, lt_rows *r, const char *columns)
{
    if (!columns) return true;
    r->columns = lt_strdup(cx, columns);
    r->rename = lt_new(cx, count_commas(columns) + 1, sizeof *r->rename);
    bool good = r->columns && r->rename;
    for (char *rest = r->columns; good && rest;) good = parse_rename(cx, r, &rest);
    r->unseen = r->renames;
    return good;
}

void lt_rows_list_columns(const lt_rows *r, lt_str *out)
{
    enum { MOST = 30 };
    void *iter = NULL;
    const char *name;
    int i = 0;
    while (i < MOST && (name = r->reader->column(r, i, &iter))) lt_str_printf(out, "%s%.60s", i++ ? ", " : "", name);
    if (i == MOST) lt_str_puts(out, ", …");
}

static bool complain_of_unseen(lt_ctx *cx, const lt_rows *r, const lt_rename *rename)
{
    const lt_str *names = &r->first_columns;
    const char *where = r->stream ? r->stream->name : r->path[0];
    if (r->paths > 1) where = "all files";
    return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: no column \"%s\", as --columns %s=%s wants it; the columns there are: %s", where,
                      rename->theirs, rename->ours, rename->theirs, names->data && !names->failed ? names->data : "");
}

bool lt_rows_check_columns(lt_ctx *cx, lt_rows *r, bool end)
{
    lt_cell cell;
    if (!end && r->index == 0) lt_rows_list_columns(r, &r->first_columns);
    bool last = end ? r->index > 0 : r->reader->fixed && r->at == r->paths; /* nothing that comes can bring the name */
    for (int i = 0; i < r->renames; i++) {
        lt_rename *rename = &r->rename[i];
        if (rename->seen) continue;
        if (!end && r->reader->find(r, rename->theirs, &cell)) {
            rename->seen = true;
            r->unseen--;
        } else if (last) {
            return complain_of_unseen(cx, r, rename);
        }
    }
    return true;
}

const char *lt_rows_theirs(const lt_rows *r, const char *column)
{
    for (int i = 0; i < r->renames; i++)
        if (!strcmp(r->rename[i].ours, column)) return r->rename[i].theirs;
    return column;
}

bool lt_rows_find(const lt_rows *r, const char *column, lt_cell *cell)
{
    *cell = (lt_cell){0};
    const char *name = lt_rows_theirs(r, column);
    return r->reader->find(r, name, cell) || (name == column && !strcmp(column, "id") && r->reader->find(r, "_id", cell));
}

/* ---- values ---- */

static lt_note *take_note(lt_rows *r)
{
    if (!*r->note && !(*r->note = calloc(1, sizeof **r->note))) return NULL;
    lt_note *note = *r->note;
    r->note = &note->next;
    return note;
}

/* Numbers and booleans as JSON writes them; NULL for all else, and when there is no memory. */
static const char *scalar_text(lt_rows *r, const lt_json *v)
{
    lt_json_type type = lt_json_is(v);
    if (type == LT_JSON_BOOL) return lt_json_bool(v, false) ? "true" : "false";
    lt_note *note = type == LT_JSON_INT || type == LT_JSON_REAL ? take_note(r) : NULL;
    if (!note) return NULL;
    if (type == LT_JSON_INT) {
        snprintf(note->text, sizeof note->text, "%" PRId64, lt_json_int(v, 0));
        return note->text;
    }
    lt_str s = {0};
    lt_json_put_double(&s, lt_json_num(v, 0));
    bool good = s.data && !s.failed;
    if (good) snprintf(note->text, sizeof note->text, "%s", s.data);
    lt_str_free(&s);
    return good ? note->text : NULL;
}

static const char *cell_text(lt_rows *r, const lt_cell *cell, size_t *size)
{
    size_t n = cell->size;
    const char *text = cell->text;
    if (cell->json) {
        text = lt_json_text(cell->json, &n);
        if (!text && (text = scalar_text(r, cell->json))) n = strlen(text);
    }
    if (size) *size = text ? n : 0;
    return text;
}

const char *lt_row_text(const lt_row *row, const char *column, size_t *size)
{
    lt_rows *r = row->impl;
    lt_cell cell;
    lt_rows_find(r, column, &cell);
    return cell_text(r, &cell, size);
}

static const char *complain_of_column(lt_ctx *cx, const lt_row *row, const char *column)
{
    const char *name = lt_rows_theirs(row->impl, column);
    lt_str names = {0};
    lt_rows_list_columns(row->impl, &names);
    lt_fail(cx, LT_ERR_INPUT, "%s:%" PRId64 ": no column \"%s\"%s%s%s; the columns there are: %s", row->file, row->line, name,
            name == column ? "" : " (wanted as \"", name == column ? "" : column, name == column ? "" : "\")",
            names.data && !names.failed ? names.data : "none");
    lt_str_free(&names);
    return NULL;
}

const char *lt_row_want_text(lt_ctx *cx, const lt_row *row, const char *column, size_t *size)
{
    static const char *const found[] = {[LT_JSON_NULL] = "null", [LT_JSON_ARRAY] = "an array", [LT_JSON_OBJECT] = "an object"};
    lt_cell cell;
    bool there = lt_rows_find(row->impl, column, &cell);
    const char *text = cell_text(row->impl, &cell, size);
    if (text) return text;
    lt_json_type type = lt_json_is(cell.json);
    if (!there) return complain_of_column(cx, row, column);
    if (!found[type]) return lt_fail(cx, LT_ERR_MEMORY, "%s:%" PRId64 ": no memory for a number", row->file, row->line);
    return lt_fail(cx, LT_ERR_INPUT, "%s:%" PRId64 ": column \"%s\": expected a string, found %s", row->file, row->line, column,
                   found[type]);
}

const lt_json *lt_row_json(const lt_row *row, const char *column)
{
    lt_cell cell;
    lt_rows_find(row->impl, column, &cell);
    return cell.json;
}

/* ---- token ids ---- */

static const int32_t *ids_of(lt_ctx *cx, const lt_row *row, const char *column, const lt_json *list, int32_t *n)
{
    int64_t count = lt_json_size(list);
    if (lt_json_is(list) != LT_JSON_ARRAY || count > INT32_MAX)
        return lt_fail(cx, LT_ERR_INPUT, "%s:%" PRId64 ": %s: expected an array of integers", row->file, row->line, column);
    int32_t *ids = lt_alloc_array(cx, count, sizeof *ids);
    for (int64_t i = 0; ids && i < count; i++) {
        const lt_json *v = lt_json_at(list, i);
        int64_t id = lt_json_int(v, INT64_MAX);
        if (id < INT32_MIN || id > INT32_MAX)
            return lt_fail(cx, LT_ERR_INPUT,
                           "%s:%" PRId64 ": %s: expected an integer of 32 bits in place %" PRId64 ", counted from 0", row->file,
                           row->line, column, i);
        ids[i] = (int32_t)id;
    }
    *n = ids ? (int32_t)count : 0;
    return ids;
}

const int32_t *lt_row_ids(lt_ctx *cx, const lt_row *row, const char *column, int32_t *n)
{
    lt_cell cell;
    *n = 0;
    if (!lt_rows_find(row->impl, column, &cell) || (!cell.text && lt_json_is(cell.json) == LT_JSON_NULL)) return NULL;
    if (cell.json) return ids_of(cx, row, column, cell.json, n);
    lt_json *list = lt_json_parse_at(cx, cell.text, cell.size, row->file, (size_t)row->line, 1);
    const int32_t *ids = list ? ids_of(cx, row, column, list, n) : NULL;
    lt_json_free(list);
    return ids;
}
