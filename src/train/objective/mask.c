/* Which tokens are hidden, and by what. Units are pieces (Devlin et al. 2019), whole words (their later release, 2019), or spans of words of geometric
 * length (SpanBERT, Joshi et al. 2020, arXiv 1907.10529, section 3.1). How many are taken follows one of the three rules in use: each by itself
 * (Bernoulli); the floor of their share plus a random unit, whose mean is the share (fairseq's RoBERTa); their rounded share with a cap (BERT's release).
 * Every draw is a function of seed, example, epoch and place. */
#include "train/objective/mask.h"

#include <math.h>
#include <string.h>

enum { SITE_MASK = 3, SITE_PICK = 17, SITE_COUNT = 18, NOT_TAKEN = -1 };

typedef struct drawing {
    const lt_masker *m;
    uint32_t example, epoch;
    uint32_t draws; /* of SITE_PICK so far */
} drawing;

static void draw(const drawing *d, uint32_t place, uint32_t site, uint32_t bits[4])
{
    const uint32_t key[2] = {(uint32_t)d->m->seed, (uint32_t)(d->m->seed >> 32)};
    lt_philox((const uint32_t[4]){d->example, place, d->epoch, site}, key, bits);
}

/* The next of a row of draws from 0 to n - 1. */
static int32_t pick(drawing *d, int32_t n)
{
    uint32_t bits[4];
    draw(d, d->draws++, SITE_PICK, bits);
    return (int32_t)(((uint64_t)bits[0] * (uint64_t)n) >> 32);
}

static double unit_draw(const drawing *d)
{
    uint32_t bits[4];
    draw(d, 0, SITE_COUNT, bits);
    return bits[0] * 0x1p-32;
}

/* ---- units ---- */

typedef struct stretch {
    int32_t begin, end;
} stretch;

/* Runs of tokens that may be hidden: a word each, or a piece. */
static int32_t find_units(const lt_masker *m, int32_t n, const int32_t *ids, const int32_t *labels, stretch *u)
{
    int32_t units = 0;
    for (int32_t k = 0; k < n; k++) {
        if (labels[k] < 0) continue;
        const bool known = ids[k] >= 0 && ids[k] < m->vocab, follows = units && u[units - 1].end == k;
        if (m->unit != LT_MASK_PIECE && follows && known && m->continues[ids[k]]) u[units - 1].end++;
        else u[units++] = (stretch){k, k + 1};
    }
    return units;
}

static void take(int32_t *by, stretch u)
{
    for (int32_t k = u.begin; k < u.end; k++) by[k] = u.begin;
}

/* ---- how many, and which: by[k] becomes the place whose draw decides what happens to token k ---- */

static void take_each(const drawing *d, const stretch *u, int32_t units, int32_t *by)
{
    for (int32_t i = 0; i < units; i++) {
        uint32_t bits[4];
        draw(d, (uint32_t)u[i].begin, SITE_MASK, bits);
        if (lt_uniform(bits[0]) < (float)d->m->o.rate) take(by, u[i]);
    }
}

static int32_t floor_plus(const drawing *d, int32_t n)
{
    const double want = floor(d->m->o.rate * n + unit_draw(d));
    return want < n ? (int32_t)want : n;
}

/* BERT's: of all tokens, special ones included, to even where two are as near; at least one. */
static int32_t rounded(const drawing *d, int32_t tokens, int32_t may)
{
    const int32_t share = (int32_t)rint(d->m->o.rate * tokens), want = share < 1 ? 1 : share, most = d->m->o.most;
    const int32_t capped = most && want > most ? most : want;
    return capped < may ? capped : may;
}

/* In random order, those that still fit into `tokens`; or just so many. */
static void take_some(drawing *d, stretch *u, int32_t units, int32_t tokens, int32_t most, int32_t *by)
{
    for (int32_t i = 0; i < units && tokens > 0 && most > 0; i++) {
        const int32_t j = i + pick(d, units - i);
        const stretch one = u[j];
        u[j] = u[i];
        if (one.end - one.begin > tokens) continue;
        take(by, one);
        tokens -= one.end - one.begin;
        most--;
    }
}

int32_t lt_span_length(uint32_t bits, double p, int32_t most)
{
    const double stay = 1 - p, u = (bits + 0.5) * 0x1p-32 * (1 - pow(stay, most));
    int32_t length = 1;
    for (double below = p; length < most && u >= below; length++) below += p * pow(stay, length);
    return length;
}

static int32_t span_length(drawing *d)
{
    uint32_t bits[4];
    draw(d, d->draws++, SITE_PICK, bits);
    return lt_span_length(bits[0], d->m->o.span_p, d->m->o.span_most);
}

/* Spans begin with the word of a token that is drawn, and go on for so many words, special tokens and what is taken already included in none. The last
 * one ends where the share is full. */
static void take_spans(drawing *d, const stretch *u, int32_t units, int32_t share, const int32_t *word, const int32_t *may, int32_t tokens, int32_t *by)
{
    while (share > 0) {
        const int32_t at = may[pick(d, tokens)], length = span_length(d);
        if (by[at] != NOT_TAKEN) continue;
        int32_t i = word[at];
        const int32_t first = u[i].begin;
        for (int32_t words = 0; words < length && i < units && share > 0; words++, i++) {
            if (words && (u[i].begin != u[i - 1].end || by[u[i].begin] != NOT_TAKEN)) break;
            for (int32_t k = u[i].begin; k < u[i].end && share > 0; k++) {
                share -= by[k] == NOT_TAKEN;
                if (by[k] == NOT_TAKEN) by[k] = first;
            }
        }
    }
}

static bool choose_spans(lt_ctx *cx, drawing *d, const stretch *u, int32_t units, int32_t n, int32_t tokens, int32_t *by)
{
    int32_t *word = lt_alloc_array(cx, n, sizeof *word), *may = lt_alloc_array(cx, tokens, sizeof *may), at = 0;
    if (!word || !may) return false;
    for (int32_t i = 0; i < units; i++)
        for (int32_t k = u[i].begin; k < u[i].end; k++) {
            word[k] = i;
            may[at++] = k;
        }
    take_spans(d, u, units, d->m->count == LT_MASK_FLOOR ? floor_plus(d, tokens) : rounded(d, n, tokens), word, may, tokens, by);
    return true;
}

static bool choose(lt_ctx *cx, drawing *d, int32_t n, const int32_t *ids, const int32_t *labels, int32_t *by)
{
    const lt_masker *m = d->m;
    stretch *u = lt_alloc_array(cx, n, sizeof *u);
    if (!u) return false;
    const int32_t units = find_units(m, n, ids, labels, u);
    int32_t tokens = 0;
    for (int32_t i = 0; i < units; i++) tokens += u[i].end - u[i].begin;
    for (int32_t k = 0; k < n; k++) by[k] = NOT_TAKEN;
    if (units == 0) return true;
    if (m->unit == LT_MASK_SPAN) return choose_spans(cx, d, u, units, n, tokens, by);
    if (m->count == LT_MASK_BERNOULLI) take_each(d, u, units, by);
    else if (m->count == LT_MASK_FLOOR) take_some(d, u, units, tokens, floor_plus(d, units), by);
    else take_some(d, u, units, rounded(d, n, tokens), units, by);
    return true;
}

/* ---- what stands in their place ---- */

static int32_t another(const lt_masker *m, const uint32_t bits[4])
{
    if (m->pool == LT_MASK_VOCAB) return (int32_t)(((uint64_t)bits[2] * (uint32_t)m->vocab) >> 32);
    if (!m->upto) return m->id[((uint64_t)bits[2] * (uint64_t)m->ids) >> 32];
    const int64_t want = (int64_t)((((uint64_t)bits[2] << 32) | bits[3]) % (uint64_t)m->upto[m->ids - 1]);
    int64_t low = 0, high = m->ids - 1; /* the first that reaches beyond it */
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (m->upto[middle] > want) high = middle;
        else low = middle + 1;
    }
    return m->id[low];
}

bool lt_mask(lt_ctx *cx, const lt_masker *m, int64_t example, int64_t epoch, int32_t n, int32_t *ids, int32_t *labels)
{
    const int64_t copy = m->o.fixed && epoch >= 0 ? epoch % m->o.fixed : epoch;
    drawing d = {.m = m, .example = (uint32_t)example, .epoch = (uint32_t)copy};
    lt_scope scope = lt_open(cx, NULL);
    int32_t *by = lt_alloc_array(cx, n, sizeof *by);
    const bool good = by && choose(cx, &d, n, ids, labels, by);
    const float hide = (float)(1 - m->o.keep - m->o.random), below = (float)(1 - m->o.keep);
    for (int32_t k = 0; good && k < n; k++) {
        labels[k] = by[k] == NOT_TAKEN ? -100 : ids[k];
        if (by[k] == NOT_TAKEN) continue;
        uint32_t own[4], bits[4];
        draw(&d, (uint32_t)k, SITE_MASK, own);
        draw(&d, (uint32_t)(m->once ? by[k] : k), SITE_MASK, bits);
        const float u = lt_uniform(bits[1]);
        if (u < hide) ids[k] = m->mask;
        else if (u < below) ids[k] = another(m, own);
    }
    lt_end(cx, scope);
    return good;
}

/* ---- making one ---- */

static int named(const char *name, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0) return i;
    return -1;
}

static bool settle(lt_ctx *cx, lt_masker *m)
{
    static const char *const units[] = {"piece", "word", "span"}, *const counts[] = {"bernoulli", "floor", "round"},
                             *const pools[] = {"vocab", "ordinary", "unigram"};
    const lt_mask_options *o = &m->o;
    const int unit = named(o->unit ? o->unit : "piece", units, 3), pool = named(o->pool ? o->pool : "vocab", pools, 3);
    const int count = named(o->count ? o->count : unit == LT_MASK_SPAN ? "round" : "bernoulli", counts, 3);
    if (!lt_fail_if(cx, unit < 0 || pool < 0 || count < 0, LT_ERR_USAGE, "mask: \"%s\" is not known",
                    unit < 0   ? o->unit
                    : pool < 0 ? o->pool
                               : o->count) ||
        !lt_fail_if(cx, unit == LT_MASK_SPAN && count == LT_MASK_BERNOULLI, LT_ERR_USAGE,
                    "mask-count: spans are taken until a share is full: floor or round is expected") ||
        !lt_fail_if(cx, o->most && count != LT_MASK_ROUND, LT_ERR_USAGE, "mask-most: is for mask-count round") ||
        !lt_fail_if(cx, !(o->rate > 0 && o->rate <= 1), LT_ERR_USAGE, "mask-rate: %g: a share above 0 and up to 1 is expected", o->rate) ||
        !lt_fail_if(cx, !(o->keep >= 0 && o->random >= 0 && o->keep + o->random <= 1 + 1e-9), LT_ERR_USAGE,
                    "mask-keep and mask-random: shares of what is hidden are expected, together at most 1, not %g and %g", o->keep, o->random) ||
        !lt_fail_if(cx, unit == LT_MASK_SPAN && !(o->span_p > 0 && o->span_p <= 1 && o->span_most > 0), LT_ERR_USAGE, "mask-span: %g, at most %d", o->span_p,
                    o->span_most))
        return false;
    m->unit = (lt_mask_unit)unit;
    m->pool = (lt_mask_pool)pool;
    m->count = (lt_mask_count)count;
    m->once = o->decide ? strcmp(o->decide, "unit") == 0 : unit == LT_MASK_SPAN;
    return true;
}

static bool starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* WordPiece marks what goes on with a word, byte-level BPE and Unigram what begins one: by the blank before it, which they write as a letter. */
static bool goes_on(const lt_tokenizer_info *t, const char *text)
{
    if (!text) return false;
    if (strcmp(t->kind, "wordpiece") == 0) return starts(text, "##");
    return !starts(text, "\xC4\xA0") && !starts(text, "\xC4\x8A") && !starts(text, "\xE2\x96\x81");
}

static bool is_special(const lt_tokenizer_info *t, int32_t id)
{
    return id == t->cls || id == t->sep || id == t->mask || id == t->pad || id == t->unk || id == t->bos || id == t->eos;
}

static bool fill_tables(lt_ctx *cx, lt_masker *m, const lt_tokenizer *t)
{
    const lt_tokenizer_info *about = lt_tokenizer_about(t);
    m->continues = lt_new(cx, m->vocab, sizeof *m->continues);
    if (m->pool != LT_MASK_VOCAB) m->id = lt_new(cx, m->vocab, sizeof *m->id);
    if (!m->continues || (m->pool != LT_MASK_VOCAB && !m->id)) return false;
    for (int32_t id = 0; id < m->vocab; id++) {
        m->continues[id] = goes_on(about, lt_token_text(t, id));
        if (m->id && lt_token_text(t, id) && !is_special(about, id)) m->id[m->ids++] = id;
    }
    return lt_fail_if(cx, m->id && m->ids == 0, LT_ERR_INPUT, "%s: only special tokens", about->file);
}

bool lt_masker_count(lt_ctx *cx, lt_masker *m, const lt_tokenizer *t, const lt_examples *e)
{
    if (m->pool != LT_MASK_UNIGRAM) return true;
    int64_t *count = lt_new(cx, m->vocab, sizeof *count);
    if (!count || !(m->upto = lt_new(cx, m->vocab, sizeof *m->upto))) return lt_free(count), false;
    bool good = true;
    for (int64_t i = 0; good && i < e->n; i++) {
        lt_scope scope = lt_open(cx, NULL);
        int32_t *ids = lt_alloc_array(cx, e->at[i].n, sizeof *ids);
        good = ids && lt_ok(cx) && lt_example_read(cx, e, i, ids, NULL, NULL);
        for (int32_t k = 0; good && k < e->at[i].n; k++) count[ids[k]]++;
        lt_end(cx, scope);
    }
    const int64_t all = m->ids;
    int64_t sum = 0;
    m->ids = 0;
    for (int64_t i = 0; i < all; i++) {
        if (!count[m->id[i]]) continue;
        sum += count[m->id[i]];
        m->id[m->ids] = m->id[i];
        m->upto[m->ids++] = sum;
    }
    lt_free(count);
    return good && lt_fail_if(cx, sum == 0, LT_ERR_INPUT, "%s: the texts hold none of its tokens but special ones", lt_tokenizer_about(t)->file);
}

bool lt_mask_check(lt_ctx *cx, const lt_mask_options *o) { return settle(cx, &(lt_masker){.o = *o}); }

lt_masker *lt_masker_new(lt_ctx *cx, const lt_mask_options *o, const lt_tokenizer *t, const char *model, int32_t vocab, uint64_t seed)
{
    if (!t || lt_tokenizer_about(t)->mask < 0) return lt_fail(cx, LT_ERR_INPUT, "%s: the tokenizer has no mask token", model);
    lt_masker *m = lt_new(cx, 1, sizeof *m);
    if (!m) return NULL;
    *m = (lt_masker){.o = *o, .seed = seed, .mask = lt_tokenizer_about(t)->mask, .vocab = vocab};
    if (settle(cx, m) && fill_tables(cx, m, t)) return m;
    lt_masker_free(m);
    return NULL;
}

void lt_masker_free(lt_masker *m)
{
    if (!m) return;
    lt_free(m->continues);
    lt_free(m->id);
    lt_free(m->upto);
    lt_free(m);
}
