/* What a language model's sum of log probabilities says: perplexity (Jelinek et al. 1977) a token, and bits a byte of the text, which does not
 * depend on how the text is cut into tokens. A masked language model gives a pseudo-likelihood: each token is masked in turn and guessed from
 * all others of its window (Salazar et al. 2020). */
#include <math.h>
#include <string.h>

#include "model/model.h"
#include "task/items.h"

double lt_perplexity(double log_likelihood, int64_t tokens) { return tokens > 0 ? exp(-log_likelihood / (double)tokens) : NAN; }
double lt_bits_per_byte(double log_likelihood, int64_t bytes) { return bytes > 0 ? -log_likelihood / log(2) / (double)bytes : NAN; }

enum { ROWS = 32 }; /* of logits at a time */

typedef struct scorer {
    const lt_model *m;
    int32_t limit, mask;
    lt_task_next_fn *next;
    void *next_arg;
    lt_item *text; /* the reading thread's: a text in windows, whose tokens are masked one after another */
    int32_t window, token;
    char *rows;           /* [ROWS, hidden]: hidden states at masks … */
    int32_t target[ROWS]; /* … and what stood there */
    int32_t n;
    lt_dtype dtype;
    int64_t cols;
    lt_likelihood *sum;
} scorer;

/* ---- reading ---- */

/* The next text in windows side by side. */
static bool next_text(lt_ctx *cx, scorer *s)
{
    lt_task_input in = {0};
    lt_item_free(s->text);
    s->text = NULL;
    if (!s->next(s->next_arg, cx, &in)) return false;
    s->sum->bytes += (int64_t)in.text.size;
    const lt_encoding *e = lt_encode(cx, s->m->tokenizer, in.text.text, in.text.size, NULL, 0, NULL);
    s->text = e ? lt_item_new(cx, NULL) : NULL;
    s->window = s->token = 0;
    return s->text && lt_item_windows(cx, s->text, e, lt_special_head(e), s->limit, 0, 0);
}

/* A window with one of its tokens masked. */
static lt_item *masked(lt_ctx *cx, const scorer *s)
{
    const lt_item *t = s->text;
    lt_item *item = lt_item_new(cx, NULL);
    bool good = item != NULL;
    for (int32_t i = t->begin[s->window]; good && i < t->begin[s->window + 1]; i++)
        good = lt_item_add(cx, item, i == s->token ? s->mask : t->ids[i], t->types[i], (lt_token_place){-1, 0, 0});
    if (good && lt_item_cut(cx, item)) {
        item->words = s->token - t->begin[s->window];
        item->target = t->ids[s->token];
        return item;
    }
    lt_item_free(item);
    return NULL;
}

static lt_item *make(void *arg, lt_ctx *cx)
{
    scorer *s = arg;
    for (;;) {
        for (; s->text && s->token < s->text->tokens; s->token++) {
            while (s->token >= s->text->begin[s->window + 1]) s->window++;
            if (s->text->place[s->token].word < 0) continue;
            lt_item *item = masked(cx, s);
            s->token++;
            return item;
        }
        if (!next_text(cx, s)) return NULL;
    }
}

/* ---- scoring ---- */

static bool flush(lt_ctx *cx, scorer *s)
{
    if (!s->n) return true;
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *x = lt_tensor_2d(cx, s->dtype, s->n, s->cols);
    if (x) memcpy(x->data, s->rows, (size_t)s->n * (size_t)s->cols * lt_dtype_size(s->dtype));
    lt_seqs *seqs = lt_seqs_new(cx, 1, &s->n);
    const lt_tensor *y = x && seqs ? lt_model_head(cx, s->m, x, seqs) : NULL;
    double *p = y ? lt_alloc_array(cx, y->shape[1], sizeof *p) : NULL;
    for (int32_t i = 0; p && i < s->n; i++) {
        const int64_t n = y->shape[1];
        double most = -INFINITY, sum = 0;
        lt_link_apply(LT_PLAIN, y->dtype, (const char *)y->data + (size_t)(i * y->stride[0]) * lt_dtype_size(y->dtype), n, p);
        for (int64_t k = 0; k < n; k++) most = fmax(most, p[k]);
        for (int64_t k = 0; k < n; k++) sum += exp(p[k] - most);
        if (s->target[i] < n) s->sum->sum += p[s->target[i]] - most - log(sum);
        s->sum->tokens++;
    }
    s->n = 0;
    lt_end(cx, scope);
    return p != NULL;
}

static bool take(void *arg, lt_ctx *cx, lt_item *item, int32_t window, const lt_result *r)
{
    scorer *s = arg;
    const size_t bytes = (size_t)r->cols * lt_dtype_size(r->dtype);
    if (!s->rows && !(s->rows = lt_new(cx, ROWS, bytes))) return false;
    s->dtype = r->dtype;
    s->cols = r->cols;
    memcpy(s->rows + (size_t)s->n * bytes, (const char *)r->data + (size_t)item->words * bytes, bytes);
    s->target[s->n++] = item->target;
    return s->n < ROWS || flush(cx, s);
}

static bool done(void *arg, lt_ctx *cx, lt_item *item, bool pause) { return true; }

bool lt_likelihood_all(lt_ctx *cx, const lt_model *m, const lt_run_options *options, lt_task_next_fn *next, void *next_arg,
                       lt_likelihood *sum, lt_stream_stats *stats)
{
    static const lt_run_options defaults;
    if (!options) options = &defaults;
    *sum = (lt_likelihood){0};
    if (!lt_task_can_fill(cx, m)) return false;
    scorer s = {.m = m,
                .limit = lt_task_limit(m, options),
                .mask = lt_tokenizer_about(m->tokenizer)->mask,
                .next = next,
                .next_arg = next_arg,
                .sum = sum};
    bool good = lt_items_run(cx, m, LT_OUT_HIDDEN, options, &(lt_item_flow){make, take, done, &s}, stats) && flush(cx, &s);
    lt_item_free(s.text);
    lt_free(s.rows);
    return good;
}
