/* Pieces of text and their origins: slicing them, rewriting them with alignments kept, and cutting them at delimiters in the
 * five ways there are. Alignments follow Hugging Face tokenizers' NormalizedString, quirks included. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "text/tokenizer.h"

void *lt_scope_grow(lt_ctx *cx, void *p, int64_t n, int64_t more, int64_t *capacity, size_t size)
{
    if (n + more <= *capacity) return p;
    int64_t wide = *capacity * 2 > n + more ? *capacity * 2 : n + more + 16;
    void *q = lt_alloc_array(cx, wide, size);
    if (!q) return NULL;
    if (n) memcpy(q, p, (size_t)n * size);
    *capacity = wide;
    return q;
}

bool lt_pieces_add(lt_ctx *cx, lt_pieces *ps, const lt_piece *from, uint32_t start, uint32_t end, int32_t id)
{
    if (start >= end) return true;
    if (ps->n == ps->capacity) {
        int64_t capacity = ps->capacity;
        lt_piece *at = lt_scope_grow(cx, ps->at, ps->n, 1, &capacity, sizeof *at);
        if (!at) return false;
        ps->at = at;
        ps->capacity = (int32_t)capacity;
    }
    ps->at[ps->n++] =
        (lt_piece){from->text + start, from->align ? from->align + start : NULL, end - start, from->base + start, id, 0};
    return true;
}

static bool continues(const lt_piece *p, uint32_t i) { return i < p->size && ((uint8_t)p->text[i] & 0xC0) == 0x80; }

lt_span lt_piece_span(const lt_piece *p, uint32_t start, uint32_t end)
{
    if (end > p->size || start >= end) return (lt_span){start, end}; /* what no text stands behind, as the reference has it */
    if (p->align) return (lt_span){p->align[start].start, p->align[end - 1].end};
    while (start > 0 && continues(p, start)) start--;
    while (continues(p, end)) end++;
    return (lt_span){p->base + start, p->base + end};
}

bool lt_tokens_add(lt_ctx *cx, lt_tokens *ts, int32_t id, uint32_t start, uint32_t end)
{
    if (ts->n == ts->capacity) {
        int64_t capacity = ts->capacity;
        lt_token *at = lt_scope_grow(cx, ts->at, ts->n, 1, &capacity, sizeof *at);
        if (!at) return false;
        ts->at = at;
        ts->capacity = (int32_t)capacity;
    }
    ts->at[ts->n++] = (lt_token){id, start, end, -1, -1};
    return true;
}

/* ---- rewriting ---- */

lt_edit lt_edit_begin(lt_ctx *cx, const lt_piece *from)
{
    lt_edit e = {.cx = cx, .from = from};
    e.capacity = (int64_t)from->size + from->size / 8 + 16;
    e.text = lt_alloc_array(cx, e.capacity, 1);
    e.align = lt_alloc_array(cx, e.capacity, sizeof *e.align);
    e.failed = !e.text || !e.align;
    return e;
}

static uint32_t size_at(const lt_piece *p, uint32_t at)
{
    if (at >= p->size) return 0;
    uint8_t c = (uint8_t)p->text[at];
    return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

uint32_t lt_most_bytes(uint32_t size) { return size < (1u << 24) ? size * 64 + 256 : INT32_MAX; }

static bool make_room(lt_edit *e)
{
    if (e->from->most && e->size > e->from->most) {
        lt_fail(e->cx, LT_ERR_INPUT, "a text of %" PRIu32 " bytes grows beyond all measure when it is normalised", e->from->size);
        e->failed = true;
        return false;
    }
    int64_t capacity = e->capacity, again = e->capacity;
    e->text = lt_scope_grow(e->cx, e->text, e->size, 4, &capacity, 1);
    if (e->text) e->align = lt_scope_grow(e->cx, e->align, e->size, 4, &again, sizeof *e->align);
    e->failed = !e->text || !e->align;
    e->capacity = capacity;
    return !e->failed;
}

void lt_edit_put(lt_edit *e, uint32_t c, int32_t change)
{
    if (e->failed || (e->size + 4 > e->capacity && !make_room(e))) return;
    lt_span origin = {0, 0};
    if (change > 0) {
        if (e->at > 0) origin = lt_piece_span(e->from, e->at - 1, e->at);
    } else {
        uint32_t size = size_at(e->from, e->at);
        if (size) origin = lt_piece_span(e->from, e->at, e->at + size);
        e->at += size;
        for (; change < 0; change++) e->at += size_at(e->from, e->at);
    }
    int n = lt_utf8_put(c, e->text + e->size);
    for (int i = 0; i < n; i++) e->align[e->size++] = origin;
}

void lt_edit_skip(lt_edit *e, uint32_t bytes) { e->at += bytes; }

bool lt_edit_end(lt_edit *e, lt_piece *p)
{
    if (e->failed) return false;
    if (e->size > INT32_MAX)
        return lt_fail_if(e->cx, true, LT_ERR_INPUT, "a text of %" PRId64 " bytes once normalised, expected less than 2 GiB",
                          e->size);
    p->text = e->text;
    p->align = e->align;
    p->size = (uint32_t)e->size;
    return true;
}

/* ---- cutting ---- */

static bool release(lt_cut *c)
{
    bool held = c->held;
    c->held = false;
    return !held || lt_pieces_add(c->cx, c->out, c->piece, c->start, c->end, -1);
}

/* MergedWithNext is the mirror of MergedWithPrevious: a match is held back and joins what follows, unless that is a match. */
bool lt_cut_put(lt_cut *c, uint32_t start, uint32_t end, bool match)
{
    bool join = false, before = c->before;
    c->before = match;
    switch (c->behavior) {
    case LT_CUT_REMOVED:
        if (match) return release(c);
        break;
    case LT_CUT_ISOLATED:
        break;
    case LT_CUT_CONTIGUOUS:
        join = c->held && match == before;
        break;
    case LT_CUT_PREVIOUS:
        join = c->held && match && !before;
        break;
    case LT_CUT_NEXT:
        join = c->held && !match && before;
        break;
    }
    if (join) {
        c->end = end;
        return true;
    }
    if (!release(c)) return false;
    c->start = start;
    c->end = end;
    return c->held = true;
}

bool lt_cut_end(lt_cut *c) { return release(c); }

bool lt_cut_behavior_parse(lt_ctx *cx, const lt_tokenizer *t, const lt_json *o, const char *where, const char *otherwise,
                           lt_cut_behavior *out)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const lt_json *v = lt_json_get(o, "behavior");
    const char *name = v ? lt_json_text(v, NULL) : otherwise;
    for (int i = 0; name && i < 5; i++)
        if (!strcmp(name, names[i])) {
            *out = (lt_cut_behavior)i;
            return true;
        }
    return lt_fail_if(cx, true, LT_ERR_INPUT,
                      "%s: %s.behavior: expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous", t->file,
                      where);
}

/* ---- time ---- */

bool lt_patient(lt_ctx *cx, lt_patience *p, int32_t i)
{
    if ((i & 7) != 7) return true;
    double now = lt_now(), allowed = 1 + 1e-4 * i;
    if (p->wall <= 0) p->wall = now;
    if (now - p->wall <= allowed) return true;
    struct timespec t = {0}; /* others may have slowed this thread: ask its own clock */
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    double cpu = (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
    if (p->cpu <= 0) p->cpu = cpu;
    return lt_fail_if(cx, cpu - p->cpu > allowed, LT_ERR_INPUT, "patterns take too long on a text");
}
