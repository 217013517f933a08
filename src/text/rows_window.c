/* The window onto the file at hand. It grows to hold one row whole and no more than the longest row allowed, whatever the file
 * says; it is filled with what there is, so a row from a slow pipe is complete as soon as its last byte has come. */
#include <inttypes.h>
#include <string.h>

#include "text/rows.h"

enum { CHUNK = 1 << 16, FIRST = 4 * CHUNK };

bool lt_rows_too_long(lt_ctx *cx, lt_rows *r)
{
    r->over = true;
    return lt_fail_if(cx, true, LT_ERR_INPUT, "%s:%" PRId64 ": expected a row of at most %zu bytes, found a longer one",
                      r->stream->name, r->line, r->options.max_line);
}

/* Room for at least a chunk behind `end`. Moving costs at most as much as was read since the last time. */
static bool make_room(lt_ctx *cx, lt_rows *r)
{
    if (r->begin == r->end) r->begin = r->end = 0;
    if (r->capacity > r->end && r->capacity - r->end > CHUNK) return true;
    if (r->begin && r->begin >= r->capacity / 2) {
        memmove(r->buf, r->buf + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->begin = 0;
        return true;
    }
    size_t capacity = r->capacity ? 2 * r->capacity : FIRST;
    char *buf = lt_resize(cx, r->buf, (int64_t)capacity, 1);
    if (!buf) return false;
    r->buf = buf;
    r->capacity = capacity;
    return true;
}

int lt_rows_fill(lt_ctx *cx, lt_rows *r)
{
    size_t here = r->end - r->begin;
    if (here > r->options.max_line && here - r->options.max_line > 2) { /* a line's end is not counted */
        lt_rows_too_long(cx, r);
        return -1;
    }
    ptrdiff_t got = make_room(cx, r) ? lt_byte_stream_read(cx, r->stream, r->buf + r->end, r->capacity - r->end - 1) : -1;
    if (got > 0) r->end += (size_t)got;
    if (got < 0) r->over = true;
    return got < 0 ? -1 : got > 0;
}

int lt_rows_line(lt_ctx *cx, lt_rows *r, size_t from, size_t *end, size_t *next)
{
    size_t seen = from;
    for (;;) {
        size_t here = r->end - r->begin;
        const char *p = r->buf + r->begin, *found = here > seen ? memchr(p + seen, '\n', here - seen) : NULL;
        if (found) {
            size_t at = (size_t)(found - p);
            *next = at + 1;
            *end = at > from && p[at - 1] == '\r' ? at - 1 : at;
            break;
        }
        seen = here;
        int got = lt_rows_fill(cx, r);
        if (got < 0) return -1;
        if (got == 0 && seen == from) return 0;
        if (got == 0) {
            *end = *next = seen;
            break;
        }
    }
    return *end <= r->options.max_line || lt_rows_too_long(cx, r) ? 1 : -1;
}
