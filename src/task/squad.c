/* Answers against right answers as SQuAD 1.1's own script compares them (Rajpurkar et al. 2016, evaluate-v1.1.py): in lower case, without
 * punctuation and English articles, blanks made one; the same text or not, and F1 of the words two texts share. Rows without an answer
 * are as in SQuAD 2.0 (Rajpurkar et al. 2018). */
#include "lathe/task.h"

#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "text/unicode.h"

typedef struct words { /* of a normalised text */
    lt_text *at;
    int64_t n;
} words;

/* string.punctuation of Python: that of ASCII alone. */
static bool is_punctuation(char c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

/* As \b of a regular expression sees it; the underscore is gone by then. */
static bool is_alphanumeric(uint32_t c) { return lt_char_class(c) & (LT_CHAR_LETTER | LT_CHAR_NUMERIC); }

static bool is_article(const char *p, size_t n)
{
    return (n == 1 && *p == 'a') || (n == 2 && memcmp(p, "an", 2) == 0) || (n == 3 && memcmp(p, "the", 3) == 0);
}

/* Lower case without punctuation; each article is a blank. */
static void put_plain(lt_str *s, lt_text t)
{
    lt_str lower = {0};
    lt_put_lower(&lower, t.text, t.size);
    size_t n = 0, run = 0; /* run: where the letters and digits at hand began */
    bool inside = false;
    for (size_t i = 0; i < lower.size; i++)
        if (!is_punctuation(lower.data[i])) lower.data[n++] = lower.data[i];
    const char *p = lower.data ? lower.data : "", *end = p + n;
    for (size_t i = 0; i <= n;) {
        uint32_t c = ' ';
        const int bytes = i < n ? lt_utf8_next(p + i, end, &c) : 1;
        const bool word = i < n && is_alphanumeric(c);
        if (word && !inside) run = i;
        if (!word && inside) {
            if (is_article(p + run, i - run))
                lt_str_puts(s, " ");
            else
                lt_str_add(s, p + run, i - run);
        }
        if (!word && i < n) lt_str_add(s, p + i, (size_t)bytes);
        inside = word;
        i += (size_t)bytes;
    }
    s->failed |= lower.failed;
    lt_str_free(&lower);
}

/* The words of s, which stays the memory they lie in; scoped. */
static bool split(lt_ctx *cx, const lt_str *s, words *w)
{
    int64_t room = 1;
    for (size_t i = 0; i < s->size; i++) room += (s->data[i] & 0xC0) != 0x80;
    w->at = lt_alloc_array(cx, room / 2 + 1, sizeof *w->at); /* there is a blank between two */
    w->n = 0;
    bool inside = false;
    for (const char *p = s->data ? s->data : "", *end = p + s->size; w->at && p < end;) {
        uint32_t c;
        const char *here = p;
        p += lt_utf8_next(p, end, &c);
        const bool blank = lt_is_python_blank(c);
        if (!blank && !inside) w->at[w->n++] = (lt_text){here, 0};
        if (!blank) w->at[w->n - 1].size = (size_t)(p - w->at[w->n - 1].text);
        inside = !blank;
    }
    return w->at != NULL;
}

static int compare(const void *pa, const void *pb)
{
    const lt_text *a = pa, *b = pb;
    const size_t n = a->size < b->size ? a->size : b->size;
    const int c = n ? memcmp(a->text, b->text, n) : 0;
    return c ? c : (a->size > b->size) - (a->size < b->size);
}

static bool same(const words *a, const words *b)
{
    bool all = a->n == b->n;
    for (int64_t i = 0; all && i < a->n; i++) all = compare(&a->at[i], &b->at[i]) == 0;
    return all;
}

/* Both sorted: how many words they share, each as often as both have it. */
static int64_t shared(const words *a, const words *b)
{
    int64_t n = 0;
    for (int64_t i = 0, k = 0; i < a->n && k < b->n;) {
        const int c = compare(&a->at[i], &b->at[k]);
        n += c == 0;
        i += c <= 0;
        k += c >= 0;
    }
    return n;
}

static void sort(words *w)
{
    if (w->n) qsort(w->at, (size_t)w->n, sizeof *w->at, compare);
}

/* One right answer against the one given, whose words are there as they stand and sorted. */
static bool score(lt_ctx *cx, const words *plain, const words *sorted, lt_text right, double *exact, double *f1)
{
    lt_str s = {0};
    words w;
    put_plain(&s, right);
    bool good = lt_fail_if(cx, s.failed, LT_ERR_MEMORY, "no memory for an answer of %zu bytes", right.size) && split(cx, &s, &w);
    if (good) {
        *exact = same(plain, &w);
        sort(&w);
        const int64_t both = shared(sorted, &w);
        *f1 = both ? 2 * (double)both / (double)(sorted->n + w.n) : 0;
    }
    lt_str_free(&s);
    return good;
}

static bool score_all(lt_ctx *cx, const lt_str *s, const lt_text *right, int64_t n, double *exact, double *f1)
{
    words plain, sorted;
    if (!split(cx, s, &plain) || !split(cx, s, &sorted)) return false;
    sort(&sorted);
    if (n == 0) *exact = *f1 = plain.n == 0;
    for (int64_t i = 0; i < n; i++) {
        double e, f;
        lt_scope scope = lt_open(cx, NULL);
        const bool good = score(cx, &plain, &sorted, right[i], &e, &f);
        lt_end(cx, scope);
        if (!good) return false;
        if (e > *exact) *exact = e;
        if (f > *f1) *f1 = f;
    }
    return true;
}

bool lt_answer_score(lt_ctx *cx, lt_text answer, const lt_text *right, int64_t n, double *exact, double *f1)
{
    lt_str s = {0};
    *exact = *f1 = 0;
    lt_scope scope = lt_open(cx, NULL);
    put_plain(&s, answer);
    const bool good = lt_fail_if(cx, s.failed, LT_ERR_MEMORY, "no memory for an answer of %zu bytes", answer.size) &&
                      score_all(cx, &s, right, n, exact, f1);
    lt_end(cx, scope);
    lt_str_free(&s);
    return good;
}
