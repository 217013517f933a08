/* Classification of sequences: the family's own classifier on a row of each sequence, cross-entropy with its label. Where rows have lists of labels, each label
 * is decided for itself: binary cross-entropy of sigmoids, the mean over the labels (transformers' multi_label_classification). */
#include "train/objective/objective.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- rows ---- */

static int known_label(lt_ctx *cx, lt_examples *e, const lt_row *row, const char *name, size_t size)
{
    const int label = lt_examples_label(cx, e, name, size);
    if (label >= 0 || !lt_ok(cx)) return label;
    lt_str known = {0};
    for (int i = 0; i < e->names && i < 20; i++) lt_str_printf(&known, "%s%s", i ? ", " : "", e->name[i]);
    lt_fail(cx, LT_ERR_INPUT, "%s:%" PRId64 ": label: \"%.*s\" is none of the labels (%s)", row->file, row->line, (int)size, name,
            known.data ? known.data : "");
    lt_str_free(&known);
    return label;
}

/* The row has several labels, or might have had. */
static bool takes_several(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row)
{
    if (e->multi) return true;
    if (e->settled)
        return lt_fail_if(cx, true, LT_ERR_INPUT, "%s:%" PRId64 ": label: a list, where the rows to learn from have one label each", row->file, row->line);
    return lt_examples_make_multi(cx, e);
}

static int32_t read_list(lt_ctx *cx, lt_examples *e, const lt_row *row, const lt_json *list)
{
    const int64_t n = lt_json_size(list);
    int32_t *label = lt_alloc_array(cx, n, sizeof *label);
    for (int64_t i = 0; label && i < n; i++) {
        const lt_json *one = lt_json_at(list, i);
        char number[32];
        size_t size = 0;
        const char *name = lt_json_text(one, &size);
        if (lt_json_is(one) == LT_JSON_INT) size = (size_t)snprintf(number, sizeof number, "%" PRId64, lt_json_int(one, 0)), name = number;
        if (!name) return lt_fail(cx, LT_ERR_INPUT, "%s:%" PRId64 ": label: a list of names is expected", row->file, row->line), -1;
        if ((label[i] = known_label(cx, e, row, name, size)) < 0) return -1;
    }
    return label ? lt_examples_set(cx, e, label, (int32_t)n) : -1;
}

/* fastText's lines: labels stand before the text, each as __label__NAME. */
static const char prefix[] = "__label__";
enum { PREFIX = sizeof prefix - 1 };

static bool has_prefix(const char *text, size_t size) { return size > PREFIX && memcmp(text, prefix, PREFIX) == 0; }

static size_t blanks(const char *text, size_t size, bool are)
{
    size_t n = 0;
    while (n < size && (text[n] == ' ' || text[n] == '\t') == are) n++;
    return n;
}

/* Cuts the labels off the text; returns how many, -1: an error. */
static int cut_labels(lt_ctx *cx, lt_examples *e, const lt_row *row, const char **text, size_t *size, int32_t *label)
{
    int n = 0;
    while (has_prefix(*text, *size)) {
        const size_t name = blanks(*text, *size, false);
        if (!lt_fail_if(cx, name == PREFIX, LT_ERR_INPUT, "%s:%" PRId64 ": a name is expected behind %s", row->file, row->line, prefix)) return -1;
        if ((label[n] = known_label(cx, e, row, *text + PREFIX, name - PREFIX)) < 0) return -1;
        n++;
        const size_t all = name + blanks(*text + name, *size - name, true);
        *text += all;
        *size -= all;
    }
    return n;
}

static bool read_line(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row, const char *text, size_t size)
{
    int32_t *label = lt_alloc_array(cx, (int64_t)(size / PREFIX) + 1, sizeof *label);
    const int n = label ? cut_labels(cx, e, row, &text, &size, label) : -1;
    if (n < 0 || (n > 1 && !takes_several(cx, r, e, row))) return false;
    lt_encoding *c = lt_text_tokens(cx, r, e, text, size, NULL, 0);
    const int32_t one = !c ? -1 : e->multi ? lt_examples_set(cx, e, label, n) : label[0];
    return one >= 0 && lt_examples_add(cx, e, c->ids, c->types, NULL, c->n, one, NAN);
}

static bool read_row(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row)
{
    size_t size = 0, text_size = 0;
    const lt_json *list = lt_row_json(row, "label");
    const bool several = lt_json_is(list) == LT_JSON_ARRAY;
    const char *text = lt_row_text(row, "text", &text_size);
    if (!several && text && has_prefix(text, text_size) && !lt_row_text(row, "label", &size)) return read_line(cx, r, e, row, text, text_size);
    lt_encoding *c = lt_row_tokens(cx, r, e, row);
    if (!c || (several && !takes_several(cx, r, e, row))) return false;
    const char *name = several ? NULL : lt_row_want_text(cx, row, "label", &size);
    if (!several && !name) return false;
    int32_t label = several ? read_list(cx, e, row, list) : known_label(cx, e, row, name, size);
    if (label >= 0 && !several && e->multi) label = lt_examples_set(cx, e, &label, 1);
    return label >= 0 && lt_examples_add(cx, e, c->ids, c->types, NULL, c->n, label, NAN);
}

static bool target(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_minibatch *b)
{
    b->counted = b->batch.seqs->n;
    return true;
}

/* ---- the loss ---- */

/* [n, labels]: 1 where a sequence has the label. */
static lt_tensor *wanted(lt_ctx *cx, const lt_examples *e, const lt_minibatch *b, const lt_tensor *y)
{
    lt_tensor *want = y ? lt_tensor_2d(cx, y->dtype, y->shape[0], y->shape[1]) : NULL;
    if (!want) return NULL;
    memset(want->data, 0, (size_t)(y->shape[0] * y->shape[1]) * lt_dtype_size(y->dtype));
    for (int64_t i = 0; i < y->shape[0]; i++) {
        int32_t n;
        const int32_t *set = lt_set_of(e, b->example[i], &n);
        for (int32_t k = 0; k < n; k++) {
            const int64_t at = i * y->shape[1] + set[k];
            if (want->dtype == LT_F64) ((double *)want->data)[at] = 1;
            else ((float *)want->data)[at] = 1;
        }
    }
    return want;
}

static lt_tensor *loss(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, lt_tensor *hidden, double factor)
{
    const lt_seqs *s = b->batch.seqs;
    lt_tensor *y = lt_model_head(cx, r->model, hidden, s);
    if (e->multi) return y ? lt_sigmoid_cross_entropy(cx, y, wanted(cx, e, b, y), factor / (double)y->shape[1]) : NULL;
    int32_t *label = lt_alloc_array(cx, s->n, sizeof *label);
    double *weight = r->label_weight ? lt_alloc_array(cx, s->n, sizeof *weight) : NULL;
    if (!label || (r->label_weight && !weight)) return NULL;
    for (int32_t i = 0; i < s->n; i++) {
        label[i] = e->at[b->example[i]].label;
        if (weight) weight[i] = r->label_weight[label[i]];
    }
    return lt_smooth_cross_entropy(cx, y, label, r->o->label_smoothing, weight, factor);
}

/* Rows over labels times rows of the label: every label then weighs the same, and rows have a weight of one in the mean (scikit-learn's "balanced"). */
static bool balance(lt_ctx *cx, lt_run *r)
{
    const lt_examples *e = &r->train;
    int used = 0;
    if (!(r->label_weight = lt_new(cx, e->names, sizeof *r->label_weight))) return false;
    for (int64_t i = 0; i < e->n; i++) used += r->label_weight[e->at[i].label]++ == 0;
    for (int i = 0; i < e->names; i++) r->label_weight[i] = r->label_weight[i] > 0 ? (double)e->n / (used * r->label_weight[i]) : 0;
    return true;
}

static bool prepare(lt_ctx *cx, lt_run *r)
{
    const lt_train_options *o = r->o;
    return lt_fail_if(cx, r->train.multi && (o->balance || o->label_smoothing > 0), LT_ERR_USAGE,
                      "label-smoothing and class-weights are for rows of one label; %s has rows of several", o->data[0]) &&
           (!o->balance || balance(cx, r));
}

const lt_objective_kind lt_objective_classify = {
    .is = {"objective", "classify", "a label for each sequence, or several", "Devlin et al. 2019, arXiv 1810.04805"},
    .head = "classify",
    .read = read_row,
    .prepare = prepare,
    .smooths = true,
    .target = target,
    .loss = loss,
    .names = true,
    .judged = LT_JUDGED_LABELS,
};
