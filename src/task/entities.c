/* Entities in sequences of tags, as conlleval (Tjong Kim Sang & De Meulder 2003) reads them and seqeval's default mode after it: an entity begins
 * and ends where two neighbouring tags say so, so IOB1, IOB2, IOE and BIOES need not be told apart. One that was got is right if type,
 * beginning and end are those of one that was wanted. */
#include "lathe/task.h"

#include <string.h>

typedef struct tag {
    uint32_t letter; /* B, I, E, S, O, or whatever stands there */
    int32_t type;
} tag;

/* "B-PER" is B of type PER; what comes behind the letter without a dash is a type too, and nothing at all is one of its own. */
static bool read_tag(lt_ctx *cx, lt_entity_counts *c, const char *text, tag *t)
{
    const char *end = text + strlen(text), *rest = text;
    if (!lt_fail_if(cx, !*text, LT_ERR_INPUT, "a tag is empty")) return false;
    rest += lt_utf8_next(text, end, &t->letter);
    const char *dash = memchr(rest, '-', (size_t)(end - rest));
    if (dash) rest = dash + 1;
    if (rest == end) {
        rest = "_";
        end = rest + 1;
    }
    t->type = lt_label_number(cx, &c->type, rest, (size_t)(end - rest));
    return t->type >= 0;
}

static bool is_inside(uint32_t letter) { return letter != 'O' && letter != '.'; }

static bool ends(const struct lt_chunk_state *last, tag t)
{
    const uint32_t a = last->tag, b = t.letter;
    if (a == 'E' || a == 'S') return true;
    if ((a == 'B' || a == 'I') && (b == 'B' || b == 'S' || b == 'O')) return true;
    return a && is_inside(a) && last->type != t.type;
}

static bool begins(const struct lt_chunk_state *last, tag t)
{
    const uint32_t a = last->tag, b = t.letter;
    if (b == 'B' || b == 'S') return true;
    if ((!a || a == 'E' || a == 'S' || a == 'O') && (b == 'E' || b == 'I')) return true;
    return is_inside(b) && (!a || last->type != t.type);
}

static bool grow(lt_ctx *cx, lt_entity_counts *c)
{
    if (c->types >= c->type.n) return true;
    const int32_t types = c->type.room; /* as many as there are names for */
    struct lt_entity_type *more = lt_resize(cx, c->of, types, sizeof *more);
    if (!more) return false;
    memset(more + c->types, 0, (size_t)(types - c->types) * sizeof *more);
    c->of = more;
    c->types = types;
    return true;
}

/* What ends before tag t of place i on each side, and whether that is the same. */
static void step(lt_entity_counts *c, const tag t[2], int64_t i)
{
    bool ended[2];
    struct lt_chunk_state was[2];
    for (int side = 0; side < 2; side++) {
        struct lt_chunk_state *s = &c->state[side];
        was[side] = *s;
        ended[side] = ends(s, t[side]);
        if (ended[side]) ++*(side ? &c->of[s->type].got : &c->of[s->type].want);
        if (begins(s, t[side])) s->begin = i;
        s->tag = t[side].letter;
        s->type = t[side].type;
    }
    if (ended[0] && ended[1] && was[0].type == was[1].type && was[0].begin == was[1].begin) c->of[was[0].type].right++;
}

bool lt_entity_count(lt_ctx *cx, lt_entity_counts *c, const char *const *want, const char *const *got, int64_t n)
{
    tag t[2];
    for (int64_t i = 0; i <= n; i++) { /* an O ends each sequence */
        if (!read_tag(cx, c, i < n ? want[i] : "O", &t[0]) || !read_tag(cx, c, i < n ? got[i] : "O", &t[1]) || !grow(cx, c))
            return false;
        step(c, t, c->tags + i);
        if (i < n) c->right += strcmp(want[i], got[i]) == 0;
    }
    c->tags += n;
    return true;
}

void lt_entity_counts_free(lt_entity_counts *c)
{
    lt_label_set_free(&c->type);
    lt_free(c->of);
    *c = (lt_entity_counts){0};
}

lt_prf lt_entity_score(const lt_entity_counts *c, int32_t type)
{
    int64_t right = 0, got = 0, want = 0;
    for (int32_t i = type < 0 ? 0 : type; i < (type < 0 ? c->types : type + 1); i++) {
        right += c->of[i].right;
        got += c->of[i].got;
        want += c->of[i].want;
    }
    return (lt_prf){.precision = got ? (double)right / (double)got : 0,
                    .recall = want ? (double)right / (double)want : 0,
                    .f1 = right ? 2 * (double)right / (double)(want + got) : 0,
                    .support = want};
}
