/* Judging a validation: what the head says of each batch is counted, and at the end gives the task's metrics (lathe/task.h). Which ones there are
 * is told by what the objective's targets are. */
#include "train/judge.h"

#include <math.h>
#include <string.h>

enum { ROWS = 256 }; /* of logits over a vocabulary at a time */

static const char *const names[][LT_JUDGE_MOST] = {
    [LT_JUDGED_NOT] = {NULL},
    [LT_JUDGED_LABELS] = {"accuracy", "f1_macro", "mcc"},
    [LT_JUDGED_TAGS] = {"precision", "recall", "f1", "accuracy"},
    [LT_JUDGED_NUMBERS] = {"pearson", "spearman"},
    [LT_JUDGED_TOKENS] = {"perplexity", "accuracy"},
    [LT_JUDGED_SETS] = {"accuracy", "f1_macro", "f1_micro"},
    [LT_JUDGED_RIGHT] = {"accuracy"},
};

const char *lt_judge_name(lt_judged kind, int i) { return i >= 0 && i < LT_JUDGE_MOST ? names[kind][i] : NULL; }
bool lt_judge_less(const char *name) { return strcmp(name, "loss") == 0 || strcmp(name, "perplexity") == 0; }

lt_judged lt_judged_as(const lt_run *r)
{
    return r->objective->judged == LT_JUDGED_LABELS && r->train.multi ? LT_JUDGED_SETS : r->objective->judged;
}

static double at(const lt_tensor *t, int64_t row, int64_t col) { return lt_value_at(t->dtype, t->data, row * t->stride[0] + col); }

static int32_t largest(const lt_tensor *t, int64_t row)
{
    int64_t best = 0;
    for (int64_t j = 1; j < t->shape[1]; j++)
        if (at(t, row, j) > at(t, row, best)) best = j;
    return (int32_t)best;
}

static bool judge_labels(lt_ctx *cx, const lt_run *r, lt_judge *j, const lt_minibatch *b, const lt_tensor *y)
{
    bool good = true;
    for (int32_t i = 0; good && i < b->batch.seqs->n; i++)
        good = lt_label_count(cx, &j->labels, r->valid.at[b->example[i]].label, largest(y, i));
    return good;
}

/* A label is got where its output is above 0: where it is likelier than not. */
static bool judge_sets(lt_ctx *cx, const lt_run *r, lt_judge *j, const lt_minibatch *b, const lt_tensor *y)
{
    int32_t *got = lt_alloc_array(cx, y->shape[1], sizeof *got);
    bool good = got != NULL;
    for (int32_t i = 0; good && i < b->batch.seqs->n; i++) {
        int32_t n, m = 0;
        const int32_t *want = lt_set_of(&r->valid, b->example[i], &n);
        for (int64_t k = 0; k < y->shape[1]; k++)
            if (at(y, i, k) > 0) got[m++] = (int32_t)k;
        good = lt_label_count_sets(cx, &j->labels, want, n, got, m);
    }
    return good;
}

/* The tags of each sequence's words, which stand at their first tokens. */
static bool judge_tags(lt_ctx *cx, const lt_run *r, lt_judge *j, const lt_minibatch *b, const lt_tensor *y)
{
    const lt_seqs *s = b->batch.seqs;
    const char **want = lt_alloc_array(cx, s->longest, sizeof *want), **got = lt_alloc_array(cx, s->longest, sizeof *got);
    bool good = want && got;
    for (int32_t i = 0; good && i < s->n; i++) {
        int64_t n = 0;
        for (int32_t k = s->offset[i]; k < s->offset[i + 1]; k++) {
            if (b->labels[k] < 0) continue;
            want[n] = r->valid.name[b->labels[k]];
            got[n++] = r->valid.name[largest(y, k)];
        }
        good = lt_entity_count(cx, &j->tags, want, got, n);
    }
    return good;
}

static bool judge_numbers(lt_ctx *cx, const lt_run *r, lt_judge *j, const lt_minibatch *b, const lt_tensor *y)
{
    if (!j->want && !(j->want = lt_new(cx, r->valid.n, sizeof *j->want))) return false;
    if (!j->got && !(j->got = lt_new(cx, r->valid.n, sizeof *j->got))) return false;
    for (int32_t i = 0; i < b->batch.seqs->n; i++) {
        j->want[j->n] = r->valid.at[b->example[i]].number;
        j->got[j->n++] = at(y, i, 0);
    }
    return true;
}

static void judge_token(lt_judge *j, const lt_tensor *y, int64_t row, int32_t label)
{
    const int32_t best = largest(y, row);
    const double most = at(y, row, best);
    double sum = 0;
    for (int64_t k = 0; k < y->shape[1]; k++) sum += exp(at(y, row, k) - most);
    j->log_likelihood += at(y, row, label) - most - log(sum);
    j->right += best == label;
    j->n++;
}

/* The head at the tokens that count. */
static bool judge_tokens(lt_ctx *cx, const lt_run *r, lt_judge *j, const lt_minibatch *b, lt_tensor *hidden)
{
    const lt_seqs *s = b->batch.seqs;
    int32_t where[ROWS], n = 0;
    for (int64_t i = 0; i < lt_seqs_rows(s); i++) {
        if (b->labels[i] >= 0) where[n++] = (int32_t)i;
        if (n < ROWS && (i + 1 < lt_seqs_rows(s) || !n)) continue;
        lt_scope scope = lt_open(cx, NULL);
        const lt_tensor *y = lt_model_head(cx, r->model, lt_gather(cx, hidden, where, n), s);
        for (int32_t k = 0; y && k < n; k++) judge_token(j, y, k, b->labels[where[k]]);
        lt_end(cx, scope);
        if (!y) return false;
        n = 0;
    }
    return true;
}

bool lt_judge_batch(lt_ctx *cx, const lt_run *r, lt_judge *j, const lt_minibatch *b, lt_tensor *hidden)
{
    const lt_judged kind = lt_judged_as(r);
    if (kind == LT_JUDGED_NOT || !hidden) return hidden != NULL;
    if (kind == LT_JUDGED_TOKENS) return judge_tokens(cx, r, j, b, hidden);
    const lt_tensor *y = lt_model_head(cx, r->model, hidden, b->batch.seqs);
    if (!y) return false;
    if (kind == LT_JUDGED_LABELS) return judge_labels(cx, r, j, b, y);
    if (kind == LT_JUDGED_SETS) return judge_sets(cx, r, j, b, y);
    if (kind == LT_JUDGED_RIGHT) {
        j->right += r->objective->right(cx, r, &r->valid, b, y);
        j->n += b->counted;
        return lt_ok(cx);
    }
    return kind == LT_JUDGED_TAGS ? judge_tags(cx, r, j, b, y) : judge_numbers(cx, r, j, b, y);
}

int lt_judge_metrics(lt_ctx *cx, const lt_run *r, const lt_judge *j, lt_metric *out)
{
    const lt_judged kind = lt_judged_as(r);
    const lt_prf entities = lt_entity_score(&j->tags, -1);
    double value[LT_JUDGE_MOST] = {0};
    switch (kind) {
    case LT_JUDGED_LABELS:
        value[0] = lt_accuracy(&j->labels);
        value[1] = lt_f1_macro(&j->labels);
        value[2] = lt_mcc(&j->labels);
        break;
    case LT_JUDGED_SETS:
        value[0] = lt_accuracy(&j->labels);
        value[1] = lt_f1_macro(&j->labels);
        value[2] = lt_f1_micro(&j->labels);
        break;
    case LT_JUDGED_RIGHT:
        value[0] = j->n ? (double)j->right / (double)j->n : NAN;
        break;
    case LT_JUDGED_TAGS:
        value[0] = entities.precision;
        value[1] = entities.recall;
        value[2] = entities.f1;
        value[3] = j->tags.tags ? (double)j->tags.right / (double)j->tags.tags : NAN;
        break;
    case LT_JUDGED_NUMBERS:
        value[0] = lt_pearson(j->got, j->want, j->n);
        value[1] = lt_spearman(cx, j->got, j->want, j->n);
        break;
    default:
        value[0] = lt_perplexity(j->log_likelihood, j->n);
        value[1] = j->n ? (double)j->right / (double)j->n : NAN;
    }
    int n = 0;
    for (; lt_judge_name(kind, n); n++) out[n] = (lt_metric){lt_judge_name(kind, n), value[n]};
    return n;
}

void lt_judge_free(lt_judge *j)
{
    lt_label_counts_free(&j->labels);
    lt_entity_counts_free(&j->tags);
    lt_free(j->want);
    lt_free(j->got);
}
