/* Schedules: what the rate is after its warm-up, which is linear from zero, so that the first step of a warm-up has rate zero, as with Hugging Face
 * transformers' get_…_schedule_with_warmup; or from lr / N, as in fairseq and timm. A decay counts from the end of the warm-up, or from step 0, as in
 * BERT's original (Devlin et al. 2019). */
#include <math.h>

#include "train/train.h"

static double constant(const lt_train_options *o, int64_t step, int64_t steps, double share) { return 1; }
static double linear(const lt_train_options *o, int64_t step, int64_t steps, double share) { return 1 - share; }
static double polynomial(const lt_train_options *o, int64_t step, int64_t steps, double share) { return pow(1 - share, o->power); }
static double cosine(const lt_train_options *o, int64_t step, int64_t steps, double share) { return 0.5 * (1 + cos(3.14159265358979323846 * share)); }

static double inverse_sqrt(const lt_train_options *o, int64_t step, int64_t steps, double share)
{
    const double scale = o->warmup > 0 ? (double)o->warmup : 10000;
    return sqrt(scale / ((double)(step - o->warmup) + scale));
}

/* Warm-up, stable, decay: the last tenth of all steps goes down to zero. */
static double stable(const lt_train_options *o, int64_t step, int64_t steps, double share)
{
    const double tail = ceil((double)steps / 10), left = (double)(steps - step);
    return left >= tail ? 1 : left / tail;
}

const lt_schedule_kind lt_schedule_constant = {{"schedule", "constant", "the same rate after the warm-up", ""}, constant},
                       lt_schedule_linear = {{"schedule", "linear", "down to zero at the last step", "Devlin et al. 2019, arXiv 1810.04805"}, linear},
                       lt_schedule_cosine = {{"schedule", "cosine", "down to zero along half a wave", "Loshchilov & Hutter 2017, arXiv 1608.03983"}, cosine},
                       lt_schedule_inverse_sqrt = {{"schedule", "inverse_sqrt", "with one over the root of the step", "Vaswani et al. 2017, arXiv 1706.03762"},
                                                   inverse_sqrt},
                       lt_schedule_wsd = {{"schedule", "wsd", "warm-up, stable, and down to zero in the last tenth", "Hu et al. 2024, arXiv 2404.06395"}, stable},
                       lt_schedule_polynomial = {{"schedule", "polynomial", "down to --lr-end with a power of what is left (--power)",
                                                  "Devlin et al. 2019, arXiv 1810.04805"}, polynomial};

double lt_schedule_rate(const lt_run *r, int64_t step)
{
    const lt_train_options *o = r->o;
    const int64_t begin = o->decay_from_start ? 0 : o->warmup, way = r->steps - begin > 1 ? r->steps - begin : 1;
    const double own = r->optimizer->rate ? r->optimizer->rate(r, step + 1) : -1;
    if (own >= 0) return own;
    if (step < o->warmup) return o->lr * (double)(step + (o->warmup_from == 1 || r->optimizer->warms)) / (double)o->warmup;
    const double share = (double)(step - begin) / (double)way;
    return o->lr_end + (o->lr - o->lr_end) * r->schedule->factor(o, step, r->steps, share > 1 ? 1 : share);
}
