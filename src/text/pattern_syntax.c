/* Regular expressions of tokenizer files are Oniguruma's; this writes them in PCRE2's syntax, and classes such as \s, \w and
 * \p{L} so that they hold what the reference's Unicode says. What the two do not share is refused, never guessed. */
#include "text/pattern.h"
#include "text/pattern_tables.h"

enum { MOST_GROUPS = 200 };

typedef struct {
    const char *s, *end, *begin;
    lt_str *out;
    size_t atom; /* where in `out` that begins which a quantifier would repeat */
    size_t group[MOST_GROUPS];
    int groups;          /* open ones, and where each begins */
    const char *refused; /* what is not supported */
    size_t refused_size;
} reader;

static const char SPACES[] =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
static const char NO_SPACES[] =
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}";
static const char HEX[] = "0-9a-fA-F";

static bool refuse(reader *r, const char *what, size_t size)
{
    r->refused = what;
    r->refused_size = size;
    return false;
}

/* Writes a class's members: bare inside brackets, else in brackets of their own. */
static bool put_members(reader *r, bool inside, bool negated, const char *a, const char *b, const char *c, const char *d)
{
    if (!inside) lt_str_puts(r->out, negated ? "[^" : "[");
    lt_str_printf(r->out, "%s%s%s%s%s", a, b, c, d, inside ? "" : "]");
    return true;
}

/* \p{name}, \P{name}, and \w \W \d \D, which are such properties too. */
static bool put_property(reader *r, const char *name, size_t size, bool inside, bool negated, const char *from)
{
    for (size_t i = 0; i < sizeof property / sizeof *property; i++) {
        if (strlen(property[i].name) != size || memcmp(property[i].name, name, size)) continue;
        if (inside && negated) break;
        if (!inside) lt_str_puts(r->out, negated ? "[^" : "[");
        lt_str_printf(r->out, "\\p{%s}%s%s", property[i].pcre2, property[i].more, inside ? "" : "]");
        return true;
    }
    return refuse(r, from, (size_t)(r->s - from));
}

static bool property_escape(reader *r, const char *from, bool inside)
{
    bool negated = r->s[-1] == 'P';
    const char *close = r->s < r->end && *r->s == '{' ? memchr(r->s, '}', (size_t)(r->end - r->s)) : NULL;
    if (!close) return refuse(r, from, (size_t)(r->s - from));
    const char *name = r->s + 1;
    if (name < close && *name == '^') {
        negated = !negated;
        name++;
    }
    r->s = close + 1;
    return put_property(r, name, (size_t)(close - name), inside, negated, from);
}

/* A word boundary, by the reference's \w. */
static bool put_boundary(reader *r, bool negated)
{
    lt_str w = {0}, *out = r->out;
    r->out = &w;
    put_property(r, "w", 1, false, false, "");
    r->out = out;
    if (w.failed || !w.data)
        out->failed = true;
    else
        lt_str_printf(out, negated ? "(?:(?<=%s)(?=%s)|(?<!%s)(?!%s))" : "(?:(?<=%s)(?!%s)|(?<!%s)(?=%s))", w.data, w.data, w.data,
                      w.data);
    lt_str_free(&w);
    return true;
}

/* r->s is behind a backslash. */
static bool escape(reader *r, bool inside)
{
    const char *from = r->s - 1;
    if (r->s == r->end) return refuse(r, from, 1);
    char c = *r->s++;
    switch (c) {
    case 'p':
    case 'P':
        return property_escape(r, from, inside);
    case 'w':
    case 'W':
        return put_property(r, inside ? "[w]" : "w", inside ? 3 : 1, inside, c == 'W', from);
    case 'd':
    case 'D':
        return put_property(r, "Nd", 2, inside, c == 'D', from);
    case 's':
        return put_members(r, inside, false, SPACES, "", "", "");
    case 'S':
        return put_members(r, inside, false, NO_SPACES, "", "", "");
    case 'h':
        return put_members(r, inside, false, HEX, "", "", "");
    case 'H':
        if (inside) return refuse(r, from, 2);
        return put_members(r, inside, true, HEX, "", "", "");
    case 'v':
        lt_str_puts(r->out, "\\x{b}");
        return true;
    case 'b':
    case 'B':
        if (!inside) return put_boundary(r, c == 'B');
        if (c == 'B') return refuse(r, from, 2);
        lt_str_puts(r->out, "\\x{8}");
        return true;
    case 'u':
        if (r->end - r->s < 4) return refuse(r, from, 2);
        lt_str_printf(r->out, "\\x{%.4s}", r->s);
        r->s += 4;
        return true;
    default:
        break;
    }
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'), digit = c >= '0' && c <= '9';
    if (letter && !memchr(inside ? "tnrfaex" : "tnrfaexAzZGRkg", c, inside ? 7 : 14)) return refuse(r, from, 2);
    if (digit && inside) return refuse(r, from, 2);
    lt_str_printf(r->out, "\\%c", c);
    return true;
}

/* r->s is behind an opening bracket. */
static bool brackets(reader *r)
{
    const char *from = r->s - 1;
    lt_str_puts(r->out, "[");
    if (r->s < r->end && *r->s == '^') lt_str_add(r->out, r->s++, 1);
    for (const char *first = r->s; r->s < r->end;) {
        char c = *r->s++;
        if (c == ']' && r->s - 1 > first) {
            lt_str_puts(r->out, "]");
            return true;
        }
        if (c == '[' || c == ']' || (c == '&' && r->s < r->end && *r->s == '&')) return refuse(r, r->s - 1, 1);
        if (c == '\\') {
            bool class = r->s < r->end && memchr("pPwWdDsSh", *r->s, 9);
            if (!escape(r, true)) return false;
            if (class && r->end - r->s > 1 && r->s[0] == '-' && r->s[1] != ']') { /* not a range: a class has no end */
                lt_str_puts(r->out, "\\-");
                r->s++;
            }
        } else {
            lt_str_add(r->out, &c, 1);
        }
    }
    return refuse(r, from, 1);
}

/* r->s is behind "(?". Options: m is PCRE2's s; they may stand alone only where they govern the whole pattern. */
static bool group(reader *r)
{
    const char *from = r->s - 2, *s = r->s;
    if (s == r->end || memchr("@~{CR&P|+0123456789", *s, 19))
        return refuse(r, from, (size_t)(r->end - from < 3 ? r->end - from : 3));
    lt_str_puts(r->out, "(?");
    if (memchr(":=!><#('", *s, 8)) return true;
    for (; s < r->end && *s != ')' && *s != ':'; s++) {
        if (!memchr("im-", *s, 3)) return refuse(r, from, (size_t)(s + 1 - from));
        lt_str_puts(r->out, *s == 'm' ? "s" : *s == 'i' ? "i" : "-");
    }
    if (s == r->end || (*s == ')' && from != r->begin)) return refuse(r, from, (size_t)(s - from));
    r->s = s;
    return true;
}

/* Puts what a quantifier repeats in a group. */
static void group_atom(reader *r)
{
    lt_str rest = {0};
    lt_str_add(&rest, r->out->data + r->atom, r->out->size - r->atom);
    r->out->size = r->atom;
    lt_str_puts(r->out, "(?:");
    lt_str_add(r->out, rest.data ? rest.data : "", rest.size);
    r->out->failed |= rest.failed;
    lt_str_free(&rest);
}

/* {n,m} at r->s - 1: {n,m}+ repeats it (PCRE2 would make it possessive), {n}? makes it optional, {,m} begins at 0. */
static void interval(reader *r)
{
    const char *s = r->s;
    while (s < r->end && ((*s >= '0' && *s <= '9') || *s == ',')) s++;
    bool is = s < r->end && *s == '}' && s > r->s, fixed = is && !memchr(r->s, ',', (size_t)(s - r->s));
    if (!is || (*r->s == ',' && s == r->s + 1)) {
        lt_str_puts(r->out, "\\{");
        return;
    }
    const char *next = s + 1;
    bool again = next < r->end && (*next == '+' || (fixed && *next == '?')) && r->out->size > r->atom && !r->out->failed;
    if (again) group_atom(r);
    lt_str_printf(r->out, "{%s%.*s}", *r->s == ',' ? "0" : "", (int)(s - r->s), r->s);
    if (again) lt_str_printf(r->out, ")%c", *next);
    r->s = next + again;
}

static bool open_group(reader *r)
{
    if (r->s < r->end && *r->s == '*') return refuse(r, r->s - 1, 2);
    if (r->groups == MOST_GROUPS) return refuse(r, "so deep a nest of groups", 24);
    r->group[r->groups++] = r->out->size;
    if (r->s == r->end || *r->s != '?') {
        lt_str_puts(r->out, "(");
        return true;
    }
    r->s++;
    return group(r);
}

static bool atom(reader *r, char c)
{
    if (c == '(') return open_group(r);
    if (c == '{') {
        interval(r);
        return true;
    }
    if (c == ')') {
        if (r->groups) r->atom = r->group[--r->groups];
        lt_str_puts(r->out, ")");
        return true;
    }
    if (c != '?' && c != '*' && c != '+' && ((uint8_t)c & 0xC0) != 0x80) r->atom = r->out->size;
    if (c == '\\') return escape(r, false);
    if (c == '[') return brackets(r);
    lt_str_add(r->out, &c, 1);
    return true;
}

bool lt_pattern_translate(const char *regex, size_t size, lt_str *out)
{
    reader r = {.s = regex, .end = regex + size, .begin = regex, .out = out};
    bool ok = true;
    while (ok && r.s < r.end) {
        char c = *r.s++;
        ok = atom(&r, c);
    }
    if (ok) return true;
    lt_str_clear(out);
    lt_str_printf(out, "\"%.*s\"", (int)(r.refused_size < 60 ? r.refused_size : 60), r.refused);
    return false;
}
