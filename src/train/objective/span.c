/* Spans (Devlin et al. 2019): of a question and its context, where in the context the answer begins and where it ends; the mean of two cross-entropies, each
 * over the tokens of the sequence. A long context is cut into windows that overlap; one that does not hold the whole answer, or whose question has none,
 * points at the first token (Rajpurkar et al. 2018). */
#include "train/objective/objective.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { BEGIN = 1, END = 2 }; /* bits of a token's label */
enum { OVERLAP = 128, LONGEST = 384 };

typedef struct question {
    lt_run *r;
    lt_examples *e;
    const lt_row *row;
    const char *id; /* NULL: it has none */
    const char *text, *context;
    size_t size, context_size;
    bool answered;
    int64_t begin, end; /* of the answer, in code points of the context */
} question;

static bool refuse(lt_ctx *cx, const question *q, const char *why)
{
    return lt_fail_if(cx, true, LT_ERR_INPUT, "%s:%" PRId64 ": %s%.80s%s%s", q->row->file, q->row->line, q->id ? "question \"" : "", q->id ? q->id : "",
                      q->id ? "\": " : "", why);
}

/* ---- where the answer stands ---- */

static int64_t code_points(const char *text, size_t size)
{
    uint32_t c;
    int64_t n = 0;
    for (const char *p = text, *end = text + size; p < end; n++) p += lt_utf8_next(p, end, &c);
    return n;
}

/* Bytes before code point n; the size where there are fewer. */
static size_t bytes_before(const char *text, size_t size, int64_t n)
{
    uint32_t c;
    const char *p = text, *end = text + size;
    for (; p < end && n > 0; n--) p += lt_utf8_next(p, end, &c);
    return (size_t)(p - text);
}

/* at: as the file says it, in code points; -1: not said, so the first place where it stands. */
static bool place_answer(lt_ctx *cx, question *q, const char *answer, size_t size, int64_t at)
{
    if (size == 0) return true;
    size_t begin = at > 0 ? bytes_before(q->context, q->context_size, at) : 0;
    if (at < 0) {
        const char *found = memmem(q->context, q->context_size, answer, size);
        if (!found) return refuse(cx, q, "answers: the first one is not in the context");
        begin = (size_t)(found - q->context);
    } else if (size > q->context_size - begin || memcmp(q->context + begin, answer, size) != 0)
        return refuse(cx, q, "answers: the first one does not stand at its answer_start in the context");
    q->answered = true;
    q->begin = at < 0 ? code_points(q->context, begin) : at;
    q->end = q->begin + code_points(answer, size);
    return true;
}

/* A string, or the first of: a list of strings, SQuAD's list of objects, an object of two lists. */
static bool read_answer(lt_ctx *cx, question *q, const lt_json *answers)
{
    static const char expected[] = "answers: a string, a list of strings, or text and answer_start are expected";
    const bool list = lt_json_is(answers) == LT_JSON_ARRAY;
    if (list && lt_json_size(answers) == 0) return true;
    const lt_json *one = list ? lt_json_at(answers, 0) : answers, *text = one, *start = NULL;
    if (lt_json_is(one) == LT_JSON_OBJECT) {
        text = lt_json_get(one, "text");
        start = lt_json_get(one, "answer_start");
        if (lt_json_is(text) == LT_JSON_ARRAY && lt_json_size(text) == 0) return true;
        if (lt_json_is(text) == LT_JSON_ARRAY) text = lt_json_at(text, 0);
        if (lt_json_is(start) == LT_JSON_ARRAY) start = lt_json_at(start, 0);
    }
    size_t size = 0;
    const char *answer = lt_json_text(text, &size);
    if (!answer || (lt_json_is(start) != LT_JSON_NULL && lt_json_is(start) != LT_JSON_INT)) return refuse(cx, q, expected);
    const int64_t at = lt_json_int(start, -1);
    if (lt_json_is(start) == LT_JSON_INT && at < 0) return refuse(cx, q, "answers: answer_start is less than 0");
    return place_answer(cx, q, answer, size, at);
}

/* ---- windows ---- */

/* As transformers' run_qa marks it: the last token that does not begin behind the answer's beginning, the first that ends with its end or later.
 * The window has n tokens of the context, those from `from` on, behind `before` others. */
static void mark(const question *q, const lt_encoding *c, int32_t from, int32_t n, int32_t before, int32_t *labels)
{
    int32_t first = from, last = from + n - 1;
    if (!q->answered || c->offsets[first][0] > q->begin || c->offsets[last][1] < q->end) {
        labels[0] = BEGIN | END;
        return;
    }
    while (first + 1 < from + n && c->offsets[first + 1][0] <= q->begin) first++;
    while (last > from && c->offsets[last - 1][1] >= q->end) last--;
    labels[before + first - from] |= BEGIN;
    labels[before + last - from] |= END;
}

typedef struct window {
    int32_t *ids, *types, *labels;
} window;

static void copy_part(const lt_encoding *c, int32_t from, int32_t n, const window *w, int32_t to)
{
    memcpy(w->ids + to, c->ids + from, (size_t)n * sizeof *w->ids);
    memcpy(w->types + to, c->types + from, (size_t)n * sizeof *w->types);
}

/* The context's tokens are first … first + n - 1 of c. */
static bool add_windows(lt_ctx *cx, const question *q, const lt_encoding *c, int32_t first, int32_t n)
{
    const int32_t limit = q->r->limit, rest = c->n - n, behind = rest - first, room = limit - rest;
    if (room < 1) {
        q->e->skipped++;
        return true;
    }
    const int32_t overlap = room / 2 < OVERLAP ? room / 2 : OVERLAP;
    window w = {lt_alloc_array(cx, limit, sizeof(int32_t)), lt_alloc_array(cx, limit, sizeof(int32_t)), lt_alloc_array(cx, limit, sizeof(int32_t))};
    if (!w.ids || !w.types || !w.labels) return false;
    copy_part(c, 0, first, &w, 0);
    for (int32_t from = 0, here;; from += room - overlap) {
        here = n - from < room ? n - from : room;
        copy_part(c, first + from, here, &w, first);
        copy_part(c, first + n, behind, &w, first + here);
        memset(w.labels, 0, (size_t)limit * sizeof *w.labels);
        mark(q, c, first + from, here, first, w.labels);
        if (!lt_examples_add(cx, q->e, w.ids, w.types, w.labels, rest + here, -1, NAN)) return false;
        if (from + here == n) return true;
    }
}

static bool add_question(lt_ctx *cx, const question *q)
{
    lt_scope scope = lt_open(cx, NULL);
    const lt_encoding *c = lt_encode(cx, q->r->tokenizer, q->text, q->size, q->context, q->context_size, NULL);
    int32_t first = 0, end = c ? c->n : 0;
    while (first < end && c->part[first] != 2) first++;
    while (end > first && c->part[end - 1] != 2) end--;
    bool good = c != NULL;
    for (int32_t i = first; i < end && good; i++)
        good = lt_fail_if(cx, c->part[i] != 2, LT_ERR_UNSUPPORTED, "%s: its tokenizer does not keep the tokens of a context together", q->r->o->model);
    if (good && first == end) q->e->skipped++;
    else if (good) good = add_windows(cx, q, c, first, end - first);
    lt_end(cx, scope);
    return good;
}

/* ---- rows ---- */

static bool read_flat(lt_ctx *cx, question *q)
{
    size_t size = 0;
    const lt_json *answers = lt_row_json(q->row, "answers");
    q->text = lt_row_want_text(cx, q->row, "question", &q->size);
    q->context = q->text ? lt_row_want_text(cx, q->row, "context", &q->context_size) : NULL;
    if (!q->context) return false;
    if (lt_json_is(answers) != LT_JSON_NULL) return read_answer(cx, q, answers) && add_question(cx, q);
    const char *text = lt_row_want_text(cx, q->row, "answers", &size);
    return text && place_answer(cx, q, text, size, -1) && add_question(cx, q);
}

static bool read_paragraph(lt_ctx *cx, const question *common, const lt_json *paragraph)
{
    const lt_json *list = lt_json_get(paragraph, "qas");
    question of = *common;
    of.context = lt_json_text(lt_json_get(paragraph, "context"), &of.context_size);
    if (!of.context || lt_json_is(list) != LT_JSON_ARRAY) return refuse(cx, &of, "a paragraph of context and qas is expected, as SQuAD has it");
    for (int64_t i = 0; i < lt_json_size(list); i++) {
        const lt_json *one = lt_json_at(list, i), *answers = lt_json_get(one, "answers");
        question q = of;
        q.id = lt_json_text(lt_json_get(one, "id"), NULL);
        q.text = lt_json_text(lt_json_get(one, "question"), &q.size);
        if (!q.text) return refuse(cx, &q, "question: a text is expected");
        const bool impossible = lt_json_bool(lt_json_get(one, "is_impossible"), false);
        if ((!impossible && !read_answer(cx, &q, answers)) || !add_question(cx, &q)) return false;
    }
    return true;
}

static bool read_paragraphs(lt_ctx *cx, const question *common, const lt_json *list)
{
    if (lt_json_is(list) != LT_JSON_ARRAY) return refuse(cx, common, "an array of paragraphs is expected, as SQuAD has it");
    for (int64_t i = 0; i < lt_json_size(list); i++)
        if (!read_paragraph(cx, common, lt_json_at(list, i))) return false;
    return true;
}

/* A question, or an article of SQuAD's, or a whole file of those. */
static bool read_row(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row)
{
    question q = {.r = r, .e = e, .row = row};
    const lt_json *articles = lt_row_json(row, "data"), *paragraphs = lt_row_json(row, "paragraphs");
    if (!r->tokenizer) return lt_fail_if(cx, true, LT_ERR_INPUT, "%s: there is no tokenizer", r->o->model);
    if (lt_json_is(articles) == LT_JSON_ARRAY) {
        for (int64_t i = 0; i < lt_json_size(articles); i++)
            if (!read_paragraphs(cx, &q, lt_json_get(lt_json_at(articles, i), "paragraphs"))) return false;
        return true;
    }
    return lt_json_is(paragraphs) == LT_JSON_ARRAY ? read_paragraphs(cx, &q, paragraphs) : read_flat(cx, &q);
}

/* ---- the loss ---- */

static bool target(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_minibatch *b)
{
    b->counted = b->batch.seqs->n;
    return true;
}

/* Both ends of each sequence, counted within it. */
static int32_t *ends(lt_ctx *cx, const lt_minibatch *b)
{
    const lt_seqs *s = b->batch.seqs;
    int32_t *at = lt_alloc_array(cx, 2 * (int64_t)s->n, sizeof *at);
    for (int32_t i = 0; at && i < s->n; i++)
        for (int32_t k = s->offset[i]; k < s->offset[i + 1]; k++) {
            if (b->labels[k] & BEGIN) at[2 * i] = k - s->offset[i];
            if (b->labels[k] & END) at[2 * i + 1] = k - s->offset[i];
        }
    return at;
}

static lt_tensor *loss(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, lt_tensor *hidden, double factor)
{
    const int32_t *at = ends(cx, b);
    return at ? lt_choose_rows(cx, lt_model_head(cx, r->model, hidden, b->batch.seqs), b->batch.seqs, at, factor / 2) : NULL;
}

/* Windows of which both ends are right, each for itself the largest. */
static int64_t right(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, const lt_tensor *y)
{
    const lt_seqs *s = b->batch.seqs;
    const float *x = y->data;
    int64_t n = 0;
    for (int32_t i = 0; i < s->n; i++) {
        int32_t begin = s->offset[i], end = begin;
        for (int32_t k = begin; k < s->offset[i + 1]; k++) {
            if (x[2 * k] > x[2 * begin]) begin = k;
            if (x[2 * k + 1] > x[2 * end + 1]) end = k;
        }
        n += (b->labels[begin] & BEGIN) && (b->labels[end] & END);
    }
    return n;
}

const lt_objective_kind lt_objective_span = {
    .is = {"objective", "span", "where the answer to a question stands in its context", "Devlin et al. 2019, arXiv 1810.04805"},
    .head = "span",
    .read = read_row,
    .target = target,
    .loss = loss,
    .right = right,
    .outputs = 2,
    .longest = LONGEST,
};
