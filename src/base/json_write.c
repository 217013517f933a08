/* Writing JSON: strings that are always valid UTF-8, and numbers in the fewest digits that read back as the same float or
 * double, always with a decimal point whatever the locale. Floats of ordinary size take a path in exact double arithmetic,
 * because whole matrices are written this way. */
#include "lathe/json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The escape of a byte, or NULL where it stands for itself. */
static const char *escape(uint8_t c, char buffer[8])
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        break;
    }
    if (c >= 0x20) return NULL;
    snprintf(buffer, 8, "\\u%04x", c);
    return buffer;
}

void lt_json_put_text(lt_str *s, const char *text, size_t size)
{
    const char *p = text, *end = text + size, *plain = text;
    char buffer[8];
    lt_str_add(s, "\"", 1);
    while (p < end) {
        uint32_t c;
        int n = lt_utf8_next(p, end, &c);
        /* U+FFFD that stands in the text is three bytes as well, and replaced by itself. */
        const char *instead = c == 0xFFFD ? "\xEF\xBF\xBD" : c < 0x80 ? escape((uint8_t)c, buffer) : NULL;
        if (instead) {
            lt_str_add(s, plain, (size_t)(p - plain));
            lt_str_puts(s, instead);
            plain = p + n;
        }
        p += n;
    }
    lt_str_add(s, plain, (size_t)(end - plain));
    lt_str_add(s, "\"", 1);
}

/* Whether the text of a number (in the locale's own form) reads back as x. */
static bool reads_back(const char *text, double x, bool is_float)
{
    return is_float ? strtof(text, NULL) == (float)x : strtod(text, NULL) == x;
}

/* The general way: from `first` digits up to `last`, which always suffice. */
static void put_shortest(lt_str *s, double x, int first, int last, bool is_float)
{
    char text[64], plain[64];
    int digits = first;
    do snprintf(text, sizeof text, "%.*g", digits, x);
    while (!reads_back(text, x, is_float) && ++digits <= last);
    size_t n = 0;
    bool point = false;
    for (const char *p = text; *p; p++) { /* the locale's decimal point may be any bytes */
        bool ordinary = strchr("+-0123456789e", *p) != NULL;
        if (!ordinary && !point) plain[n++] = '.';
        if (ordinary) plain[n++] = *p;
        point = !ordinary;
    }
    lt_str_add(s, plain, n);
}

/* Whether the decimal m / scale, rounded to double, rounds on to x as the decimal itself would: m and scale are exact, so
 * the quotient is the nearest double, and only one that lies midway between two floats could round differently. */
static bool is_decimal_of(float x, uint32_t m, double scale)
{
    double d = (double)m / scale;
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return (float)d == x && (bits & 0x1FFFFFFF) != 0x10000000;
}

/* Writes m · 10^-places, m > 0, without trailing zeros. */
static void put_decimal(lt_str *s, bool negative, uint32_t m, int places)
{
    char digit[40];
    int n = 0, at = (int)sizeof digit;
    for (; places > 0 && m % 10 == 0; places--) m /= 10;
    for (; m || n <= places; n++, m /= 10) {
        if (n == places && places) digit[--at] = '.';
        digit[--at] = (char)('0' + m % 10);
    }
    if (negative) digit[--at] = '-';
    lt_str_add(s, digit + at, sizeof digit - (size_t)at);
}

/* Floats from 0.00001 up to 999999: true when it was written. */
static bool put_ordinary(lt_str *s, float x)
{
    static const double power[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13};
    double a = fabs((double)x);
    if (!(a >= 1e-5 && a < 999999)) return false;
    int whole = 5; /* decimal exponent: 10^whole <= a */
    while (whole > -5 && (whole >= 0 ? a < power[whole] : a * power[-whole] < 1)) whole--;
    for (int digits = 6; digits <= 9; digits++) {
        int places = digits - 1 - whole;
        double m = nearbyint(a * power[places]);
        if (m < 1 || m >= 4e9 || !is_decimal_of((float)a, (uint32_t)m, power[places])) continue;
        put_decimal(s, x < 0, (uint32_t)m, places);
        return true;
    }
    return false;
}

static void put_number(lt_str *s, double x, bool is_float)
{
    if (!isfinite(x)) {
        lt_str_puts(s, "null");
    } else if (x == 0) {
        lt_str_puts(s, signbit(x) ? "-0.0" : "0"); /* "-0" would be read as an integer, which has no sign of zero */
    } else if (is_float) {
        if (!put_ordinary(s, (float)x)) put_shortest(s, x, fabs(x) < FLT_MIN ? 1 : 6, 9, true);
    } else {
        put_shortest(s, x, fabs(x) < DBL_MIN ? 1 : 15, 17, false);
    }
}

void lt_json_put_float(lt_str *s, float x) { put_number(s, x, true); }

void lt_json_put_double(lt_str *s, double x) { put_number(s, x, false); }

/* ---- whole values ---- */

static void new_line(lt_str *s, int depth) { lt_str_printf(s, "\n%*s", 2 * depth, ""); }

static void put_array(lt_str *s, const lt_json *v, int depth)
{
    lt_str_puts(s, "[");
    for (int64_t i = 0; i < lt_json_size(v); i++) {
        if (i) lt_str_puts(s, ",");
        new_line(s, depth + 1);
        lt_json_put(s, lt_json_at(v, i), depth + 1);
    }
    if (lt_json_size(v)) new_line(s, depth);
    lt_str_puts(s, "]");
}

static void put_object(lt_str *s, const lt_json *v, int depth)
{
    void *iter = NULL;
    const char *key;
    const lt_json *value;
    bool first = true;
    lt_str_puts(s, "{");
    for (; lt_json_each(v, &iter, &key, &value); first = false) {
        if (!first) lt_str_puts(s, ",");
        new_line(s, depth + 1);
        lt_json_put_text(s, key, strlen(key));
        lt_str_puts(s, ": ");
        lt_json_put(s, value, depth + 1);
    }
    if (!first) new_line(s, depth);
    lt_str_puts(s, "}");
}

void lt_json_put(lt_str *s, const lt_json *v, int depth)
{
    size_t size = 0, before = s->size;
    const char *text = lt_json_text(v, &size);
    switch (lt_json_is(v)) {
    case LT_JSON_BOOL:
        lt_str_puts(s, lt_json_bool(v, false) ? "true" : "false");
        break;
    case LT_JSON_INT:
        lt_str_printf(s, "%lld", (long long)lt_json_int(v, 0));
        break;
    case LT_JSON_REAL:
        lt_json_put_double(s, lt_json_num(v, 0));
        if (s->size > before && !memchr(s->data + before, '.', s->size - before) && !memchr(s->data + before, 'e', s->size - before))
            lt_str_puts(s, ".0"); /* stays a real number to those who read it */
        break;
    case LT_JSON_STRING:
        lt_json_put_text(s, text, size);
        break;
    case LT_JSON_ARRAY:
        put_array(s, v, depth);
        break;
    case LT_JSON_OBJECT:
        put_object(s, v, depth);
        break;
    default:
        lt_str_puts(s, "null");
        break;
    }
}
