/* Filling masks: the most likely tokens at each mask under a masked language model (Devlin et al. 2019). Logits over the vocabulary are computed for
 * the masks' rows alone. A text that is too long is read in windows that share half, each mask in the one that shows most around it. */
#include <math.h>
#include <string.h>

#include "model/model.h"
#include "task/items.h"

enum { ROWS = 16 }; /* of logits at a time */

typedef struct filler {
    const lt_model *m;
    int k;
    int32_t limit, mask;
    lt_task_next_fn *next;
    void *next_arg;
    lt_filled_fn *sink;
    void *sink_arg;
} filler;

typedef struct spot { /* a mask: where its best window has it */
    int32_t window, row;
} spot;

/* ---- reading ---- */

/* What stands around row `row` of a window on its poorer side; the ends of the text are no loss. */
static int32_t context(const lt_item *item, int32_t window, int32_t row)
{
    const int32_t before = window == 0 ? INT32_MAX : row,
                  after = window == item->windows - 1 ? INT32_MAX : item->begin[window + 1] - item->begin[window] - row;
    return before < after ? before : after;
}

/* Masks in the order of the text; in windows they come again, in the same order. */
static bool find_masks(lt_ctx *cx, const filler *f, lt_item *item, int32_t shift)
{
    int64_t room = 0;
    for (int32_t i = 0; i < item->tokens; i++) room += item->ids[i] == f->mask && item->place[i].word >= 0;
    spot *s = item->own = lt_new(cx, room + 1, sizeof *s);
    int32_t *where = lt_alloc_array(cx, room + 1, sizeof *where); /* in the text: window times shift and row */
    if (!s || !where) return false;
    int64_t n = 0;
    for (int32_t w = 0; w < item->windows; w++)
        for (int32_t i = item->begin[w]; i < item->begin[w + 1]; i++) {
            if (item->ids[i] != f->mask || item->place[i].word < 0) continue;
            const int32_t row = i - item->begin[w], at = w * shift + row;
            int64_t k = n;
            while (k > 0 && where[k - 1] >= at) k--; /* at most as far back as a window has masks */
            const bool again = k < n && where[k] == at;
            if (!again) k = n++;
            if (again && context(item, s[k].window, s[k].row) >= context(item, w, row)) continue;
            where[k] = at;
            s[k] = (spot){w, row};
        }
    item->words = n;
    return true;
}

static lt_item *make(void *arg, lt_ctx *cx)
{
    filler *f = arg;
    lt_task_input in = {0};
    if (!f->next(f->next_arg, cx, &in)) return NULL;
    const lt_encoding *e = lt_encode(cx, f->m->tokenizer, in.text.text, in.text.size, NULL, 0, NULL);
    lt_item *item = e ? lt_item_new(cx, NULL) : NULL;
    if (!item) return NULL;
    const int32_t head = lt_special_head(e), room = f->limit - e->special_count, stride = room / 2;
    if (lt_item_windows(cx, item, e, head, f->limit, stride, 0) && find_masks(cx, f, item, room - stride)) return item;
    lt_item_free(item);
    return NULL;
}

/* ---- guessing ---- */

/* The k most likely, by an ordered list. */
static void best_of(const double *p, int64_t n, int k, lt_guess *out)
{
    int have = 0;
    for (int64_t i = 0; i < n; i++) {
        if (have == k && !(p[i] > out[k - 1].score)) continue;
        int at = have < k ? have++ : k - 1;
        for (; at > 0 && p[i] > out[at - 1].score; at--) out[at] = out[at - 1];
        out[at] = (lt_guess){(int32_t)i, p[i]};
    }
    for (; have < k; have++) out[have] = (lt_guess){-1, 0};
}

/* Masks `which` (n of them) of the window whose rows r has. */
static bool guess(lt_ctx *cx, const filler *f, const spot *s, const int64_t *which, int32_t n, const lt_result *r, lt_guess *out)
{
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *x = lt_tensor_2d(cx, r->dtype, n, r->cols);
    const size_t bytes = (size_t)r->cols * lt_dtype_size(r->dtype);
    for (int32_t i = 0; x && i < n; i++)
        memcpy((char *)x->data + (size_t)i * bytes, (const char *)r->data + (size_t)s[which[i]].row * bytes, bytes);
    lt_seqs *seqs = lt_seqs_new(cx, 1, &n);
    const lt_tensor *y = x && seqs ? lt_model_head(cx, f->m, x, seqs) : NULL;
    double *p = y ? lt_alloc_array(cx, y->shape[1], sizeof *p) : NULL;
    for (int32_t i = 0; p && i < n; i++) {
        lt_link_apply(LT_SOFTMAX, y->dtype, (const char *)y->data + (size_t)(i * y->stride[0]) * lt_dtype_size(y->dtype),
                      y->shape[1], p);
        best_of(p, y->shape[1], f->k, out + which[i] * f->k);
    }
    lt_end(cx, scope);
    return p != NULL;
}

static bool take(void *arg, lt_ctx *cx, lt_item *item, int32_t window, const lt_result *r)
{
    const filler *f = arg;
    int64_t which[ROWS];
    int32_t n = 0;
    bool good = true;
    if (!item->words) return true;
    if (window == 0) { /* guesses stand behind the spots from now on */
        void *more = lt_resize(cx, item->own, item->words, sizeof(spot) + (size_t)f->k * sizeof(lt_guess));
        if (!more) return false;
        item->own = more;
    }
    const spot *s = item->own;
    lt_guess *out = (lt_guess *)(void *)((char *)item->own + (size_t)item->words * sizeof *s);
    for (int64_t i = 0; good && i < item->words; i++) {
        if (s[i].window == window) which[n++] = i;
        if (n == ROWS || (n && i == item->words - 1)) {
            good = guess(cx, f, s, which, n, r, out);
            n = 0;
        }
    }
    return good;
}

static bool done(void *arg, lt_ctx *cx, lt_item *item, bool pause)
{
    const filler *f = arg;
    const lt_guess *guesses =
        item->words ? (const lt_guess *)(const void *)((const char *)item->own + (size_t)item->words * sizeof(spot)) : NULL;
    return f->sink(f->sink_arg, cx, &(lt_filled){item->index, item->words, f->k, guesses, pause});
}

bool lt_fill_all(lt_ctx *cx, const lt_model *m, int k, const lt_run_options *options, lt_task_next_fn *next, void *next_arg,
                 lt_filled_fn *sink, void *sink_arg, lt_stream_stats *stats)
{
    static const lt_run_options defaults;
    if (!options) options = &defaults;
    if (!lt_task_can_fill(cx, m)) return false;
    const int vocab = lt_model_labels(m);
    filler f = {.m = m,
                .k = k < 1       ? 1
                     : k < vocab ? k
                                 : vocab,
                .limit = lt_task_limit(m, options),
                .mask = lt_tokenizer_about(m->tokenizer)->mask,
                .next = next,
                .next_arg = next_arg,
                .sink = sink,
                .sink_arg = sink_arg};
    return lt_items_run(cx, m, LT_OUT_HIDDEN, options, &(lt_item_flow){make, take, done, &f}, stats);
}
