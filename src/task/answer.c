/* Extractive question answering (Rajpurkar et al. 2016; Devlin et al. 2019): the probabilities of where an answer begins and where it ends, over the
 * context's tokens in each window; the best span of all windows, drawn out to whole words, as Hugging Face's pipeline does it. */
#include <math.h>
#include <string.h>

#include "model/model.h"
#include "task/items.h"

enum { NO_WINDOW = 2 }; /* more than any probability */
enum { USUAL_TOKENS = 384, USUAL_STRIDE = 128, USUAL_LONGEST = 15 };

typedef struct answerer {
    const lt_model *m;
    int k, longest, stride;
    int32_t limit, cls;
    bool none;
    lt_task_next_fn *next;
    void *next_arg;
    lt_answered_fn *sink;
    void *sink_arg;
} answerer;

typedef struct found { /* an item's own: the best spans of all windows so far, in order */
    double empty;      /* the least probability of no answer in a window */
    int n;
    struct span {
        double score;
        int32_t start, end; /* code points */
    } best[];
} found;

/* ---- reading ---- */

/* Leaves out tokens from `at` on. */
static void drop(lt_encoding *e, int32_t at, int32_t n)
{
    const size_t rest = (size_t)(e->n - at - n);
    memmove(e->ids + at, e->ids + at + n, rest * sizeof *e->ids);
    memmove(e->types + at, e->types + at + n, rest * sizeof *e->types);
    memmove(e->words + at, e->words + at + n, rest * sizeof *e->words);
    memmove(e->offsets + at, e->offsets + at + n, rest * sizeof *e->offsets);
    memmove(e->special + at, e->special + at + n, rest);
    e->n -= n;
}

/* A question leaves half of the room to the context, or is cut. */
static bool add_windows(lt_ctx *cx, const answerer *a, lt_item *item, const lt_task_input *in)
{
    const lt_encoding *q =
        lt_encode(cx, a->m->tokenizer, in->question.text, in->question.size, NULL, 0, &(lt_encode_options){.no_special = true});
    lt_encoding *e =
        q ? lt_encode(cx, a->m->tokenizer, in->question.text, in->question.size, in->text.text, in->text.size, NULL) : NULL;
    if (!e) return false;
    const int32_t room = a->limit - e->special_count, most = room / 2 > 0 ? room / 2 : 0, first = lt_special_head(e);
    int32_t n = q->n;
    if (n > most) {
        drop(e, first + most, n - most);
        item->left_out += n - most;
        n = most;
    }
    int32_t head = first + n;
    while (head < e->n && e->special[head]) head++;
    if (head == e->n) head = first + n; /* an empty context: what is behind belongs to its end */
    const int32_t left = room - n, stride = a->stride < left * 7 / 8 ? a->stride : left * 7 / 8;
    return lt_item_windows(cx, item, e, head, a->limit, stride, 0);
}

static lt_item *make(void *arg, lt_ctx *cx)
{
    answerer *a = arg;
    lt_task_input in = {0};
    if (!a->next(a->next_arg, cx, &in)) return NULL;
    lt_item *item = lt_item_new(cx, &in.text);
    if (item && add_windows(cx, a, item, &in)) return item;
    lt_item_free(item);
    return NULL;
}

/* ---- spans of a window ---- */

/* Made when the first window comes out, so that items that wait are small. */
static found *found_of(lt_ctx *cx, const answerer *a, lt_item *item)
{
    found *f = item->own;
    if (f) return f;
    f = item->own = lt_new(cx, 1, sizeof *f + (size_t)(a->k + 1) * sizeof *f->best);
    if (f) f->empty = NO_WINDOW;
    return f;
}

/* Probabilities over the context's tokens and the classifying ones; then nothing begins or ends at the first token of all. */
static void spread(const answerer *a, const lt_item *item, int32_t begin, const lt_result *r, int col, double *p)
{
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < r->rows; i++) {
        const bool counts = item->place[begin + i].word >= 0 || item->ids[begin + i] == a->cls;
        p[i] = counts ? lt_result_at(r, i, col) : -INFINITY;
        most = fmax(most, p[i]);
    }
    for (int64_t i = 0; i < r->rows; i++) sum += p[i] = most == -INFINITY ? 0 : exp(p[i] - most);
    for (int64_t i = 0; i < r->rows; i++) p[i] = sum > 0 ? p[i] / sum : 0;
}

/* From a token's borders to those of its word, as far as the window shows it. */
static struct span to_words(const lt_token_place *place, int32_t n, int32_t first, int32_t last, double score)
{
    while (first > 0 && place[first - 1].word == place[first].word) first--;
    while (last < n - 1 && place[last + 1].word == place[last].word) last++;
    return (struct span){score, place[first].start, place[last].end};
}

/* Keeps the k best in order; of equal ones the earlier. */
static void keep(struct span *best, int *n, int k, struct span s)
{
    if (*n == k && !(s.score > best[k - 1].score)) return;
    int at = *n < k ? (*n)++ : k - 1;
    for (; at > 0 && s.score > best[at - 1].score; at--) best[at] = best[at - 1];
    best[at] = s;
}

static bool take(void *arg, lt_ctx *cx, lt_item *item, int32_t window, const lt_result *r)
{
    const answerer *a = arg;
    found *f = found_of(cx, a, item);
    const int32_t begin = item->begin[window], rows = (int32_t)r->rows;
    const lt_token_place *place = item->place + begin;
    double *p = lt_alloc_array(cx, r->rows, sizeof *p), *q = lt_alloc_array(cx, r->rows, sizeof *q);
    struct span *own = lt_alloc_array(cx, a->k, sizeof *own); /* of this window: tokens in place of code points */
    int n = 0;
    if (!f || !p || !q || !own) return false;
    if (!lt_fail_if(cx, r->cols != 2, LT_ERR_UNSUPPORTED, "a span head of two outputs is expected, found %d", (int)r->cols))
        return false;
    spread(a, item, begin, r, 0, p);
    spread(a, item, begin, r, 1, q);
    if (rows) f->empty = fmin(f->empty, p[0] * q[0]);
    for (int32_t i = 1; i < rows; i++)
        for (int32_t j = i; j < rows && j < i + a->longest; j++)
            if (place[i].word >= 0 && place[j].word >= 0) keep(own, &n, a->k, (struct span){p[i] * q[j], i, j});
    for (int i = 0; i < n; i++) keep(f->best, &f->n, a->k, to_words(place, rows, own[i].start, own[i].end, own[i].score));
    return true;
}

/* ---- results ---- */

/* The byte at which that code point begins. */
static size_t byte_of(const lt_item *item, int32_t point)
{
    const char *p = item->text, *end = p + item->size;
    for (uint32_t c; p < end && point > 0; point--) p += lt_utf8_next(p, end, &c);
    return (size_t)(p - item->text);
}

static bool done(void *arg, lt_ctx *cx, lt_item *item, bool pause)
{
    const answerer *a = arg;
    found *f = found_of(cx, a, item);
    if (!f) return false;
    if (a->none && f->empty < NO_WINDOW) keep(f->best, &f->n, a->k, (struct span){f->empty, 0, 0});
    if (f->n == 0) f->best[f->n++] = (struct span){0, 0, 0};
    lt_answer *out = lt_alloc_array(cx, f->n, sizeof *out);
    for (int i = 0; out && i < f->n; i++) {
        const size_t from = byte_of(item, f->best[i].start), to = byte_of(item, f->best[i].end);
        out[i] = (lt_answer){{item->text + from, to > from ? to - from : 0}, f->best[i].score, f->best[i].start, f->best[i].end};
    }
    return out && a->sink(a->sink_arg, cx, &(lt_answered){item->index, out, f->n, pause});
}

bool lt_answer_all(lt_ctx *cx, const lt_model *m, const lt_answer_options *options, lt_task_next_fn *next, void *next_arg,
                   lt_answered_fn *sink, void *sink_arg, lt_stream_stats *stats)
{
    static const lt_answer_options defaults = {.stride = -1};
    const lt_answer_options *o = options ? options : &defaults;
    enum { MOST = 10000 };
    if (!lt_task_fits(cx, m, "span", true)) return false;
    answerer a = {.m = m,
                  .k = o->k > 0 ? o->k : 1,
                  .longest = o->longest > 0 ? o->longest : USUAL_LONGEST,
                  .none = o->none,
                  .limit = lt_task_limit(m, &o->run),
                  .cls = lt_tokenizer_about(m->tokenizer)->cls,
                  .next = next,
                  .next_arg = next_arg,
                  .sink = sink,
                  .sink_arg = sink_arg};
    if (!o->run.max_tokens && a.limit > USUAL_TOKENS) a.limit = USUAL_TOKENS;
    a.stride = o->stride >= 0 ? o->stride : a.limit / 2 < USUAL_STRIDE ? a.limit / 2 : USUAL_STRIDE;
    return lt_fail_if(cx, a.k > MOST, LT_ERR_USAGE, "%d answers: at most %d can be had", a.k, MOST) &&
           lt_items_run(cx, m, LT_OUT_LOGITS, &o->run, &(lt_item_flow){make, take, done, &a}, stats);
}
