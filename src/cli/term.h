/* The terminal: whether there is one, how wide, with colours or not, and the progress line. */
#ifndef LT_CLI_TERM_H
#define LT_CLI_TERM_H

#include "lathe/base.h"

typedef struct lt_term { /* the progress line on standard error */
    bool shown;          /* it stands on the screen now */
    bool quiet;          /* never show it */
    bool plain;          /* no terminal, but the verb is one whose course is told in lines */
    double pace, next;   /* seconds between two; when the next may come. 0: as they come */
    void (*note)(void *arg, lt_str *line); /* what else is to be told; NULL: nothing */
    void *note_arg;
} lt_term;

void lt_term_progress(void *term, const lt_progress *p); /* an lt_progress_fn */
void lt_term_amount(lt_str *s, double n, const char *unit); /* "12.3 kB", "4711 steps" */
void lt_term_clear(lt_term *t);                          /* takes the progress line away */

bool lt_term_is(int fd);
int lt_term_width(int fd);    /* columns; where there is no terminal COLUMNS, else 80 */
bool lt_term_colours(int fd); /* a terminal that is not "dumb", and NO_COLOR (no-color.org) is not set */

int lt_text_width(const char *text, size_t size); /* columns that the text takes */
/* Appends text made safe for a terminal: control characters become blanks, ill-formed bytes U+FFFD. At most `columns` wide,
 * an ellipsis at the end where it was cut; columns < 0: all of it. */
void lt_text_plain(lt_str *s, const char *text, size_t size, int columns);
/* Appends words wrapped at `width`; each line after the first begins with `indent` blanks; `at` columns stand on the first. */
void lt_text_wrap(lt_str *s, const char *text, int indent, int at, int width);

#endif
