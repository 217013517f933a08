/* Patterns on PCRE2, just-in-time compiled. The library bounds the work of one try at matching; here the tries between two looks
 * at the clock are few where tries are slow, so that no pattern and no text can hang the program. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pattern.h"

#include <inttypes.h>
#include <pcre2.h>
#include <time.h>

enum { MATCH_LIMIT = 10000000, HEAP_LIMIT_KIB = 262144, FIRST_TRIES = 16, MOST_TRIES = 65536 };
/* What a text may take, in seconds: a hundred times what patterns of published tokenizers do. */
static const double SECONDS = 0.1, SECONDS_A_BYTE = 1e-6, SLOW_WINDOW = 1e-3;

struct lt_pattern {
    const char *text; /* a literal, not empty; NULL: see code */
    size_t size;
    pcre2_code *code;
    const lt_tokenizer *t;
};

static void destroy(void *self)
{
    lt_pattern *x = self;
    if (x->code) pcre2_code_free(x->code);
}

static bool compile(lt_ctx *cx, lt_pattern *x, const char *where, const char *regex, size_t size)
{
    lt_str s = {0};
    bool ok = lt_pattern_translate(regex, size, &s);
    lt_fail_if(cx, s.failed, LT_ERR_MEMORY, "%s: %s: no memory to compile it", x->t->file, where);
    lt_fail_if(cx, !ok, LT_ERR_UNSUPPORTED, "%s: %s: in the regular expression, %s is not supported", x->t->file, where,
               s.data ? s.data : "this");
    pcre2_compile_context *how = lt_ok(cx) ? pcre2_compile_context_create(NULL) : NULL;
    int error = 0;
    PCRE2_SIZE at = 0;
    if (how) {
        pcre2_set_newline(how, PCRE2_NEWLINE_LF);
        uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT;
        x->code = pcre2_compile((PCRE2_SPTR)(s.data ? s.data : ""), s.size, options, &error, &at, how);
        pcre2_compile_context_free(how);
    }
    if (x->code) {
        pcre2_jit_compile(x->code, PCRE2_JIT_COMPLETE); /* without it, the interpreter runs */
    } else if (lt_ok(cx)) {
        PCRE2_UCHAR text[160] = "no memory";
        pcre2_get_error_message(error, text, sizeof text);
        lt_fail(cx, LT_ERR_INPUT, "%s: %s: the regular expression does not compile: %s", x->t->file, where, (char *)text);
    }
    lt_str_free(&s);
    return x->code != NULL;
}

const lt_pattern *lt_pattern_parse(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where, const char *key)
{
    const lt_json *v = lt_json_get(o, key);
    size_t size;
    const char *literal = lt_json_text(lt_json_get(v, "String"), NULL), *regex = lt_json_text(lt_json_get(v, "Regex"), &size);
    lt_pattern *x = lt_keep(cx, t, sizeof *x, destroy);
    if (!x) return NULL;
    x->t = t;
    if (!literal == !regex)
        return lt_fail(cx, LT_ERR_INPUT, "%s: %s.%s: expected {\"String\": \"…\"} or {\"Regex\": \"…\"}", t->file, where, key);
    if (literal && (x->text = lt_part_text(cx, t, v, where, "String", "", &x->size)) == NULL) return NULL;
    if (literal && x->size) return x;
    x->text = NULL;
    return compile(cx, x, where, regex ? regex : "", regex ? size : 0) ? x : NULL;
}

/* ---- matching ---- */

static bool find_literal(const lt_pattern *x, const char *text, uint32_t size, lt_found *found, void *arg)
{
    for (const char *s = text, *end = text + size; (s = memmem(s, (size_t)(end - s), x->text, x->size)) != NULL; s += x->size)
        if (!found(arg, (uint32_t)(s - text), (uint32_t)(s - text + (ptrdiff_t)x->size))) return false;
    return true;
}

typedef struct {
    lt_ctx *cx;
    const lt_pattern *x;
    const char *text;
    uint32_t size;
    pcre2_match_data *data;
    pcre2_match_context *how;
    uint32_t tries; /* places to try before the next look at the clock */
    double now, until, cpu_until;
} matcher;

/* Whether the time is up: by the wall's clock first, which is cheap to read, then by this thread's, which others cannot slow. */
static bool is_late(matcher *m)
{
    double before = m->now, allowed = SECONDS + SECONDS_A_BYTE * m->size;
    m->now = lt_now();
    if (m->now - before > SLOW_WINDOW) m->tries = m->tries / 2 + 1;
    if (m->now <= m->until) return false;
    struct timespec t = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    double cpu = (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
    if (m->cpu_until <= 0) m->cpu_until = cpu + allowed;
    m->until = m->now + allowed / 8;
    return cpu > m->cpu_until;
}

/* The first match that begins in [at, at + tries): its return code is PCRE2's. */
static int match_window(matcher *m, uint32_t at)
{
    pcre2_set_offset_limit(m->how, (PCRE2_SIZE)at + m->tries - 1);
    int rc = pcre2_match(m->x->code, (PCRE2_SPTR)m->text, m->size, at, PCRE2_NO_UTF_CHECK, m->data, m->how);
    if (rc != PCRE2_ERROR_JIT_STACKLIMIT) return rc;
    return pcre2_match(m->x->code, (PCRE2_SPTR)m->text, m->size, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->data, m->how);
}

static int give_up(matcher *m, int rc)
{
    bool slow =
        rc == PCRE2_ERROR_NOMATCH || rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT;
    if (slow)
        lt_fail(m->cx, LT_ERR_INPUT, "%s: a pattern takes too long on a text of %" PRIu32 " bytes", m->x->t->file, m->size);
    else
        lt_fail(m->cx, LT_ERR_MEMORY, "%s: a pattern could not be matched (PCRE2 error %d)", m->x->t->file, rc);
    return -1;
}

/* 1: a match, 0: none, -1: an error. */
static int find_next(matcher *m, uint32_t at, uint32_t *start, uint32_t *end)
{
    while (at <= m->size) {
        int rc = match_window(m, at);
        if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) return give_up(m, rc);
        if (is_late(m)) return give_up(m, PCRE2_ERROR_NOMATCH);
        if (rc >= 0) {
            PCRE2_SIZE *v = pcre2_get_ovector_pointer(m->data);
            *start = (uint32_t)v[0];
            *end = (uint32_t)v[1];
            return 1;
        }
        if (!lt_ok(m->cx)) return -1;
        at += m->tries;
        while (at < m->size && ((uint8_t)m->text[at] & 0xC0) == 0x80) at++;
        if (m->tries < MOST_TRIES) m->tries *= 2;
    }
    return 0;
}

static bool find_regex(matcher *m, lt_found *found, void *arg)
{
    uint32_t at = 0, start, end, last = UINT32_MAX;
    while (at <= m->size) {
        int rc = find_next(m, at, &start, &end);
        if (rc <= 0) return rc == 0;
        if (start == end && end == last) { /* empty, where the last one ended: try one further */
            do at++;
            while (at < m->size && ((uint8_t)m->text[at] & 0xC0) == 0x80);
            continue;
        }
        if (!found(arg, start, end)) return false;
        at = last = end;
    }
    return true;
}

bool lt_pattern_find(lt_ctx *cx, const lt_pattern *x, const char *text, uint32_t size, lt_found *found, void *arg)
{
    if (!size) return true;
    if (x->text) return find_literal(x, text, size, found, arg);
    double now = lt_now();
    matcher m = {.cx = cx,
                 .x = x,
                 .text = text,
                 .size = size,
                 .tries = FIRST_TRIES,
                 .now = now,
                 .until = now + SECONDS + SECONDS_A_BYTE * size};
    m.data = pcre2_match_data_create_from_pattern(x->code, NULL);
    m.how = pcre2_match_context_create(NULL);
    bool ok = lt_fail_if(cx, !m.data || !m.how, LT_ERR_MEMORY, "no memory to match a pattern");
    if (ok) {
        pcre2_set_match_limit(m.how, MATCH_LIMIT);
        pcre2_set_heap_limit(m.how, HEAP_LIMIT_KIB);
        ok = find_regex(&m, found, arg);
    }
    pcre2_match_data_free(m.data);
    pcre2_match_context_free(m.how);
    return ok;
}
