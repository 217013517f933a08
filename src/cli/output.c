/* Results on their way out: standard output is flushed line by line for people and in blocks for pipes; a file (-o) appears
 * whole or not at all. Here too: the JSON objects and the aligned tables that verbs print. */
#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 1 << 16 };

bool lt_print_open(lt_print *p, lt_ctx *cx, lt_term *term, const char *path, bool json)
{
    *p = (lt_print){.cx = cx, .term = term, .json = json};
    if (path && strcmp(path, "-") != 0) return (p->file = lt_out_open(cx, path)) != NULL;
    p->terminal = lt_term_is(1);
    p->colours = lt_term_colours(1);
    return true;
}

static bool write_stdout(lt_print *p)
{
    if (p->terminal) lt_term_clear(p->term);
    for (size_t at = 0; at < p->text.size;) {
        ssize_t n = write(1, p->text.data + at, p->text.size - at);
        if (n >= 0) {
            at += (size_t)n;
        } else if (errno != EINTR) {
            p->closed = errno == EPIPE;
            return lt_fail_if(p->cx, true, LT_ERR_IO, "standard output: %s", strerror(errno));
        } else if (!lt_ok(p->cx)) {
            return false;
        }
    }
    return true;
}

bool lt_print_flush(lt_print *p)
{
    if (p->text.failed) return lt_fail_if(p->cx, true, LT_ERR_MEMORY, "no memory for the output");
    bool good = p->file ? lt_out_write(p->file, p->text.data, p->text.size) : write_stdout(p);
    lt_str_clear(&p->text);
    return good;
}

bool lt_print_due(lt_print *p)
{
    if (p->terminal || p->text.size >= BLOCK || p->text.failed) return lt_print_flush(p);
    return true;
}

bool lt_print_close(lt_print *p, bool whole)
{
    bool good = (whole || !p->file) && !p->closed && lt_print_flush(p);
    if (p->file && good)
        good = lt_out_commit(p->file);
    else if (p->file)
        lt_out_abort(p->file);
    p->file = NULL;
    lt_str_free(&p->text);
    return good;
}

/* ---- JSON objects ---- */

void lt_json_key(lt_str *s, const char *key)
{
    if (s->size && s->data[s->size - 1] != '{') lt_str_puts(s, ",");
    lt_json_put_text(s, key, strlen(key));
    lt_str_puts(s, ":");
}

void lt_json_member_text(lt_str *s, const char *key, const char *text, size_t size)
{
    lt_json_key(s, key);
    if (text)
        lt_json_put_text(s, text, size);
    else
        lt_str_puts(s, "null");
}

void lt_json_member(lt_str *s, const char *key, const char *text) { lt_json_member_text(s, key, text, text ? strlen(text) : 0); }

void lt_json_member_int(lt_str *s, const char *key, int64_t x)
{
    lt_json_key(s, key);
    lt_str_printf(s, "%lld", (long long)x);
}

void lt_json_member_num(lt_str *s, const char *key, double x)
{
    lt_json_key(s, key);
    lt_json_put_double(s, x);
}

void lt_json_row(lt_str *s, lt_dtype dtype, const void *data, int64_t n)
{
    lt_str_puts(s, "[");
    for (int64_t i = 0; i < n; i++) {
        if (i) lt_str_puts(s, ",");
        switch (dtype) {
        case LT_F32:
            lt_json_put_float(s, ((const float *)data)[i]);
            break;
        case LT_F64:
            lt_json_put_double(s, ((const double *)data)[i]);
            break;
        case LT_I8:
            lt_str_printf(s, "%d", ((const int8_t *)data)[i]);
            break;
        case LT_U8:
            lt_str_printf(s, "%d", ((const uint8_t *)data)[i]);
            break;
        default:
            lt_str_printf(s, "%d", ((const int32_t *)data)[i]);
            break;
        }
    }
    lt_str_puts(s, "]");
}

/* ---- tables ---- */

void lt_table_begin(lt_table *t, lt_ctx *cx, const char *const *heads, int cols)
{
    *t = (lt_table){.cx = cx, .heads = heads, .cols = cols};
}

static bool table_grow(lt_table *t)
{
    if (t->n < t->room) return true;
    int64_t room = 2 * t->room + 64;
    char **more = lt_resize(t->cx, t->cell, room, sizeof *more);
    if (!more) return false;
    t->cell = more;
    t->room = room;
    return true;
}

void lt_table_cell(lt_table *t, const char *format, ...)
{
    va_list va, again;
    lt_str plain = {0};
    va_start(va, format);
    va_copy(again, va);
    int n = vsnprintf(NULL, 0, format, va);
    char *text = n < 0 ? NULL : lt_alloc(t->cx, (size_t)n + 1);
    if (text) {
        vsnprintf(text, (size_t)n + 1, format, again);
        lt_text_plain(&plain, text, (size_t)n, -1);
        text = lt_sprintf(t->cx, "%s", plain.data ? plain.data : "");
        if (text && table_grow(t)) t->cell[t->n++] = text;
    }
    va_end(again);
    va_end(va);
    lt_str_free(&plain);
}

static const char *head_of(const lt_table *t, int col) { return t->heads[col] + (t->heads[col][0] == '>'); }

/* The columns' widths together if none but those of numbers, which would be wrong when cut, is wider than `most`. */
static int sum_widths(const lt_table *t, const int *widths, int most)
{
    int sum = 0;
    for (int c = 0; c < t->cols; c++) sum += widths[c] > most && t->heads[c][0] != '>' ? most : widths[c];
    return sum;
}

/* What does not fit into `room` is taken off the widest columns, down to one width that they share. */
static void narrow(const lt_table *t, int *widths, int room)
{
    enum { LEAST = 8 }; /* with less, nothing can be read: then lines are longer than the screen */
    int most = room > LEAST ? room : LEAST;
    while (most > LEAST && sum_widths(t, widths, most) > room) most--;
    int left = room - sum_widths(t, widths, most);
    for (int c = 0; c < t->cols; c++)
        if (widths[c] > most && t->heads[c][0] != '>') widths[c] = most + (left-- > 0);
}

/* One aligned line, each text cut at its column's width. */
static void put_line(const lt_table *t, lt_str *s, const char *const *text, const int *widths, bool bold)
{
    if (bold) lt_str_puts(s, "\033[1m");
    for (int c = 0; c < t->cols; c++) {
        size_t size = strlen(text[c]);
        int wide = lt_text_width(text[c], size), pad = wide < widths[c] ? widths[c] - wide : 0;
        bool last = c == t->cols - 1, right = t->heads[c][0] == '>';
        if (right) lt_str_printf(s, "%*s", pad, "");
        lt_text_plain(s, text[c], size, widths[c]);
        if (!right && !last) lt_str_printf(s, "%*s", pad, "");
        if (!last) lt_str_puts(s, "  ");
    }
    lt_str_puts(s, bold ? "\033[0m\n" : "\n");
}

static void print_aligned(lt_table *t, lt_print *p)
{
    enum { MOST_COLUMNS = 16 };
    int widths[MOST_COLUMNS] = {0};
    const char *heads[MOST_COLUMNS];
    for (int64_t i = -t->cols; i < t->n; i++) {
        int col = (int)((i + t->cols) % t->cols);
        const char *text = i < 0 ? (heads[col] = head_of(t, col)) : t->cell[i];
        int w = lt_text_width(text, strlen(text));
        if (w > widths[col]) widths[col] = w;
    }
    narrow(t, widths, lt_term_width(1) - 2 * (t->cols - 1));
    put_line(t, &p->text, heads, widths, p->colours);
    for (int64_t i = 0; i + t->cols <= t->n; i += t->cols)
        put_line(t, &p->text, (const char *const *)t->cell + i, widths, false);
}

bool lt_table_print(lt_table *t, lt_print *p)
{
    bool good = lt_ok(t->cx); /* a cell without memory is an error there */
    if (good && p->terminal) print_aligned(t, p);
    for (int64_t i = 0; good && !p->terminal && i < t->n; i++)
        lt_str_printf(&p->text, "%s%s", t->cell[i], (i + 1) % t->cols ? "\t" : "\n");
    lt_table_drop(t);
    return good && lt_print_due(p);
}

void lt_table_drop(lt_table *t) { lt_free(t->cell); }
