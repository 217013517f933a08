/* What the readers of rows share: a window onto the file in which the row at hand lies whole, and the table that each reader
 * (plain lines, JSON, CSV and TSV) fills. */
#ifndef LT_TEXT_ROWS_H
#define LT_TEXT_ROWS_H

#include "lathe/text.h"
#include "text/stream.h"

typedef enum { LT_ROWS_ERROR = -1, LT_ROWS_END, LT_ROWS_GOT } lt_rows_result;

typedef struct lt_cell { /* the value of one column in the row at hand: text, or JSON */
    const char *text;
    size_t size;
    const lt_json *json;
} lt_cell;

typedef struct lt_rows_reader {                                        /* one way to cut a file into rows */
    bool (*begin)(lt_ctx *cx, lt_rows *r);                             /* at the start of each file; NULL: nothing to do */
    lt_rows_result (*next)(lt_ctx *cx, lt_rows *r);                    /* sets taken, next_line and its own part of r */
    bool (*find)(const lt_rows *r, const char *column, lt_cell *cell); /* false: this row has no such column */
    const char *(*column)(const lt_rows *r, int i, void **iter);       /* the name of the i-th, asked in order; NULL: no more */
    bool fixed;                                                        /* all rows of a file have the same columns */
} lt_rows_reader;
extern const lt_rows_reader lt_reader_lines, lt_reader_jsonl, lt_reader_json, lt_reader_ids, lt_reader_csv, lt_reader_tsv, lt_reader_conll;

typedef struct lt_field {
    size_t begin, size; /* bytes, from the row's first, or from the first of the names */
} lt_field;

typedef struct lt_rename { /* of --columns: ours=theirs */
    const char *ours, *theirs;
    bool seen; /* some row had it */
} lt_rename;

typedef struct lt_note { /* a number as text, for as long as its row */
    struct lt_note *next;
    char text[48];
} lt_note;

struct lt_rows {
    /* what was asked for */
    lt_rows_options options;
    char **path;
    int paths;
    char *columns; /* options.columns, cut up; rename points into it */
    lt_rename *rename;
    int renames, unseen;  /* unseen: how many names of theirs no row had so far */
    lt_str first_columns; /* of the first row, while there are renames, for the message */
    const void *memory;   /* stands in for the one path's content; NULL: none */
    size_t memory_size;

    /* the file at hand */
    int at;    /* which is next */
    const char *file; /* its name, for messages, as long as the rows */
    bool over; /* nothing more will come */
    lt_byte_stream *stream;
    const lt_rows_reader *reader;
    int64_t bytes_total, bytes_before; /* of all files, of those that were read to their end */

    /* the window: bytes [begin, end) of buf, the first of them the row's; there is room for one more behind end */
    char *buf;
    size_t begin, end, capacity;
    size_t taken; /* how many of them the row is; dropped when the next is asked for */
    int64_t line, next_line, index;

    /* the row at hand */
    size_t size; /* plain lines: of the text */
    lt_json *json;
    lt_note *notes, **note; /* all that were ever needed; the next free one */

    /* a JSON array's: */
    bool bracket;   /* the values stand in [ ], with commas */
    int64_t values; /* so far */
    size_t column;  /* from 1, of the next byte */

    /* CoNLL's: */
    int token_columns; /* of the token before; 0: none yet */

    /* CSV's and TSV's: */
    bool numbered;     /* no header: --columns gives numbers */
    char *names; /* the header's fields, each with a NUL */
    lt_field *field, *name;
    size_t fields, name_count, field_capacity;
};

/* Reads at least one more byte into the window, which may move. 0: the file has no more. Bytes [begin, end) must not pass
 * options.max_line. */
int lt_rows_fill(lt_ctx *cx, lt_rows *r);
/* The line that begins `from` bytes after `begin`: where its text ends and where the next line begins, counted from `begin`.
 * 1: there is one; 0: the file ends here; -1: an error. */
int lt_rows_line(lt_ctx *cx, lt_rows *r, size_t from, size_t *end, size_t *next);
bool lt_rows_too_long(lt_ctx *cx, lt_rows *r); /* records that the row at hand is; false */
/* The window's first bytes are done with. */
static inline void lt_rows_drop(lt_rows *r, size_t n) { r->begin += n; }

/* Opens bytes in memory as if they were a file of that name: its ending chooses format and compression. */
lt_rows *lt_rows_open_memory(lt_ctx *cx, const void *bytes, size_t size, const char *name, const lt_rows_options *options);

const char *lt_rows_theirs(const lt_rows *r, const char *column); /* the file's name of our column */
/* Of rows that are JSON objects. */
bool lt_rows_find_key(const lt_rows *r, const char *column, lt_cell *cell);
const char *lt_rows_key_column(const lt_rows *r, int i, void **iter);
void lt_notes_free(lt_note *notes);

/* The value behind a column's name of ours: what --columns renames, `_id` for `id`. */
bool lt_rows_find(const lt_rows *r, const char *column, lt_cell *cell);
void lt_rows_list_columns(const lt_rows *r, lt_str *out); /* "a, b, c" */
bool lt_rows_parse_columns(lt_ctx *cx, lt_rows *r, const char *columns);
/* After each row, and after the last (`end`): names of --columns that never occur are an error. */
bool lt_rows_check_columns(lt_ctx *cx, lt_rows *r, bool end);

#endif
