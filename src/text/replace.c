/* Replace and Split: what patterns are for. */
#include "text/kinds.h"
#include "text/pattern.h"

typedef struct {
    const lt_pattern *pattern;
    lt_string content;
} replacement;

const void *lt_replacement_parse(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    replacement *r = lt_keep(cx, t, sizeof *r, NULL);
    if (!r) return NULL;
    r->pattern = lt_pattern_parse(cx, t, o, where, "pattern");
    r->content.text = r->pattern ? lt_part_text(cx, t, o, where, "content", "", &r->content.size) : NULL;
    return r->content.text ? r : NULL;
}

typedef struct {
    const replacement *r;
    lt_edit edit;
    bool any;
} replacing;

static void copy_until(lt_edit *e, uint32_t end)
{
    while (e->at < end && !e->failed) {
        uint32_t c;
        lt_utf8_next(e->from->text + e->at, e->from->text + e->from->size, &c);
        lt_edit_put(e, c, 0);
    }
}

/* What comes in has the origin of the match's last code point. */
static bool replace_match(void *arg, uint32_t start, uint32_t end)
{
    replacing *x = arg;
    lt_edit *e = &x->edit;
    if (!x->any) {
        lt_ctx *cx = e->cx;
        *e = lt_edit_begin(cx, e->from);
        x->any = true;
    }
    copy_until(e, start);
    lt_edit_skip(e, end - e->at);
    uint32_t c;
    for (const char *s = x->r->content.text, *stop = s + x->r->content.size; s < stop && !e->failed;) {
        s += lt_utf8_next(s, stop, &c);
        lt_edit_put(e, c, 1);
    }
    return !e->failed;
}

bool lt_replace_all(lt_ctx *cx, const void *self, lt_piece *p)
{
    replacing x = {.r = self, .edit = {.cx = cx, .from = p}};
    if (!lt_pattern_find(cx, x.r->pattern, p->text, p->size, replace_match, &x)) return false;
    if (!x.any) return true;
    copy_until(&x.edit, p->size);
    return lt_edit_end(&x.edit, p);
}

/* ---- Split ---- */

typedef struct {
    const lt_pattern *pattern;
    lt_cut_behavior behavior;
    bool invert;
} split;

static const void *parse_split(lt_ctx *cx, lt_tokenizer *t, const lt_json *o, const char *where)
{
    split *s = lt_keep(cx, t, sizeof *s, NULL);
    if (!s) return NULL;
    s->pattern = lt_pattern_parse(cx, t, o, where, "pattern");
    s->invert = lt_part_bool(cx, t, o, where, "invert", false);
    return s->pattern && lt_cut_behavior_parse(cx, t, o, where, NULL, &s->behavior) && lt_ok(cx) ? s : NULL;
}

typedef struct {
    lt_cut cut;
    uint32_t done;
    bool invert;
} splitting;

static bool split_match(void *arg, uint32_t start, uint32_t end)
{
    splitting *x = arg;
    if (x->done != start && !lt_cut_put(&x->cut, x->done, start, x->invert)) return false;
    x->done = end;
    return lt_cut_put(&x->cut, start, end, !x->invert);
}

static bool cut_split(lt_ctx *cx, const void *self, const lt_piece *p, lt_pieces *out)
{
    const split *s = self;
    splitting x = {.cut = {.cx = cx, .piece = p, .out = out, .behavior = s->behavior}, .invert = s->invert};
    if (!lt_pattern_find(cx, s->pattern, p->text, p->size, split_match, &x)) return false;
    if (x.done != p->size && !lt_cut_put(&x.cut, x.done, p->size, s->invert)) return false;
    return lt_cut_end(&x.cut);
}

const lt_part_kind lt_normalizer_replace = {.is = {"normalizer", "Replace", "a pattern's matches replaced", ""},
                                            .parse = lt_replacement_parse,
                                            .normalize = lt_replace_all};
const lt_part_kind lt_pre_split = {
    .is = {"pre-tokenizer", "Split", "cuts at a pattern's matches", ""}, .parse = parse_split, .cut = cut_split};
