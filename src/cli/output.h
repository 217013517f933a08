/* Where results go: standard output or the file of -o, as JSON lines or as tables for people. */
#ifndef LT_CLI_OUTPUT_H
#define LT_CLI_OUTPUT_H

#include "cli/term.h"
#include "lathe/json.h"
#include "lathe/tensor.h"

typedef struct lt_print {
    lt_ctx *cx;
    lt_term *term; /* its progress line gives way */
    lt_out *file;  /* NULL: standard output */
    lt_str text;   /* what a verb appends to; not yet written */
    bool terminal; /* standard output, and that is one */
    bool colours;
    bool json;   /* asked for by --json */
    bool closed; /* nobody reads any more (EPIPE): the end, but no error worth a word */
} lt_print;

bool lt_print_open(lt_print *p, lt_ctx *cx, lt_term *term, const char *path, bool json); /* path NULL or "-": standard output */
bool lt_print_due(lt_print *p);               /* writes p->text if it is time to; call it after each whole line or object */
bool lt_print_flush(lt_print *p);             /* writes it now */
bool lt_print_close(lt_print *p, bool whole); /* a file is put in place only if whole */
/* Results as JSON: --json, or not on a terminal. */
static inline bool lt_print_wants_json(const lt_print *p) { return p->json || !p->terminal; }

/* ---- JSON objects ---- */

void lt_json_key(lt_str *s, const char *key);                      /* with a comma where one is needed */
void lt_json_member(lt_str *s, const char *key, const char *text); /* NULL: null */
void lt_json_member_text(lt_str *s, const char *key, const char *text, size_t size);
void lt_json_member_int(lt_str *s, const char *key, int64_t x);
void lt_json_member_num(lt_str *s, const char *key, double x);            /* null where not finite */
void lt_json_row(lt_str *s, lt_dtype dtype, const void *data, int64_t n); /* [x, …] of f32, f64, i8, u8 or i32 */

/* ---- tables ---- */

/* Cells are added one after another, row by row; printed once all are known: aligned, under a heading and cut to the terminal's
 * width for people, tab-separated without heading elsewhere. A heading that begins with '>' is of numbers, set right. */
typedef struct lt_table {
    lt_ctx *cx;
    const char *const *heads;
    int cols;
    int64_t n, room;
    char **cell; /* owned; the texts are scoped */
} lt_table;
void lt_table_begin(lt_table *t, lt_ctx *cx, const char *const *heads, int cols);
void lt_table_cell(lt_table *t, const char *format, ...) LT_PRINTF(2, 3);
bool lt_table_print(lt_table *t, lt_print *p); /* and drop it */
void lt_table_drop(lt_table *t);

#endif
