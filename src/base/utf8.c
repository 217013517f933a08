/* UTF-8, one code point at a time (Unicode 15, section 3.9, tables 3-6 and 3-7). Ill-formed input becomes one U+FFFD for
 * each maximal subpart: the longest start of something well-formed, else one byte. */
#include "lathe/base.h"

int lt_utf8_next(const char *p, const char *end, uint32_t *code_point)
{
    const uint8_t *s = (const uint8_t *)p;
    uint8_t first = s[0];
    if (first < 0x80) {
        *code_point = first;
        return 1;
    }
    *code_point = 0xFFFD;
    int size = first >= 0xC2 && first <= 0xDF ? 2 : first >= 0xE0 && first <= 0xEF ? 3 : first >= 0xF0 && first <= 0xF4 ? 4 : 1;
    /* The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF. */
    uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    uint32_t c = first & (0xFFu >> (size + 1));
    for (int i = 1; i < size; i++) {
        if (p + i >= end || s[i] < low || s[i] > high) return i;
        c = c << 6 | (s[i] & 0x3F);
        low = 0x80;
        high = 0xBF;
    }
    if (size > 1) *code_point = c;
    return size;
}

int lt_utf8_put(uint32_t c, char out[4])
{
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) c = 0xFFFD;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    int size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = size - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)((0xF00u >> size & 0xFF) | c);
    return size;
}
