/* Labels from logits: softmax where one label is meant, the logistic function where each stands for itself, chosen as Hugging Face's text
 * classification pipeline chooses. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lathe/task.h"
#include "model/model.h"

static const char *problem(const lt_model *m)
{
    const char *type = lt_json_text(lt_json_get(m->config.root, "problem_type"), NULL);
    return type && !(m->reshaped || m->label) ? type : "";
}

bool lt_is_multi_label(const lt_model *m) { return strcmp(problem(m), "multi_label_classification") == 0; }

lt_link lt_link_of(const lt_model *m)
{
    if (strcmp(problem(m), "regression") == 0) return LT_PLAIN;
    return lt_is_multi_label(m) || lt_model_labels(m) == 1 ? LT_SIGMOID : LT_SOFTMAX;
}

void lt_link_apply(lt_link link, lt_dtype dtype, const void *logits, int64_t n, double *p)
{
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, p[i] = lt_value_at(dtype, logits, i));
    for (int64_t i = 0; i < n && link == LT_SIGMOID; i++) p[i] = 1 / (1 + exp(-p[i]));
    if (link != LT_SOFTMAX) return;
    for (int64_t i = 0; i < n; i++) sum += p[i] = exp(p[i] - most);
    for (int64_t i = 0; i < n; i++) p[i] /= sum;
}

const char *lt_label_name(const lt_model *m, int i, char room[32])
{
    const char *name = lt_model_label(m, i);
    if (name) return name;
    snprintf(room, 32, "LABEL_%d", i);
    return room;
}
