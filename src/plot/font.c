/* A font of strokes, so that a picture is the same on every machine and needs no font on it. A glyph is a list of strokes, each a list of
 * points of two letters: x from 0 to 8 over the glyph's width, y from 'a' (4 below the base line 'e') to 's' (14 above, the height of
 * capitals; 'o' is that of small letters). '~' makes a stroke round: its corners are cut (Chaikin 1974), which ends in a quadratic
 * B-spline. Letters with marks are taken apart as Unicode says; what there is no glyph for is a box. */
#include "plot/raster.h"

#include <math.h>
#include <string.h>
#include <utf8proc.h>

static const char *const glyphs[95] = {
    [' ' - ' '] = "", ['!' - ' '] = "4s4i 4e4f", ['"' - ' '] = "2s2p 6s6p", ['#' - ' '] = "2e3s 5e6s 0n8n 0i8i",
    ['$' - ' '] = "~8p7s0s0l8l8e1e0h 4c4t", ['%' - ' '] = "~0m3m3s0s0m ~5e8e8k5k5e 0e8s", ['&' - ' '] = "~8e1p2s6s6n0k0e6e8k",
    ['\'' - ' '] = "4s4p", ['(' - ' '] = "~7s2s2b7b", [')' - ' '] = "~1s6s6b1b", ['*' - ' '] = "4s4m 1q7n 7q1n", ['+' - ' '] = "0j8j 4f4n",
    [',' - ' '] = "4f3c", ['-' - ' '] = "1j7j", ['.' - ' '] = "4e4f", ['/' - ' '] = "0c8s",
    ['0' - ' '] = "~0e8e8s0s0e", ['1' - ' '] = "1p4s4e", ['2' - ' '] = "~0p0s8s8m0e 0e8e", ['3' - ' '] = "~0q1s8s8l3l ~3l8l8e0e0h",
    ['4' - ' '] = "6e6s0i8i", ['5' - ' '] = "7s1s0l ~0l3n8n8e1e0g", ['6' - ' '] = "~7s0q0i ~0e8e8n0n0e", ['7' - ' '] = "0s8s2e",
    ['8' - ' '] = "~1s7s7l1l1s ~0l8l8e0e0l", ['9' - ' '] = "~0j8j8s0s0j ~8o8g1e", [':' - ' '] = "4e4f 4n4o", [';' - ' '] = "4f3c 4n4o",
    ['<' - ' '] = "8o0j8e", ['=' - ' '] = "0h8h 0l8l", ['>' - ' '] = "0o8j0e", ['?' - ' '] = "~0p0s8s8m4l4i 4e4f", ['@' - ' '] = "~6n3n3i6i ~6n6h8h8s0s0e7e",
    ['A' - ' '] = "0e4s8e 1i7i", ['B' - ' '] = "4s0s0e4e ~4s7s7l4l 0l4l ~4l8l8e4e", ['C' - ' '] = "~8p7s0s0e7e8h", ['D' - ' '] = "3s0s0e3e ~3s8s8e3e",
    ['E' - ' '] = "8s0s0e8e 0l6l", ['F' - ' '] = "8s0s0e 0l6l", ['G' - ' '] = "~8p7s0s0e8e8k 8k5k", ['H' - ' '] = "0e0s 8e8s 0l8l", ['I' - ' '] = "4e4s",
    ['J' - ' '] = "6s6i ~6i6e0e0h", ['K' - ' '] = "0e0s 8s0k 3m8e", ['L' - ' '] = "0s0e8e", ['M' - ' '] = "0e0s4i8s8e", ['N' - ' '] = "0e0s8e8s",
    ['O' - ' '] = "~0e8e8s0s0e", ['P' - ' '] = "4s0s0e 0k4k ~4s8s8k4k", ['Q' - ' '] = "~0e8e8s0s0e 5h8d", ['R' - ' '] = "4s0s0e 0k4k ~4s8s8k4k 4k8e",
    ['S' - ' '] = "~8p7s0s0l8l8e1e0h", ['T' - ' '] = "0s8s 4s4e", ['U' - ' '] = "0s0j ~0j0e8e8j 8j8s", ['V' - ' '] = "0s4e8s", ['W' - ' '] = "0s2e4o6e8s",
    ['X' - ' '] = "0e8s 0s8e", ['Y' - ' '] = "0s4k8s 4k4e", ['Z' - ' '] = "0s8s0e8e", ['[' - ' '] = "7s2s2b7b", ['\\' - ' '] = "0s8c",
    [']' - ' '] = "1s6s6b1b", ['^' - ' '] = "1o4s7o", ['_' - ' '] = "0d8d", ['`' - ' '] = "2s5p",
    ['a' - ' '] = "~1n2o8o8k 8k8e ~8k0k0e7e8h", ['b' - ' '] = "0e0s ~0e8e8o0o0e", ['c' - ' '] = "~8m7o0o0e7e8g", ['d' - ' '] = "8e8s ~0e8e8o0o0e",
    ['e' - ' '] = "0j8j ~8j8o0o0e7e8g", ['f' - ' '] = "~8s3s3n 3n3e 0o7o", ['g' - ' '] = "~0e8e8o0o0e 8o8d ~8d8a1a0c", ['h' - ' '] = "0e0s ~0k0o8o8k 8k8e",
    ['i' - ' '] = "4e4o 4r4s", ['j' - ' '] = "4o4c ~4c4a0a 4r4s", ['k' - ' '] = "0e0s 7o0i 3l8e", ['l' - ' '] = "4e4s",
    ['m' - ' '] = "0e0o ~0l0o4o4l 4l4e ~4l4o8o8l 8l8e", ['n' - ' '] = "0e0o ~0k0o8o8k 8k8e", ['o' - ' '] = "~0e8e8o0o0e", ['p' - ' '] = "0a0o ~0e8e8o0o0e",
    ['q' - ' '] = "8a8o ~0e8e8o0o0e", ['r' - ' '] = "2e2o ~2k2o8o", ['s' - ' '] = "~7m7o0o0j8j8e1e0g", ['t' - ' '] = "3s3h ~3h3e7e 0o7o",
    ['u' - ' '] = "0o0i ~0i0e8e8i 8o8e", ['v' - ' '] = "0o4e8o", ['w' - ' '] = "0o2e4m6e8o", ['x' - ' '] = "0e8o 0o8e", ['y' - ' '] = "0o4e 8o2a",
    ['z' - ' '] = "0o8o0e8e", ['{' - ' '] = "~7s4s4l1j ~1j4j4b7b", ['|' - ' '] = "4b4s", ['}' - ' '] = "~1s4s4l7j ~7j4j4b1b", ['~' - ' '] = "~0i2m6h8l",
};
static const char sharp_s[] = "0e0o ~0o0s7s7m3l ~3l8l8e3e", plus_minus[] = "0k8k 4g4o 0e8e", a_box[] = "1e7e7o1o1e";

enum { MOST_POINTS = 160 };

typedef struct stroke {
    double x[MOST_POINTS], y[MOST_POINTS];
    int n;
} stroke;

/* Each corner gives way to two points, a quarter of the way along its sides; ends stay, closed strokes stay closed. */
static void cut_corners(stroke *s)
{
    stroke from = *s;
    const bool closed = from.x[0] == from.x[from.n - 1] && from.y[0] == from.y[from.n - 1];
    s->n = 0;
    if (2 * from.n + 2 > MOST_POINTS) from.n = (MOST_POINTS - 2) / 2;
    if (!closed) s->x[0] = from.x[0], s->y[0] = from.y[0], s->n = 1;
    for (int i = 0; i + 1 < from.n; i++) {
        for (int k = 1; k <= 3; k += 2) {
            s->x[s->n] = from.x[i] + (from.x[i + 1] - from.x[i]) * k / 4;
            s->y[s->n++] = from.y[i] + (from.y[i + 1] - from.y[i]) * k / 4;
        }
    }
    s->x[s->n] = closed ? s->x[0] : from.x[from.n - 1];
    s->y[s->n] = closed ? s->y[0] : from.y[from.n - 1];
    s->n++;
}

/* Where a glyph stands: its left edge, its width and the base line, in pixels. */
typedef struct place {
    double x, y, width, size;
    double lift; /* of marks above capitals, in units of y */
} place;

static void put_strokes(lt_canvas *c, const char *p, const place *at, double radius)
{
    while (*p) {
        const bool round = *p == '~';
        stroke s = {.n = 0};
        if (round) p++;
        for (; *p && *p != ' '; p += 2) {
            s.x[s.n] = at->x + at->width * (p[0] - '0') / 8;
            s.y[s.n++] = at->y - at->size * 0.051 * (p[1] - 'e' + at->lift);
        }
        if (*p == ' ') p++;
        for (int i = 0; round && i < 3; i++) cut_corners(&s);
        for (int i = 0; i + 1 < s.n; i++) lt_canvas_line(c, s.x[i], s.y[i], s.x[i + 1], s.y[i + 1], radius);
    }
}

static void put_mark(lt_canvas *c, utf8proc_int32_t mark, const place *at, double radius)
{
    static const struct {
        utf8proc_int32_t mark;
        const char *strokes;
    } marks[] = {{0x300, "3s5q"}, {0x301, "3q5s"}, {0x302, "2q4s6q"}, {0x303, "~1q3s5q7s"}, {0x304, "2r6r"}, {0x308, "2r2s 6r6s"}, {0x30A, "~2q6q6t2t2q"}, {0x30C, "2s4q6s"}, {0x327, "~4e6c3a"}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (marks[i].mark == mark) put_strokes(c, marks[i].strokes, at, radius);
}

static const char *strokes_of(utf8proc_int32_t c)
{
    if (c >= ' ' && c <= '~') return glyphs[c - ' '];
    return c == 0xDF ? sharp_s : c == 0xB1 ? plus_minus : c == 0xA0 ? "" : a_box;
}

void lt_canvas_text(lt_canvas *c, const char *text, double x, double y, double size, bool bold)
{
    const double wider = bold ? 1.06 : 1, radius = size * (bold ? 0.075 : 0.047), side = 0.09 * size;
    for (const char *p = text, *end = text + strlen(text); p < end;) {
        uint32_t code;
        utf8proc_int32_t part[8];
        int kind = 0;
        p += lt_utf8_next(p, end, &code);
        const double advance = lt_plot_char_width(code) * size * wider;
        utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)code, part, 8, UTF8PROC_DECOMPOSE, &kind);
        if (n < 1 || n > 8) part[0] = (utf8proc_int32_t)code, n = 1;
        place at = {x + side, y, advance - 2 * side, size, 0};
        put_strokes(c, strokes_of(part[0]), &at, radius);
        if (part[0] >= 'A' && part[0] <= 'Z') at.lift = 3.5;
        for (utf8proc_ssize_t i = 1; i < n; i++) put_mark(c, part[i], &at, radius);
        x += advance;
    }
}
