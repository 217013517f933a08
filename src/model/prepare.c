/* Texts as sentence-transformers prepares them before it tokenises: lower-cased and stripped as Python's str.lower and str.strip do
 * (Unicode 15, section 3.13: full lower case, with the Greek sigma that ends a word). */
#include "model/model.h"

#include <string.h>
#include <utf8proc.h>

/* Unicode's Case_Ignorable: what may stand within a word without ending it. */
static bool is_ignorable(uint32_t c)
{
    static const uint32_t inside[] = {'\'',   '.',    ':',    0xB7,   0x387,  0x55F,  0x5F4,  0x2018, 0x2019,
                                      0x2024, 0x2027, 0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
        if (inside[i] == c) return true;
    const utf8proc_category_t is = utf8proc_category((utf8proc_int32_t)c);
    return is == UTF8PROC_CATEGORY_MN || is == UTF8PROC_CATEGORY_ME || is == UTF8PROC_CATEGORY_CF || is == UTF8PROC_CATEGORY_LM ||
           is == UTF8PROC_CATEGORY_SK;
}

/* Unicode's Cased, of what is not ignorable. */
static bool is_cased(uint32_t c)
{
    const utf8proc_category_t is = utf8proc_category((utf8proc_int32_t)c);
    const bool letter = is == UTF8PROC_CATEGORY_LU || is == UTF8PROC_CATEGORY_LL || is == UTF8PROC_CATEGORY_LT;
    const bool numeral = c == 0xAA || c == 0xBA || (c >= 0x2160 && c <= 0x217F) || (c >= 0x24B6 && c <= 0x24E9);
    return letter || numeral || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

/* Whether from p to the end the first character that is not ignorable is a cased one. */
static bool cased_follows(const char *p, const char *end)
{
    uint32_t c = 0;
    bool ignorable = true;
    while (p < end && ignorable) {
        p += lt_utf8_next(p, end, &c);
        ignorable = is_ignorable(c);
    }
    return !ignorable && is_cased(c);
}

void lt_put_lower(lt_str *s, const char *text, size_t size)
{
    enum { CAPITAL_SIGMA = 0x3A3, SIGMA = 0x3C3, FINAL_SIGMA = 0x3C2, DOTTED_CAPITAL_I = 0x130 };
    bool cased = false; /* the last character that was not ignorable */
    for (const char *p = text, *end = text + size; p < end;) {
        uint32_t c;
        char out[4];
        p += lt_utf8_next(p, end, &c);
        if (c == DOTTED_CAPITAL_I) { /* the one lower case that is two characters */
            lt_str_puts(s, "i\xcc\x87");
        } else {
            uint32_t low = c != CAPITAL_SIGMA                ? (uint32_t)utf8proc_tolower((utf8proc_int32_t)c)
                           : cased && !cased_follows(p, end) ? FINAL_SIGMA
                                                             : SIGMA;
            lt_str_add(s, out, (size_t)lt_utf8_put(low, out));
        }
        if (!is_ignorable(c)) cased = is_cased(c);
    }
}

bool lt_is_python_blank(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

void lt_strip(const char **text, size_t *size)
{
    const char *begin = *text, *end = begin + *size, *last = begin;
    bool inside = false;
    for (const char *p = begin; p < end;) {
        uint32_t c;
        const char *here = p;
        p += lt_utf8_next(p, end, &c);
        if (lt_is_python_blank(c)) continue;
        if (!inside) begin = here;
        inside = true;
        last = p;
    }
    *size = inside ? (size_t)(last - begin) : 0;
    *text = begin;
}
