/* How much a step computes, so that its time can be held against what the machine can do: for each matrix of a block, and of a head over the vocabulary,
 * two operations a weight and token forward and four backward (Kaplan et al. 2020, arXiv 2001.08361, section 2.1), and attention's two products for each pair
 * of tokens of a sequence. What is computed again in the backward pass does not count, nor what a teacher computes. */
#include "train/dist/dist.h"

static bool add_linears(lt_ctx *cx, const lt_readers *r, void *arg)
{
    double *weights = arg;
    for (int i = 0; i < r->n; i++) *weights += (double)r->l[i]->in * (double)r->l[i]->out;
    return true;
}

double lt_step_flops(lt_ctx *cx, const lt_run *r, const lt_minibatch *b)
{
    const lt_model_info *about = lt_model_about(r->model);
    const lt_seqs *s = b->batch.seqs;
    double weights = 0, pairs = 0;
    if (!lt_model_readers(cx, r->model, add_linears, &weights)) return 0;
    for (int32_t i = 0; i < s->n; i++) pairs += (double)(s->offset[i + 1] - s->offset[i]) * (double)(s->offset[i + 1] - s->offset[i]);
    const double head = lt_model_head_per_token(r->model) ? (double)b->counted * about->hidden * lt_model_labels(r->model) : 0;
    return 6 * (weights * (double)lt_seqs_rows(s) + head) + 12 * pairs * about->hidden * about->layers;
}
