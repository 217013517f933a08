/* What eight bits by each rule make of a model (Dettmers et al. 2022, arXiv 2208.07339): its blocks' linears multiply by one rule after another, and
 * products, embeddings and the loss of masked tokens are compared with those of f32. Outliers, which small models lack, can be put in without
 * changing the model: a feature of what a layer reads is multiplied, and that layer's weights for it divided. */
#include <math.h>
#include <string.h>

#include "compress/batches.h"
#include "model/model.h"

enum { INJECTED = 6, MASK_EVERY = 7 };

typedef struct trials { /* all of them */
    lt_model *m;
    const lt_trial_options *o;
    const lt_quantizer *q; /* that of now; NULL: the model runs as it is */
    float *rows;           /* [inputs, width] of the model as it is; owned */
    int64_t width;
    int32_t mask;          /* the token that hides others; -1: no loss */
    /* sums of the trial of now */
    double wrong, right, columns, loss, cosine, least;
    int64_t products, labels;
} trials;

typedef struct site { /* the state of a linear meanwhile */
    trials *t;
    bool inject;
    const lt_linear_kind *kind; /* its own … */
    void *state;
} site;

/* ---- one product ---- */

/* Different features, the same of every layer of that width. */
static int choose_features(const lt_trial_options *o, int64_t width, int32_t *feature)
{
    const uint32_t key[2] = {(uint32_t)o->seed, (uint32_t)(o->seed >> 32)};
    const int most = width < INJECTED ? (int)width : INJECTED;
    int n = 0;
    for (uint32_t draw = 0; n < most; draw++) {
        uint32_t bits[4];
        lt_philox((const uint32_t[4]){draw, 0, 0, 0}, key, bits);
        const int32_t one = (int32_t)(bits[0] % (uint64_t)width);
        int i = 0;
        while (i < n && feature[i] != one) i++;
        if (i == n) feature[n++] = one;
    }
    return n;
}

static lt_tensor *with_outliers(lt_ctx *cx, const lt_trial_options *o, const lt_tensor *x, double factor)
{
    int32_t feature[INJECTED];
    const int64_t m = x->shape[0], k = x->shape[1];
    const int n = choose_features(o, k, feature);
    lt_tensor *y = lt_tensor_2d(cx, LT_F32, m, k);
    if (!y) return NULL;
    memcpy(y->data, x->data, (size_t)(m * k) * sizeof(float));
    for (int64_t r = 0; r < m; r++)
        for (int i = 0; i < n; i++) {
            float *at = (float *)y->data + r * k + feature[i];
            *at = (float)(*at * factor);
        }
    return y;
}

static void sum_up(trials *t, const lt_tensor *y, const lt_tensor *plain)
{
    const float *a = y->data, *b = plain->data;
    for (int64_t i = 0; i < y->shape[0] * y->shape[1]; i++) {
        const double d = (double)a[i] - (double)b[i];
        t->wrong += d * d;
        t->right += (double)b[i] * (double)b[i];
    }
}

static lt_tensor *forward(lt_ctx *cx, const lt_linear *l, lt_tensor *x)
{
    const site *s = l->state;
    trials *t = s->t;
    lt_tensor *w = (lt_tensor *)&l->weight.value;
    int64_t columns;
    x = lt_contiguous(cx, x);
    const lt_tensor *plain = lt_matmul_t(cx, x, w);
    if (s->inject && x) {
        x = with_outliers(cx, t->o, x, t->o->inject);
        w = with_outliers(cx, t->o, w, 1 / t->o->inject);
    }
    lt_tensor *y = lt_quantized_product(cx, t->q, (float)t->o->threshold, x, w, &columns);
    if (!y || !plain) return NULL;
    sum_up(t, y, plain);
    t->columns += (double)columns;
    t->products++;
    return l->has_bias ? lt_add_row(cx, y, (lt_tensor *)&l->bias.value) : y;
}

static const lt_linear_kind tried = {.is = {"linear", "tried", "a product by one of lt_quantizers", ""}, .forward = forward};

/* ---- linears ---- */

typedef struct swap {
    site *next;
    trials *t; /* NULL: back to what they were */
} swap;

static bool count(lt_ctx *cx, const lt_readers *r, void *n)
{
    *(int *)n += r->n;
    return true;
}

static bool swap_kinds(lt_ctx *cx, const lt_readers *r, void *arg)
{
    swap *s = arg;
    for (int i = 0; i < r->n; i++, s->next++) {
        lt_linear *l = r->l[i];
        if (s->t && (l->kind != &lt_linear_dense || l->ready || !l->weight.value.data || l->weight.value.dtype != LT_F32))
            return lt_fail_if(cx, true, LT_ERR_USAGE, "%s: quantizers are tried on a model opened in f32, unpacked", l->name);
        if (s->t) *s->next = (site){s->t, s->t->o->inject > 1 && (r->at == LT_SITE_MIXER || r->at == LT_SITE_FFN), l->kind, l->state};
        if (!s->t && !s->next->t) continue; /* was never swapped */
        l->kind = s->t ? &tried : s->next->kind;
        l->state = s->t ? s->next : s->next->state;
    }
    return true;
}

/* ---- a batch ---- */

/* The batch with some tokens hidden, which are labels, and where they stand. */
static int32_t *hide(lt_ctx *cx, const lt_batch *b, int32_t mask, int32_t *row, int32_t *label, int64_t *n)
{
    const lt_seqs *s = b->seqs;
    int32_t *ids = lt_alloc_array(cx, lt_seqs_rows(s), sizeof *ids);
    if (!ids) return NULL;
    memcpy(ids, b->ids, (size_t)lt_seqs_rows(s) * sizeof *ids);
    *n = 0;
    for (int32_t i = 0; i < s->n; i++) /* not the first and last, which tokenizers add */
        for (int32_t r = s->offset[i] + 1; r < s->offset[i + 1] - 1; r++) {
            if (r % MASK_EVERY) continue;
            row[*n] = r;
            label[(*n)++] = ids[r];
            ids[r] = mask;
        }
    return ids;
}

static bool add_loss(lt_ctx *cx, trials *t, lt_tensor *hidden, const int32_t *row, const int32_t *label, int64_t n)
{
    if (n == 0) return true;
    lt_tensor *x = lt_gather(cx, hidden, row, n);
    const lt_tensor *loss = lt_cross_entropy(cx, lt_model_head(cx, t->m, x, lt_seqs_new(cx, 1, (int32_t[]){(int32_t)n})), label, 1);
    if (!loss) return false;
    t->loss += (double)*(const float *)loss->data;
    t->labels += n;
    return true;
}

static double dot(const float *x, const float *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

/* Rows of the model as it is are kept, those of a trial compared with them. */
static void look_at_rows(trials *t, const lt_tensor *e, int64_t first)
{
    const int64_t n = t->width;
    for (int64_t i = 0; i < e->shape[0]; i++) {
        const float *row = (const float *)e->data + i * n;
        float *kept = t->rows + (first + i) * n;
        if (!t->q) memcpy(kept, row, (size_t)n * sizeof *row);
        const double sizes = dot(kept, kept, n) * dot(row, row, n), c = sizes > 0 ? dot(kept, row, n) / sqrt(sizes) : 1;
        if (!(c >= t->least)) t->least = c;
        t->cosine += c;
    }
}

static bool run_batch(void *arg, lt_ctx *cx, const lt_batch *batch, int64_t first)
{
    static const lt_run_options defaults;
    trials *t = arg;
    lt_batch b = *batch;
    const int64_t rows = lt_seqs_rows(b.seqs);
    int32_t *row = lt_alloc_array(cx, rows, sizeof *row), *label = lt_alloc_array(cx, rows, sizeof *label);
    int64_t n = 0;
    if (!row || !label || (t->mask >= 0 && !(b.ids = hide(cx, &b, t->mask, row, label, &n)))) return false;
    lt_tensor *hidden = lt_model_hidden(cx, t->m, &b);
    const lt_tensor *e = hidden ? lt_sentence_embed(cx, t->m, hidden, b.seqs, 0, &defaults) : NULL;
    if (!e) return false;
    look_at_rows(t, e, first);
    return add_loss(cx, t, hidden, row, label, n);
}

/* ---- all of them ---- */

static bool run_all(lt_ctx *cx, trials *t, const int32_t *ids, const int64_t *begin, int64_t n)
{
    t->wrong = t->right = t->columns = t->loss = t->cosine = 0;
    t->products = t->labels = 0;
    t->least = INFINITY;
    return lt_each_batch(cx, t->q ? t->q->is.name : "as it is", ids, begin, n, run_batch, t);
}

static bool try_each(lt_ctx *cx, trials *t, site *sites, const int32_t *ids, const int64_t *begin, int64_t n, lt_trial *trial)
{
    int rules;
    const lt_quantizer *q = lt_quantizers(&rules);
    bool good = run_all(cx, t, ids, begin, n) && lt_model_readers(cx, t->m, swap_kinds, &(swap){sites, t});
    for (int i = 0; good && i < rules; i++) {
        t->q = &q[i];
        good = run_all(cx, t, ids, begin, n);
        trial[i] = (lt_trial){.error = t->right > 0 ? sqrt(t->wrong / t->right) : 0, .columns = t->products ? t->columns / (double)t->products : 0,
                              .cosine_min = t->least, .cosine_mean = t->cosine / (double)n, .loss = t->labels ? t->loss / (double)t->labels : NAN};
    }
    lt_model_readers(cx, t->m, swap_kinds, &(swap){sites, NULL});
    return good;
}

bool lt_try_quantizers(lt_ctx *cx, lt_model *m, const int32_t *ids, const int64_t *begin, int64_t n, const lt_trial_options *o, lt_trial *trial)
{
    if (!m || !lt_ok(cx) || !lt_fail_if(cx, n == 0 || begin[n] == begin[0], LT_ERR_INPUT, "the inputs have no tokens")) return false;
    const lt_tokenizer *tokens = lt_model_tokenizer(m);
    trials t = {.m = m, .o = o, .width = lt_embedding_width(m, NULL), .mask = -1};
    if (tokens && strcmp(lt_model_about(m)->head, "mlm") == 0) t.mask = lt_tokenizer_about(tokens)->mask;
    int linears = 0;
    lt_model_readers(cx, m, count, &linears);
    site *sites = lt_new(cx, linears + 1, sizeof *sites);
    t.rows = lt_new(cx, n * t.width, sizeof *t.rows);
    const bool good = sites && t.rows && try_each(cx, &t, sites, ids, begin, n, trial);
    lt_free(sites);
    lt_free(t.rows);
    return good;
}
