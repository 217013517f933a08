/* The terminal: one progress line on standard error, rewritten in place, and text measured in columns (wcwidth) and made
 * harmless. Text from documents and models is untrusted here too: no control character of theirs reaches the screen. */
#include "cli/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

bool lt_term_is(int fd) { return isatty(fd) == 1; }

int lt_term_width(int fd)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    int n = ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : columns ? atoi(columns) : 80;
    return n < 20 || n > 10000 ? 80 : n;
}

bool lt_term_colours(int fd)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return lt_term_is(fd) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

/* ---- text in columns ---- */

static int columns_of(uint32_t c)
{
    int n = wcwidth((wchar_t)c);
    return c < 0x20 ? 0 : n < 0 ? 1 : n; /* not assigned: most likely shown as one */
}

int lt_text_width(const char *text, size_t size)
{
    int columns = 0;
    for (const char *p = text, *end = text + size; p < end;) {
        uint32_t c;
        p += lt_utf8_next(p, end, &c);
        columns += columns_of(c);
    }
    return columns;
}

void lt_text_plain(lt_str *s, const char *text, size_t size, int columns)
{
    bool cut = columns >= 0 && lt_text_width(text, size) > columns;
    int room = cut ? columns - 1 : INT32_MAX;
    for (const char *p = text, *end = text + size; p < end;) {
        uint32_t c;
        p += lt_utf8_next(p, end, &c);
        /* C0, DEL and C1 could steer the terminal; the bidirectional controls could reorder the line. */
        if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069)) c = ' ';
        if ((room -= columns_of(c)) < 0) break;
        char bytes[4];
        lt_str_add(s, bytes, (size_t)lt_utf8_put(c, bytes));
    }
    if (cut && columns > 0) lt_str_puts(s, "…");
}

void lt_text_wrap(lt_str *s, const char *text, int indent, int at, int width)
{
    bool first = true;
    while (*(text += strspn(text, " "))) {
        size_t size = strcspn(text, " ");
        int columns = lt_text_width(text, size);
        if (!first && at + 1 + columns > width) {
            lt_str_printf(s, "\n%*s", indent, "");
            at = indent;
        } else if (!first) {
            lt_str_puts(s, " ");
            at++;
        }
        lt_str_add(s, text, size);
        at += columns;
        text += size;
        first = false;
    }
}

/* ---- the progress line ---- */

void lt_term_amount(lt_str *s, double n, const char *unit)
{
    static const char *const scale[] = {"", "k", "M", "G", "T"};
    int i = 0;
    for (; n >= 10000 && i < 4; i++) n /= 1000;
    bool bytes = !strcmp(unit, "bytes");
    lt_str_printf(s, n < 10 && i ? "%.1f %s%s" : "%.0f %s%s", n, scale[i], bytes ? "B" : *scale[i] ? " " : "");
    if (!bytes) lt_str_puts(s, unit);
}

static void put_time(lt_str *s, double seconds)
{
    int64_t t = (int64_t)(seconds + 0.5);
    if (t >= 3600)
        lt_str_printf(s, "%lld:%02lld:%02lld", (long long)(t / 3600), (long long)(t / 60 % 60), (long long)(t % 60));
    else
        lt_str_printf(s, "%lld:%02lld", (long long)(t / 60), (long long)(t % 60));
}

void lt_term_clear(lt_term *t)
{
    if (t->shown) fputs("\r\033[K", stderr);
    t->shown = false;
}

void lt_term_progress(void *term, const lt_progress *p)
{
    lt_term *t = term;
    lt_str line = {0}, cut = {0};
    const double now = t->pace > 0 ? lt_now() : 0;
    if (t->quiet && !t->plain) return;
    if (p->last) {
        lt_term_clear(t);
        return;
    }
    if (now < t->next) return;
    t->next = now + t->pace;
    lt_str_printf(&line, "%s  ", p->what);
    if (p->total > 0) lt_str_printf(&line, "%3.0f %%  ", 100.0 * (double)p->done / (double)p->total);
    lt_term_amount(&line, (double)p->done, p->unit);
    lt_str_puts(&line, "  ");
    if (t->note && strcmp(p->unit, "steps") == 0) {
        t->note(t->note_arg, &line);
    } else {
        lt_term_amount(&line, p->rate, p->unit);
        lt_str_puts(&line, "/s  ");
    }
    put_time(&line, p->eta >= 0 ? p->eta : p->seconds);
    lt_str_puts(&line, p->eta >= 0 ? " left" : " so far");
    if (!line.failed) lt_text_plain(&cut, line.data, line.size, t->plain ? -1 : lt_term_width(2) - 1);
    if (cut.data && !cut.failed) fprintf(stderr, t->plain ? "%s\n" : "\r%s\033[K", cut.data);
    t->shown = !t->plain;
    lt_str_free(&line);
    lt_str_free(&cut);
}
