/* Training logs as curves: JSON lines, each an object with a "step" that never falls; numbers inside are called by their path
 * ("valid.loss"). A last line without its end is one that a running training is about to write, or was killed in: left out. */
#include "lathe/json.h"
#include "lathe/plot.h"

#include <math.h>
#include <string.h>

typedef struct reader {
    lt_ctx *cx;
    const char *path;
    lt_log_x axis;
    const char *const *names;
    int n;
    lt_points *points;
    lt_log_names *known;
    double step, sum; /* so far: the last step, and what is summed up to it */
} reader;

/* The value at a path of keys with dots between them; NULL: none. */
static const lt_json *find(const lt_json *o, const char *name)
{
    char key[64];
    for (;;) {
        size_t n = strcspn(name, ".");
        if (n >= sizeof key) return NULL;
        memcpy(key, name, n);
        key[n] = 0;
        o = lt_json_get(o, key);
        if (!o || !name[n]) return o;
        name += n + 1;
    }
}

static bool is_number(const lt_json *v) { return lt_json_is(v) == LT_JSON_INT || lt_json_is(v) == LT_JSON_REAL; }

static void note(reader *r, const char *before, const char *key)
{
    lt_log_names *k = r->known;
    char name[160];
    size_t size = strlen(before) + strlen(key);
    if (k->n == (int)(sizeof k->name / sizeof *k->name) || size >= sizeof name - 1) return;
    strcpy(name, before);
    if (*before) strcat(name, ".");
    strcat(name, key);
    for (int i = 0; i < k->n; i++)
        if (!strcmp(k->name[i], name)) return;
    const char *kept = lt_sprintf(r->cx, "%s", name);
    if (kept) k->name[k->n++] = kept;
}

/* Names of the numbers of an object, and of the objects in it. */
static void note_all(reader *r, const lt_json *o)
{
    void *outer = NULL, *inner;
    const char *key, *key_in;
    const lt_json *v, *v_in;
    while (lt_json_each(o, &outer, &key, &v)) {
        if (is_number(v)) note(r, "", key);
        for (inner = NULL; lt_json_is(v) == LT_JSON_OBJECT && lt_json_each(v, &inner, &key_in, &v_in);)
            if (is_number(v_in)) note(r, key, key_in);
    }
}

/* Where the line stands on the x axis. Validations stand where their step stood. */
static double place(reader *r, const lt_json *o)
{
    if (r->axis == LT_LOG_STEP) return r->step;
    double tokens = lt_json_num(lt_json_get(o, "tokens"), 0), rate = lt_json_num(lt_json_get(o, "tokens_per_s"), 0);
    if (r->axis == LT_LOG_TOKENS) r->sum += fmax(tokens, 0);
    else if (rate > 0 && tokens > 0) r->sum += tokens / rate;
    return r->sum;
}

static bool take(reader *r, const lt_json *o, int64_t line)
{
    const lt_json *step = lt_json_get(o, "step");
    lt_ctx *cx = r->cx;
    bool is_step = lt_json_is(step) == LT_JSON_INT && lt_json_int(step, -1) >= 0;
    if (!lt_fail_if(cx, !is_step, LT_ERR_INPUT, "%s:%lld: expected a line of a training log, an object with \"step\", a whole number", r->path, (long long)line))
        return false;
    if (!lt_fail_if(cx, lt_json_num(step, 0) < r->step, LT_ERR_INPUT, "%s:%lld: step %.0f stands behind step %.0f; expected steps that rise", r->path, (long long)line,
                    lt_json_num(step, 0), r->step))
        return false;
    r->step = lt_json_num(step, 0);
    double x = place(r, o);
    for (int i = 0; i < r->n; i++) {
        const lt_json *v = find(o, r->names[i]);
        if (!v) continue;
        bool fits = is_number(v) || lt_json_is(v) == LT_JSON_NULL;
        if (!lt_fail_if(cx, !fits, LT_ERR_INPUT, "%s:%lld: %s: expected a number", r->path, (long long)line, r->names[i])) return false;
        lt_points *p = &r->points[i];
        p->x[p->n] = x;
        p->y[p->n++] = lt_json_num(v, NAN);
    }
    if (r->known) note_all(r, o);
    return lt_ok(cx);
}

static bool read_line(reader *r, const char *text, size_t size, int64_t line)
{
    lt_json *o = lt_json_parse_at(r->cx, text, size, r->path, (size_t)line, 1);
    bool good = o && take(r, o, line);
    lt_json_free(o);
    return good;
}

static bool read_lines(reader *r, const char *text, size_t size)
{
    const char *p = text, *end = p + size, *stop;
    int64_t line = 0;
    for (; p < end && (stop = memchr(p, '\n', (size_t)(end - p))); p = stop + 1) {
        line++;
        const char *some = p;
        while (some < stop && (*some == ' ' || *some == '\t' || *some == '\r')) some++;
        if (some == stop) continue;
        if (!read_line(r, p, (size_t)(stop - p), line)) return false;
    }
    /* A program that ends its last line with nothing meant it, if it is whole. */
    if (p < end && end[-1] == '}' && !read_line(r, p, (size_t)(end - p), line + 1)) return false;
    return lt_fail_if(r->cx, line == 0 && r->step < 0, LT_ERR_INPUT, "%s: no line; expected a training log, a JSON object a line", r->path);
}

bool lt_log_parse(lt_ctx *cx, const char *text, size_t size, const char *path, lt_log_x x, const char *const *names, int n, lt_points *points, lt_log_names *known)
{
    reader r = {cx, path, x, names, n, points, known, -1, 0};
    int64_t lines = 1;
    if (!lt_ok(cx)) return false;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    for (int i = 0; i < n; i++) {
        points[i] = (lt_points){lt_alloc_array(cx, lines, sizeof(double)), lt_alloc_array(cx, lines, sizeof(double)), 0};
        if (!points[i].x || !points[i].y) return false;
    }
    return read_lines(&r, text, size);
}

bool lt_log_read(lt_ctx *cx, const char *path, lt_log_x x, const char *const *names, int n, lt_points *points, lt_log_names *known)
{
    lt_map map;
    if (!lt_ok(cx) || !lt_map_open(cx, &map, path)) return false;
    bool good = lt_log_parse(cx, (const char *)map.data, map.size, path, x, names, n, points, known);
    lt_map_close(&map);
    return good;
}
