/* Snippets: the passage of about thirty words that holds the most of the query, by the terms' weights (idf), each term
 * counted once. Words are matched as the index matches them, so "running" is found for "runs" where the analyser stems; the
 * text shown is the original. */
#include "retrieve/index.h"

#include <stdlib.h>
#include <string.h>

enum {
    WORDS = 30,
    MOST_TEXT = 1 << 20, /* bytes looked at */
    LEAD = 6             /* words shown before the first match, where the passage has room */
};
static const double FAINT = 0.1; /* terms of less than this share of the heaviest one's weight ("the") are not marked */

struct word {
    int32_t start, end, term;
}; /* bytes of the text; -1: no term of the query */

struct words {
    lt_ctx *cx;
    const lt_query *q;
    double least;
    struct word *word;
    int64_t n, capacity;
};

static int term_of(const struct words *w, const char *term, int size)
{
    int i = lt_query_find(w->q, term, size);
    return i >= 0 && w->q->term[i].idf >= w->least ? i : -1;
}

/* Overlapping terms (pairs of characters) are one word where they match; where they do not, each character is a word. */
static int take_word(void *arg, int flags, const char *term, int size, int start, int end)
{
    struct words *w = arg;
    int found = term_of(w, term, size);
    if (w->n && start < w->word[w->n - 1].end) {
        struct word *last = &w->word[w->n - 1];
        if (found < 0) return SQLITE_OK;
        if (last->term >= 0) {
            if (end > last->end) last->end = end;
            return SQLITE_OK;
        }
        if (start > last->start)
            last->end = start;
        else
            w->n--;
    }
    if (w->n == w->capacity) {
        int64_t want = w->capacity ? 2 * w->capacity : 256;
        struct word *wide = lt_resize(w->cx, w->word, want, sizeof *wide);
        if (!wide) return SQLITE_NOMEM;
        w->word = wide;
        w->capacity = want;
    }
    w->word[w->n++] = (struct word){start, end, found};
    return SQLITE_OK;
}

/* The first word of the best passage; *matched whether it holds any term. `count`: zeroed, one place for each term. */
static int64_t best_passage(const struct words *w, int32_t *count, bool *matched)
{
    double sum = 0, best = 0;
    int64_t from = 0;
    for (int64_t i = 0; i < w->n; i++) {
        int32_t in = w->word[i].term, out = i >= WORDS ? w->word[i - WORDS].term : -1;
        if (out >= 0 && --count[out] == 0) sum -= w->q->term[out].idf;
        if (in >= 0 && count[in]++ == 0) sum += w->q->term[in].idf;
        if (sum > best * (1 + 1e-9)) {
            best = sum;
            from = i - WORDS + 1;
        }
    }
    *matched = best > 0;
    if (from < 0) return 0;
    /* It ends where the last term came in; move it on, so that the terms are not at its very end. */
    int64_t first = from;
    while (first < w->n && w->word[first].term < 0) first++;
    int64_t later = first - LEAD, last = w->n - WORDS;
    if (later > from) from = later;
    return from > last ? last > 0 ? last : 0 : from;
}

/* Text as one line: control characters and runs of blanks become one blank. */
static void put_plain(lt_str *s, const char *text, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        char c = text[i];
        bool blank = (unsigned char)c <= ' ' || c == 0x7F;
        if (!blank)
            lt_str_add(s, &c, 1);
        else if (s->size && s->data[s->size - 1] != ' ')
            lt_str_add(s, " ", 1);
    }
}

/* Where the passage ends: with the punctuation that clings to its last word. */
static int32_t end_of(const char *text, int32_t end, int32_t limit)
{
    while (end < limit && (unsigned char)text[end] > ' ' && strchr(".,;:!?)]}\"'%", text[end])) end++;
    return end;
}

static void put_passage(lt_str *s, const struct words *w, int64_t from, const char *text, int32_t size, bool cut)
{
    int64_t to = from + WORDS < w->n ? from + WORDS : w->n;
    bool whole = to == w->n && !cut;
    int32_t begin = from ? w->word[from].start : 0, end = whole ? size : end_of(text, w->word[to - 1].end, size), at = begin;
    if (from) lt_str_puts(s, "… ");
    for (int64_t i = from; i < to; i++) {
        const struct word *word = &w->word[i];
        if (word->term < 0 || word->start < at) continue;
        put_plain(s, text + at, word->start - at);
        lt_str_puts(s, "\x01");
        put_plain(s, text + word->start, word->end - word->start);
        lt_str_puts(s, "\x02");
        at = word->end;
    }
    if (end > at) put_plain(s, text + at, end - at);
    while (s->size && s->data[s->size - 1] == ' ') s->data[--s->size] = 0;
    if (!whole) lt_str_puts(s, " …");
}

static double faintest(const lt_query *q)
{
    double most = 0;
    for (int i = 0; i < q->n; i++)
        if (q->term[i].postings->n && q->term[i].idf > most) most = q->term[i].idf;
    return FAINT * most;
}

char *lt_snippet(lt_ctx *cx, const lt_index *x, const lt_query *q, const char *text, size_t size, bool always)
{
    struct words w = {.cx = cx, .q = q, .least = faintest(q)};
    bool cut = size > MOST_TEXT, matched = false;
    int32_t looked = cut ? MOST_TEXT : (int32_t)size;
    while (cut && looked && ((uint8_t)text[looked] & 0xC0) == 0x80) looked--; /* not inside a character */
    lt_str s = {0};
    int32_t *count = lt_new(cx, q->n, sizeof *count);
    int rc = count ? lt_analyze(x->analyzer, text, (size_t)looked, take_word, &w) : SQLITE_NOMEM;
    int64_t from = rc ? 0 : best_passage(&w, count, &matched);
    if (!rc && matched | always) {
        if (w.n)
            put_passage(&s, &w, from, text, looked, cut);
        else
            put_plain(&s, text, looked < 200 ? looked : 200);
    }
    lt_free(count);
    lt_free(w.word);
    if ((rc || s.failed) && lt_ok(cx)) lt_fail(cx, LT_ERR_MEMORY, "no memory for a snippet");
    char *copy = !rc && !s.failed && (matched | always) ? lt_sprintf(cx, "%s", s.data ? s.data : "") : NULL;
    lt_str_free(&s);
    return copy;
}
