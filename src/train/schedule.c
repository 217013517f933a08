/* Schedules: what the rate is after its warm-up, which is linear from zero, so that the first step of a warm-up has rate zero, as with Hugging Face
 * transformers' get_…_schedule_with_warmup. */
#include <math.h>

#include "train/train.h"

static double share(int64_t step, int64_t warmup, int64_t steps) /* of the way behind the warm-up, 0 … 1 */
{
    const double way = (double)(steps - warmup > 1 ? steps - warmup : 1), done = (double)(step - warmup) / way;
    return done > 1 ? 1 : done;
}

static double constant(int64_t step, int64_t warmup, int64_t steps) { return 1; }
static double linear(int64_t step, int64_t warmup, int64_t steps) { return 1 - share(step, warmup, steps); }
static double cosine(int64_t step, int64_t warmup, int64_t steps) { return 0.5 * (1 + cos(3.14159265358979323846 * share(step, warmup, steps))); }

static double inverse_sqrt(int64_t step, int64_t warmup, int64_t steps)
{
    const double scale = warmup > 0 ? (double)warmup : 10000;
    return sqrt(scale / ((double)(step - warmup) + scale));
}

/* Warm-up, stable, decay: the last tenth of all steps goes down to zero. */
static double stable(int64_t step, int64_t warmup, int64_t steps)
{
    const double tail = ceil((double)steps / 10), left = (double)(steps - step);
    return left >= tail ? 1 : left / tail;
}

const lt_schedule_kind lt_schedule_constant = {{"schedule", "constant", "the same rate after the warm-up", ""}, constant},
                       lt_schedule_linear = {{"schedule", "linear", "down to zero at the last step", "Devlin et al. 2019, arXiv 1810.04805"}, linear},
                       lt_schedule_cosine = {{"schedule", "cosine", "down to zero along half a wave", "Loshchilov & Hutter 2017, arXiv 1608.03983"}, cosine},
                       lt_schedule_inverse_sqrt = {{"schedule", "inverse_sqrt", "with one over the root of the step", "Vaswani et al. 2017, arXiv 1706.03762"},
                                                   inverse_sqrt},
                       lt_schedule_wsd = {{"schedule", "wsd", "warm-up, stable, and down to zero in the last tenth", "Hu et al. 2024, arXiv 2404.06395"}, stable};

double lt_schedule_rate(const lt_schedule_kind *k, double lr, int64_t step, int64_t warmup, int64_t steps)
{
    return step < warmup ? lr * (double)step / (double)warmup : lr * k->factor(step, warmup, steps);
}
