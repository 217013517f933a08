/* Code points as the reference tokenizer sees them. It mixes several versions of Unicode (9 to 16, by what is asked), so
 * classes come from tables made by asking it; case mapping and normalisation (UAX #15) come from utf8proc, corrected where the
 * two differ. */
#include "text/unicode.h"

#include <stddef.h>
#include <utf8proc.h>

#include "text/unicode_tables.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

uint8_t lt_char_class(uint32_t c)
{
    if (c < 0x800) return class_low[c];
    size_t low, high, page = (c >> 8) - 8; /* the run is one of low … high */
    if (page + 1 < COUNT(class_page)) {
        low = class_page[page];
        high = class_page[page + 1];
    } else {
        low = class_page[COUNT(class_page) - 1];
        high = COUNT(class_run) - 1;
    }
    while (low < high) {
        size_t middle = (low + high + 1) / 2;
        if (class_run[middle] >> 8 <= c)
            low = middle;
        else
            high = middle - 1;
    }
    return (uint8_t)class_run[low];
}

bool lt_char_is_chinese(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0x2F800 && c <= 0x2FA1F);
}

int lt_char_lower(uint32_t c, uint32_t out[2])
{
    if (c < 0x80) {
        out[0] = c >= 'A' && c <= 'Z' ? c + 32 : c;
        return 1;
    }
    for (size_t i = 0; i < COUNT(lower_extra) && lower_extra[i][0] <= c; i++)
        if (lower_extra[i][0] == c) {
            out[0] = lower_extra[i][1];
            out[1] = lower_extra[i][2];
            return out[1] ? 2 : 1;
        }
    out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    return 1;
}

static bool is_normalized(uint32_t c)
{
    size_t low = 0, high = COUNT(not_normalized);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c < not_normalized[middle][0])
            high = middle;
        else if (c > not_normalized[middle][1])
            low = middle + 1;
        else
            return false;
    }
    return true;
}

int lt_char_decompose(uint32_t c, bool compatible, uint32_t out[LT_DECOMPOSED])
{
    out[0] = c;
    if (c < 0xC0 && (c < 0xA0 || !compatible)) return 1;
    bool hangul = c >= 0xAC00 && c <= 0xD7A3;
    if (!hangul && utf8proc_get_property((utf8proc_int32_t)c)->decomp_seqindex == UINT16_MAX) return 1;
    if (!is_normalized(c)) return 1;
    int boundary = 0;
    utf8proc_option_t how = (utf8proc_option_t)(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | (compatible ? UTF8PROC_COMPAT : 0));
    utf8proc_int32_t buffer[LT_DECOMPOSED];
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, buffer, LT_DECOMPOSED, how, &boundary);
    if (n < 1 || n > LT_DECOMPOSED) return 1;
    for (utf8proc_ssize_t i = 0; i < n; i++) out[i] = (uint32_t)buffer[i];
    return (int)n;
}

int lt_char_combining_class(uint32_t c)
{
    if (c < 0x300) return 0;
    int class = utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
    return class && is_normalized(c) ? class : 0;
}

uint32_t lt_char_compose(uint32_t a, uint32_t b)
{
    if (b < 0x300) return 0; /* no second half of a pair is below */
    utf8proc_int32_t pair[2] = {(utf8proc_int32_t)a, (utf8proc_int32_t)b};
    utf8proc_ssize_t n = utf8proc_normalize_utf32(pair, 2, (utf8proc_option_t)(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    return n == 1 && is_normalized((uint32_t)pair[0]) ? (uint32_t)pair[0] : 0;
}
