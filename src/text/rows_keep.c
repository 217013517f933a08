/* Rows that outlive the next one: a copy of the bytes that its columns lie in, behind the reader that knows how to find them. So rows are cut in order
 * by one thread, and what costs is done with many of them at once by others. */
#include <stdlib.h>
#include <string.h>

#include "text/rows.h"

/* Where the last of the header's names ends, with its NUL. */
static size_t bytes_of_names(const lt_rows *r)
{
    size_t end = 0;
    for (size_t i = 0; i < r->name_count; i++)
        if (r->name[i].begin + r->name[i].size + 1 > end) end = r->name[i].begin + r->name[i].size + 1;
    return end;
}

bool lt_row_keep(lt_ctx *cx, lt_row *row)
{
    lt_rows *r = row->impl;
    const bool table = r->name_count && r->reader->fixed && !r->json && r->fields >= r->name_count;
    const size_t text = r->json ? 0 : r->taken + 1, names = table ? bytes_of_names(r) : 0, fields = table ? r->name_count : 0;
    lt_rows *k = lt_new(cx, 1, sizeof *k + text + names + 2 * fields * sizeof(lt_field));
    if (!k) return false;
    *k = (lt_rows){.reader = r->reader, .rename = r->rename, .renames = r->renames, .taken = r->taken, .size = r->size, .json = r->json};
    k->note = &k->notes;
    k->field = (lt_field *)(k + 1);
    k->name = k->field + fields;
    k->names = (char *)(k->name + fields);
    k->buf = k->names + names;
    if (table) {
        k->name_count = k->fields = fields;
        memcpy(k->field, r->field, fields * sizeof *k->field);
        memcpy(k->name, r->name, fields * sizeof *k->name);
        memcpy(k->names, r->names, names);
    }
    if (text) memcpy(k->buf, r->buf + r->begin, text - 1); /* with the NUL that ends each value; the last has the cleared byte */
    r->json = NULL;
    row->file = r->file;
    row->impl = k;
    return true;
}

void lt_row_release(lt_row *row)
{
    lt_rows *k = row->impl;
    if (!k) return;
    lt_json_free(k->json);
    lt_notes_free(k->notes);
    lt_free(k);
    row->impl = NULL;
}

bool lt_row_is_line(const lt_row *row)
{
    const lt_rows *r = row->impl;
    return r->reader == &lt_reader_lines;
}
