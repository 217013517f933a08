/* Items through lt_stream: windows of one item after another become its inputs; what else is known of an item waits in a queue between the reading
 * thread, which makes items, and the caller's, which gets results in the same order. */
#include "task/items.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "model/model.h"

/* ---- an item ---- */

lt_item *lt_item_new(lt_ctx *cx, const lt_text *text)
{
    lt_item *item = lt_new(cx, 1, sizeof *item);
    if (item && text && (item->text = lt_new(cx, (int64_t)text->size + 1, 1))) {
        if (text->size) memcpy(item->text, text->text, text->size);
        item->size = text->size;
    }
    if (item && (!text || item->text) && (item->begin = lt_new(cx, 2, sizeof *item->begin))) {
        item->windows_room = 1;
        return item;
    }
    lt_item_free(item);
    return NULL;
}

void lt_item_free(lt_item *item)
{
    if (!item) return;
    lt_free(item->ids);
    lt_free(item->types);
    lt_free(item->place);
    lt_free(item->begin);
    lt_free(item->text);
    lt_free(item->own);
    lt_free(item);
}

bool lt_item_add(lt_ctx *cx, lt_item *item, int32_t id, int32_t type, lt_token_place place)
{
    enum { MOST = 1 << 30 };
    if (item->tokens == item->room) {
        if (item->room >= MOST)
            return lt_fail_if(cx, true, LT_ERR_INPUT, "input %" PRId64 ": more than %d tokens", item->index, MOST);
        const int32_t room = item->room ? 2 * item->room : 64;
        int32_t *ids = lt_resize(cx, item->ids, room, sizeof *ids);
        if (ids) item->ids = ids;
        int32_t *types = ids ? lt_resize(cx, item->types, room, sizeof *types) : NULL;
        if (types) item->types = types;
        lt_token_place *places = types ? lt_resize(cx, item->place, room, sizeof *places) : NULL;
        if (!places) return false;
        item->place = places;
        item->room = room;
    }
    item->ids[item->tokens] = id;
    item->types[item->tokens] = type;
    item->place[item->tokens++] = place;
    return true;
}

bool lt_item_cut(lt_ctx *cx, lt_item *item)
{
    if (item->windows == item->windows_room) {
        int32_t *begin = lt_resize(cx, item->begin, 2 * (int64_t)item->windows_room + 1, sizeof *begin);
        if (!begin) return false;
        item->begin = begin;
        item->windows_room *= 2;
    }
    item->begin[++item->windows] = item->tokens;
    return true;
}

/* ---- windows ---- */

int32_t lt_special_head(const lt_encoding *e)
{
    int32_t n = 0;
    while (n < e->n && e->special[n]) n++;
    return n;
}

static bool add_piece(lt_ctx *cx, lt_item *item, const lt_encoding *e, int32_t from, int32_t to, bool text)
{
    bool good = true;
    for (int32_t i = from; good && i < to; i++)
        good = lt_item_add(cx, item, e->ids[i], e->types[i],
                           (lt_token_place){text ? e->words[i] : -1, e->offsets[i][0], e->offsets[i][1]});
    return good;
}

bool lt_item_windows(lt_ctx *cx, lt_item *item, const lt_encoding *e, int32_t head, int32_t limit, int32_t stride, int32_t most)
{
    int32_t tail = e->n;
    while (tail > head && e->special[tail - 1]) tail--;
    const int32_t room = limit - head - (e->n - tail);
    if (room < 1)
        return lt_fail_if(cx, true, LT_ERR_USAGE,
                          "sequences of %d tokens leave no room for any of a text's: %d are needed around it", limit,
                          head + e->n - tail);
    const int32_t step = room - stride > 0 ? room - stride : 1;
    for (int32_t at = head, n = 0;; at += step, n++) {
        if (most && n == most) {
            item->left_out += tail - (at - step + room);
            return true;
        }
        const int32_t end = tail - at > room ? at + room : tail;
        if (!add_piece(cx, item, e, 0, head, false) || !add_piece(cx, item, e, at, end, true) ||
            !add_piece(cx, item, e, tail, e->n, false))
            return false;
        if (e->n && !lt_item_cut(cx, item)) return false;
        if (end == tail) return true;
    }
}

/* ---- the stream ---- */

typedef struct flowing {
    const lt_item_flow *flow;
    int64_t made; /* the reading thread's: items so far, … */
    lt_item *at;  /* … and the one whose windows are handed out; not looked at once all are, */
    int32_t left; /* … which this says */
    int64_t done, truncated;
    pthread_mutex_t lock; /* of what follows */
    lt_item *first, *last;
} flowing;

static void put_last(flowing *f, lt_item *item)
{
    pthread_mutex_lock(&f->lock);
    if (f->last)
        f->last->next = item;
    else
        f->first = item;
    f->last = item;
    pthread_mutex_unlock(&f->lock);
}

static lt_item *look_first(flowing *f)
{
    pthread_mutex_lock(&f->lock);
    lt_item *item = f->first;
    pthread_mutex_unlock(&f->lock);
    return item;
}

static void drop_first(flowing *f)
{
    pthread_mutex_lock(&f->lock);
    lt_item *item = f->first;
    if (!(f->first = item->next)) f->last = NULL;
    pthread_mutex_unlock(&f->lock);
    lt_item_free(item);
}

static bool next_window(void *arg, lt_ctx *cx, lt_input *in)
{
    flowing *f = arg;
    while (f->left == 0) {
        lt_scope scope = lt_open(cx, NULL);
        lt_item *item = f->flow->make(f->flow->arg, cx);
        lt_end(cx, scope);
        if (!item) return false;
        item->index = f->made++;
        f->at = item;
        f->left = item->windows;
        put_last(f, item);
    }
    const lt_item *item = f->at;
    const int32_t w = item->windows - f->left--;
    *in = (lt_input){
        .ids = item->ids + item->begin[w], .types = item->types + item->begin[w], .n_ids = item->begin[w + 1] - item->begin[w]};
    return true;
}

static bool finish(flowing *f, lt_ctx *cx, lt_item *item, bool pause)
{
    f->done++;
    f->truncated += item->left_out > 0;
    const bool good = f->flow->done(f->flow->arg, cx, item, pause);
    drop_first(f);
    return good;
}

/* Items without a window have no result to wait for. */
static bool finish_empty(flowing *f, lt_ctx *cx)
{
    for (lt_item *item; (item = look_first(f)) && item->windows == 0;)
        if (!finish(f, cx, item, false)) return false;
    return true;
}

static bool take(void *arg, lt_ctx *cx, const lt_result *r)
{
    flowing *f = arg;
    if (!finish_empty(f, cx)) return false;
    lt_item *item = look_first(f);
    lt_scope scope = lt_open(cx, NULL);
    bool good = f->flow->window(f->flow->arg, cx, item, item->seen++, r);
    if (good && item->seen == item->windows) good = finish(f, cx, item, r->pause);
    lt_end(cx, scope);
    return good;
}

bool lt_items_run(lt_ctx *cx, const lt_model *m, lt_output what, const lt_run_options *options, const lt_item_flow *flow,
                  lt_stream_stats *stats)
{
    flowing f = {.flow = flow};
    lt_stream_stats own = {0};
    lt_run_options run = *options;
    run.max_tokens = 0; /* windows are cut already */
    pthread_mutex_init(&f.lock, NULL);
    bool good = lt_stream(cx, m, what, &run, next_window, &f, take, &f, &own) && finish_empty(&f, cx);
    while (f.first) drop_first(&f);
    pthread_mutex_destroy(&f.lock);
    own.inputs = f.done;
    own.truncated = f.truncated;
    if (stats) *stats = own;
    return good;
}

/* ---- what tasks ask of a model ---- */

int32_t lt_task_limit(const lt_model *m, const lt_run_options *options)
{
    const int32_t most = m->encoder.limit;
    return options->max_tokens > 0 && options->max_tokens < most ? options->max_tokens : most;
}

bool lt_task_fits(lt_ctx *cx, const lt_model *m, const char *head, bool texts)
{
    if (!m || !lt_ok(cx)) return false;
    return lt_fail_if(cx, strcmp(m->info.head, head) != 0, LT_ERR_USAGE,
                      "%s: a model with the head \"%s\" is expected, found \"%s\" (%s)", m->info.path, head, m->info.head,
                      m->info.architecture) &&
           lt_fail_if(cx, texts && !m->tokenizer, LT_ERR_USAGE, "%s: there is no tokenizer, which texts need", m->info.path);
}

bool lt_task_can_fill(lt_ctx *cx, const lt_model *m)
{
    if (!m || !lt_ok(cx)) return false;
    const bool other = strcmp(m->info.head, "mlm") != 0 && strcmp(m->info.head, "pretraining") != 0;
    if (!lt_task_fits(cx, m, other ? "mlm" : m->info.head, true)) return false;
    return lt_fail_if(cx, lt_tokenizer_about(m->tokenizer)->mask < 0, LT_ERR_USAGE, "%s: the tokenizer has no mask token",
                      m->info.path);
}
