/* Tagging: token classification (Devlin et al. 2019). Of a text's tokens entities are made as Hugging Face's pipeline makes them, with its strategies
 * none, simple, first, average and max; of words given one by one each gets the tag of its first token, or what its tokens agree on. */
#include <math.h>
#include <string.h>

#include "model/model.h"
#include "task/items.h"
#include "task/words.h"

typedef struct tagger {
    const lt_model *m;
    lt_aggregation how;
    int32_t limit;
    int labels;
    const char *const *name; /* of labels */
    lt_task_next_fn *next;
    void *next_arg;
    lt_tagged_fn *sink;
    void *sink_arg;
    const lt_entity *entity; /* of the window at hand, scoped */
    int64_t entities;
} tagger;

/* ---- reading ---- */

static bool special(lt_ctx *cx, lt_item *item, int32_t id)
{
    return id < 0 || lt_item_add(cx, item, id, 0, (lt_token_place){-1, 0, 0});
}

/* Words in windows of whole words; one that is longer than a window is cut. */
static bool add_words(lt_ctx *cx, const tagger *t, lt_item *item, const lt_task_input *in)
{
    const lt_tokenizer_info *about = in->ids ? NULL : lt_tokenizer_about(t->m->tokenizer);
    const bool around = about && about->cls >= 0 && about->sep >= 0;
    const int32_t cls = around ? about->cls : -1, sep = around ? about->sep : -1, room = t->limit - 2 * around;
    if (room < 1) return lt_fail_if(cx, true, LT_ERR_USAGE, "sequences of %d tokens leave no room for a word", t->limit);
    int32_t here = 0;
    bool any = false, good = special(cx, item, cls);
    for (int64_t i = 0; good && i < in->words; i++) {
        lt_scope scope = lt_open(cx, NULL);
        const lt_encoding *e = in->ids ? NULL : lt_encode_word(cx, t->m->tokenizer, in->word[i].text, in->word[i].size, !any);
        const int32_t all = in->ids ? 1 : e ? e->n : 0, n = all < room ? all : room;
        if (here + n > room) {
            good = special(cx, item, sep) && lt_item_cut(cx, item) && special(cx, item, cls);
            here = 0;
        }
        for (int32_t k = 0; good && k < n; k++)
            good = lt_item_add(cx, item, in->ids ? in->ids[i] : e->ids[k], 0, (lt_token_place){(int32_t)i, k, 0});
        here += n;
        any = any || n > 0;
        good = good && lt_ok(cx);
        lt_end(cx, scope);
    }
    return good && (here == 0 || (special(cx, item, sep) && lt_item_cut(cx, item)));
}

static bool add_text(lt_ctx *cx, const tagger *t, lt_item *item, const lt_task_input *in)
{
    const lt_encoding *e = lt_encode(cx, t->m->tokenizer, in->text.text, in->text.size, NULL, 0, NULL);
    return e && lt_item_windows(cx, item, e, lt_special_head(e), t->limit, 0, 1);
}

static lt_item *make(void *arg, lt_ctx *cx)
{
    tagger *t = arg;
    lt_task_input in = {0};
    if (!t->next(t->next_arg, cx, &in)) return NULL;
    const bool words = in.word || in.ids;
    if (!in.ids && !t->m->tokenizer)
        return lt_fail(cx, LT_ERR_USAGE, "%s: there is no tokenizer, which texts need", t->m->info.path);
    lt_item *item = lt_item_new(cx, words ? NULL : &in.text);
    if (item) item->words = words ? in.words : -1;
    bool good = item && lt_fail_if(cx, in.words > INT32_MAX, LT_ERR_INPUT, "a row of more than %d words", INT32_MAX) &&
                (words ? add_words : add_text)(cx, t, item, &in);
    if (good && words)
        good = (item->own = lt_new(cx, in.words, sizeof(int32_t))) != NULL; /* label + 1 by word; 0: it has no token */
    if (good) return item;
    lt_item_free(item);
    return NULL;
}

/* ---- a token's label ---- */

typedef struct spot {    /* a token, or a word made of several */
    int32_t first, last; /* tokens of the window */
    int label;
    double score;
} spot;

static int largest(const double *p, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (p[i] > p[best]) best = i;
    return best;
}

/* What the tokens first … last say together, by their probabilities [tokens, labels]. */
static spot agree(const tagger *t, const double *p, int32_t first, int32_t last, double *room)
{
    const int n = t->labels;
    const double *say = p + (int64_t)first * n;
    if (t->how == LT_AGGREGATE_MAX) {
        for (int32_t i = first + 1; i <= last; i++) {
            const double *other = p + (int64_t)i * n;
            if (other[largest(other, n)] > say[largest(say, n)]) say = other;
        }
    } else if (t->how == LT_AGGREGATE_AVERAGE) {
        for (int k = 0; k < n; k++) {
            room[k] = 0;
            for (int32_t i = first; i <= last; i++) room[k] += p[(int64_t)i * n + k] / (last - first + 1);
        }
        say = room;
    }
    const int label = largest(say, n);
    return (spot){first, last, label, say[label]};
}

static double *probabilities(lt_ctx *cx, const lt_result *r)
{
    double *p = lt_alloc_array(cx, r->rows * r->cols, sizeof *p);
    const size_t row = (size_t)r->cols * lt_dtype_size(r->dtype);
    for (int64_t i = 0; p && i < r->rows; i++)
        lt_link_apply(LT_SOFTMAX, r->dtype, (const char *)r->data + (size_t)i * row, r->cols, p + i * r->cols);
    return p;
}

/* ---- words ---- */

static bool label_words(lt_ctx *cx, const tagger *t, lt_item *item, const lt_token_place *place, int32_t n, const double *p)
{
    double *room = lt_alloc_array(cx, t->labels, sizeof *room);
    int32_t *label = item->own;
    for (int32_t i = 0, k; room && i < n; i = k) {
        for (k = i + 1; k < n && place[k].word == place[i].word; k++) {
        }
        if (place[i].word >= 0) label[place[i].word] = agree(t, p, i, k - 1, room).label + 1;
    }
    return room != NULL;
}

/* ---- entities ---- */

static size_t code_points(const char *text)
{
    size_t n = 0;
    for (; *text; text++) n += (*text & 0xC0) != 0x80;
    return n;
}

/* Byte offsets of code points, walking forwards: tokens come in order. */
typedef struct walk {
    const char *text, *end;
    const char *at;
    int32_t point;
} walk;

static const char *walk_to(walk *w, int32_t point)
{
    if (point < w->point) {
        w->at = w->text;
        w->point = 0;
    }
    uint32_t c;
    while (w->at < w->end && w->point < point) {
        w->at += lt_utf8_next(w->at, w->end, &c);
        w->point++;
    }
    return w->at;
}

/* Whether a token goes on with the word before it, as the pipeline guesses: by the length of what WordPiece writes before such, elsewhere by blanks. */
static bool goes_on(const tagger *t, int32_t id, lt_token_place at, walk *w)
{
    const lt_tokenizer_info *about = lt_tokenizer_about(t->m->tokenizer);
    if (id == about->unk) return false;
    if (strcmp(about->kind, "wordpiece") == 0) {
        const char *text = lt_token_text(t->m->tokenizer, id);
        return text && code_points(text) != (size_t)(at.end - at.start);
    }
    if (at.start == 0) return false;
    const char *before = walk_to(w, at.start - 1);
    uint32_t c = 0;
    const int size = before < w->end ? lt_utf8_next(before, w->end, &c) : 0;
    return c != ' ' && !(before + size < w->end && before[size] == ' ');
}

/* "B-PER" begins one of type PER; all else goes on with its type. */
static const char *type_of(const char *label, bool *begins)
{
    *begins = strncmp(label, "B-", 2) == 0;
    return *begins || strncmp(label, "I-", 2) == 0 ? label + 2 : label;
}

static int32_t spots_of(const tagger *t, const lt_item *item, const double *p, double *room, spot *out)
{
    const bool words = t->how >= LT_AGGREGATE_FIRST;
    int32_t n = 0;
    walk w = {item->text, item->text + item->size, item->text, 0};
    for (int32_t i = 0; i < item->tokens; i++) {
        if (item->place[i].word < 0) continue;
        if (words && n && goes_on(t, item->ids[i], item->place[i], &w))
            out[n - 1].last = i;
        else
            out[n++] = (spot){i, i, 0, 0};
    }
    for (int32_t i = 0; i < n; i++) out[i] = agree(t, p, out[i].first, out[i].last, room);
    return n;
}

/* Neighbours of one type together, unless one begins anew. */
static int64_t group(const tagger *t, const lt_item *item, const spot *s, int32_t n, lt_entity *out)
{
    int64_t count = 0;
    for (int32_t i = 0, k; i < n; i = k) {
        const char *label = t->name[s[i].label];
        bool begins;
        double sum = s[i].score;
        for (k = i + 1; k < n && t->how != LT_AGGREGATE_NONE; k++) {
            const char *own = type_of(label, &begins), *next = type_of(t->name[s[k].label], &begins);
            if (begins || strcmp(own, next) != 0) break;
            sum += s[k].score;
        }
        const char *dash = t->how == LT_AGGREGATE_NONE ? NULL : strchr(label, '-');
        label = dash ? dash + 1 : label;
        if (strcmp(label, "O") == 0) continue;
        out[count++] = (lt_entity){label, sum / (k - i), item->place[s[i].first].start, item->place[s[k - 1].last].end};
    }
    return count;
}

static bool find_entities(lt_ctx *cx, tagger *t, const lt_item *item, const double *p)
{
    double *room = lt_alloc_array(cx, t->labels, sizeof *room);
    spot *s = lt_alloc_array(cx, item->tokens, sizeof *s);
    lt_entity *out = lt_alloc_array(cx, item->tokens, sizeof *out);
    if (!room || !s || !out) return false;
    t->entities = group(t, item, s, spots_of(t, item, p, room, s), out);
    t->entity = out;
    return true;
}

/* ---- results ---- */

static bool take(void *arg, lt_ctx *cx, lt_item *item, int32_t window, const lt_result *r)
{
    tagger *t = arg;
    const double *p = probabilities(cx, r);
    if (!p) return false;
    if (item->words < 0) return find_entities(cx, t, item, p);
    return label_words(cx, t, item, item->place + item->begin[window], (int32_t)r->rows, p);
}

static bool done(void *arg, lt_ctx *cx, lt_item *item, bool pause)
{
    tagger *t = arg;
    lt_tagged out = {
        .index = item->index, .text = {item->text, item->size}, .entity = t->entity, .entities = t->entities, .pause = pause};
    t->entities = 0;
    if (item->words < 0) return t->sink(t->sink_arg, cx, &out);
    const int32_t *label = item->own;
    lt_scope scope = lt_open(cx, NULL);
    const char **tag = lt_alloc_array(cx, item->words, sizeof *tag);
    for (int64_t i = 0; tag && i < item->words; i++) tag[i] = label[i] ? t->name[label[i] - 1] : "O";
    out.tag = tag;
    out.words = item->words;
    const bool good = tag && t->sink(t->sink_arg, cx, &out);
    lt_end(cx, scope);
    return good;
}

static bool name_labels(lt_ctx *cx, tagger *t)
{
    const char **name = lt_alloc_array(cx, t->labels, sizeof *name);
    char(*room)[32] = lt_alloc_array(cx, t->labels, sizeof *room);
    for (int i = 0; name && room && i < t->labels; i++) name[i] = lt_label_name(t->m, i, room[i]);
    t->name = name;
    return name && room;
}

bool lt_tag_all(lt_ctx *cx, const lt_model *m, lt_aggregation how, const lt_run_options *options, lt_task_next_fn *next,
                void *next_arg, lt_tagged_fn *sink, void *sink_arg, lt_stream_stats *stats)
{
    static const lt_run_options defaults;
    if (!options) options = &defaults;
    if (!lt_task_fits(cx, m, "tag", false)) return false;
    tagger t = {.m = m,
                .how = how,
                .limit = lt_task_limit(m, options),
                .labels = lt_model_labels(m),
                .next = next,
                .next_arg = next_arg,
                .sink = sink,
                .sink_arg = sink_arg};
    lt_scope scope = lt_open(cx, NULL);
    const bool good =
        name_labels(cx, &t) && lt_items_run(cx, m, LT_OUT_LOGITS, options, &(lt_item_flow){make, take, done, &t}, stats);
    lt_end(cx, scope);
    return good;
}
