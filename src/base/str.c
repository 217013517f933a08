/* Growable byte strings. A string that ran out of memory says so once, in `failed`, and takes nothing more. */
#include "lathe/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for n more bytes and the NUL. */
static bool make_room(lt_str *s, size_t n)
{
    if (s->failed) return false;
    if (n < s->capacity && s->size < s->capacity - n) return true;
    size_t want, ample = s->capacity + s->capacity / 2;
    if (__builtin_add_overflow(s->size, n, &want) || __builtin_add_overflow(want, 1, &want) || want > SIZE_MAX / 4) {
        s->failed = true;
        return false;
    }
    if (want < ample) want = ample;
    if (want < 64) want = 64;
    char *data = realloc(s->data, want);
    if (!data) {
        s->failed = true;
        return false;
    }
    s->data = data;
    s->capacity = want;
    return true;
}

void lt_str_add(lt_str *s, const void *bytes, size_t n)
{
    if (!make_room(s, n)) return;
    if (n) memcpy(s->data + s->size, bytes, n);
    s->size += n;
    s->data[s->size] = 0;
}

void lt_str_puts(lt_str *s, const char *text) { lt_str_add(s, text, strlen(text)); }

void lt_str_printf(lt_str *s, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n < 0) s->failed = true;
    if (n >= 0 && make_room(s, (size_t)n)) {
        vsnprintf(s->data + s->size, (size_t)n + 1, format, again);
        s->size += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void lt_str_clear(lt_str *s)
{
    s->size = 0;
    if (s->data) s->data[0] = 0;
}

void lt_str_free(lt_str *s)
{
    free(s->data);
    *s = (lt_str){0};
}
