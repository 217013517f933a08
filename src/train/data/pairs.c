/* Pairs of neighbouring texts out of documents. Next sentence prediction (Devlin et al. 2019, as their released code does it): sentences are gathered up to
 * a length, cut in two between sentences, and the second part is replaced half of the time by one of another document; what it replaced begins the
 * next pair. Sentence order prediction (ALBERT, Lan et al. 2020, arXiv 1909.11942): the two change places half of the time. What is too long loses
 * tokens of the longer part, at its beginning or end by chance. Every draw is a function of seed, copy and document. */
#include "train/train.h"

#include <string.h>

enum { SITE_PAIRS = 20 };

typedef struct pairing {
    lt_run *r;
    const lt_examples *s;
    lt_examples *e;
    int64_t *begin;   /* [documents + 1] where each begins in s, empty ones left out */
    int64_t *end;
    int64_t documents;
    int32_t cls, sep, most; /* most: tokens of both parts */
    int32_t *a, *b, *ids, *types;
    uint8_t *special;
    uint32_t copy, document, draws;
} pairing;

static uint32_t draw(pairing *p)
{
    const uint64_t seed = p->r->o->seed;
    uint32_t bits[4];
    lt_philox((const uint32_t[4]){p->draws++, p->document, p->copy, SITE_PAIRS}, (const uint32_t[2]){(uint32_t)seed, (uint32_t)(seed >> 32)}, bits);
    return bits[0];
}

static int64_t pick(pairing *p, int64_t low, int64_t high) { return low + (int64_t)(((uint64_t)draw(p) * (uint64_t)(high - low + 1)) >> 32); }
static bool by_chance(pairing *p, double share) { return draw(p) < share * 0x1p32; }

/* Sentences one behind another; no more than `room` tokens are kept, which is more than a pair can use. */
static bool gather(lt_ctx *cx, const pairing *p, int64_t begin, int64_t end, int32_t *to, int32_t room, int32_t *n)
{
    *n = 0;
    for (int64_t i = begin; i < end; i++) {
        lt_scope scope = lt_open(cx, NULL);
        const int32_t size = p->s->at[i].n;
        int32_t *ids = lt_alloc_array(cx, size, sizeof *ids);
        const bool good = ids && lt_example_read(cx, p->s, i, ids, NULL, NULL);
        for (int32_t k = 0; good && k < size && *n < room; k++) to[(*n)++] = ids[k];
        lt_end(cx, scope);
        if (!good) return false;
    }
    return true;
}

static int32_t put(pairing *p, int32_t at, const int32_t *ids, int32_t n, int32_t type)
{
    for (int32_t i = 0; i <= n; i++, at++) {
        p->ids[at] = i < n ? ids[i] : p->sep;
        p->types[at] = type;
        p->special[at] = i == n;
    }
    return at;
}

static bool emit(lt_ctx *cx, pairing *p, const int32_t *a, int32_t n, const int32_t *b, int32_t m, bool wrong)
{
    int32_t a_begin = 0, b_begin = 0;
    while (n + m > p->most) { /* token by token, as the released code does */
        const bool front = by_chance(p, 0.5);
        if (n > m) a_begin += front, n--;
        else b_begin += front, m--;
    }
    if (n == 0 || m == 0) {
        p->e->skipped++;
        return true;
    }
    p->ids[0] = p->cls;
    p->types[0] = 0;
    p->special[0] = 1;
    const int32_t all = put(p, put(p, 1, a + a_begin, n, 0), b + b_begin, m, 1);
    return p->r->objective->block(cx, p->r, p->e, &(lt_joined){p->ids, p->types, p->special, all, wrong});
}

/* A text of another document, from a sentence of it on; ten tries to find another, as in the released code. */
static bool of_another(lt_ctx *cx, pairing *p, int64_t own, int32_t want, int32_t room, int32_t *n)
{
    int64_t d = own;
    for (int i = 0; i < 10 && d == own; i++) d = pick(p, 0, p->documents - 1);
    if (d == own) d = (own + 1) % p->documents;
    const int64_t first = pick(p, p->begin[d], p->end[d] - 1);
    int64_t last = first;
    for (int32_t sum = 0; last < p->end[d] && sum < want; last++) sum += p->s->at[last].n < want ? p->s->at[last].n : want;
    return gather(cx, p, first, last > first ? last : first + 1, p->b, room, n);
}

/* Sentences [begin, end) of document d as a pair. *unused: how many of them are left for the next. */
static bool pair_of(lt_ctx *cx, pairing *p, int64_t d, int64_t begin, int64_t end, int32_t target, int32_t room, int64_t *unused)
{
    const int64_t cut = begin + (end - begin >= 2 ? pick(p, 1, end - begin - 1) : 1);
    int32_t n, m;
    *unused = 0;
    if (!gather(cx, p, begin, cut, p->a, room, &n)) return false;
    if (p->r->objective->swaps) {
        const bool swap = by_chance(p, 0.5);
        if (cut == end) return p->e->skipped++, true;
        return gather(cx, p, cut, end, p->b, room, &m) && (swap ? emit(cx, p, p->b, m, p->a, n, true) : emit(cx, p, p->a, n, p->b, m, false));
    }
    if (cut < end && !by_chance(p, 0.5)) return gather(cx, p, cut, end, p->b, room, &m) && emit(cx, p, p->a, n, p->b, m, false);
    *unused = end - cut;
    return of_another(cx, p, d, target > n ? target - n : 1, room, &m) && emit(cx, p, p->a, n, p->b, m, true);
}

static bool pairs_of(lt_ctx *cx, pairing *p, int64_t d)
{
    p->document = (uint32_t)d;
    p->draws = 0;
    const int32_t room = 2 * p->most + 2; /* a longer part is cut to less at either end */
    const int32_t target = by_chance(p, p->r->o->short_pairs) ? (int32_t)pick(p, 2, p->most) : p->most;
    int64_t first = p->begin[d];
    int32_t length = 0;
    for (int64_t i = first; i < p->end[d]; i++) {
        const int32_t size = p->s->at[i].n;
        length = size < target - length ? length + size : target;
        const bool enough = length >= target && (i > first || !p->r->objective->swaps); /* one sentence has no order */
        if (i + 1 < p->end[d] && !enough) continue;
        int64_t unused;
        if (!lt_ok(cx) || !pair_of(cx, p, d, first, i + 1, target, room, &unused)) return false;
        i -= unused;
        first = i + 1;
        length = 0;
    }
    return true;
}

static bool find_documents(lt_ctx *cx, pairing *p)
{
    int64_t most = 1, first = 0;
    for (int64_t i = 0; i < p->s->n; i++) most += p->s->at[i].n == 0;
    p->begin = lt_new(cx, most, sizeof *p->begin);
    p->end = lt_new(cx, most, sizeof *p->end);
    for (int64_t i = 0; p->begin && p->end && i <= p->s->n; i++) {
        if (i < p->s->n && p->s->at[i].n) continue;
        if (i > first) {
            p->begin[p->documents] = first;
            p->end[p->documents++] = i;
        }
        first = i + 1;
    }
    return p->begin && p->end &&
           lt_fail_if(cx, p->documents == 1 && !p->r->objective->swaps, LT_ERR_INPUT, "%s: one document: more are expected, with an empty line between two",
                      p->r->o->data[0]);
}

bool lt_pairs_make(lt_ctx *cx, lt_run *r, const lt_examples *sentences, lt_examples *e)
{
    const lt_tokenizer_info *t = lt_tokenizer_about(r->tokenizer);
    pairing p = {.r = r, .s = sentences, .e = e, .cls = t->cls, .sep = t->sep, .most = r->limit - 3};
    if (!lt_fail_if(cx, t->cls < 0 || t->sep < 0, LT_ERR_INPUT, "%s: the tokenizer has no tokens to begin a pair with and to separate it", r->o->model) ||
        !lt_fail_if(cx, p.most < 2, LT_ERR_USAGE, "max-tokens: %d leave no room for a pair", r->limit))
        return false;
    lt_scope scope = lt_open(cx, NULL);
    const int64_t room = 2 * (int64_t)p.most + 2;
    p.a = lt_alloc_array(cx, room, sizeof *p.a);
    p.b = lt_alloc_array(cx, room, sizeof *p.b);
    p.ids = lt_alloc_array(cx, r->limit, sizeof *p.ids);
    p.types = lt_alloc_array(cx, r->limit, sizeof *p.types);
    p.special = lt_alloc_array(cx, r->limit, sizeof *p.special);
    bool good = p.a && p.b && p.ids && p.types && p.special && find_documents(cx, &p);
    for (; good && p.copy < (uint32_t)r->o->pair_copies; p.copy++)
        for (int64_t d = 0; good && d < p.documents; d++) good = pairs_of(cx, &p, d);
    lt_free(p.begin);
    lt_free(p.end);
    lt_end(cx, scope);
    return good;
}
