/* Optimizers and schedules. An optimizer is a function over a piece of one parameter; pieces are taken by all threads. */
#include "train/train.h"

#include <math.h>
#include <string.h>

static void *element(const lt_kernels *kn, void *p, int64_t i) { return (char *)p + (size_t)i * kn->elem; }

static void adamw(const lt_run *r, const lt_kernels *kn, const lt_trained *p, int64_t t, double lr, double scale, int64_t begin, int64_t n)
{
    const lt_train_options *o = r->o;
    const lt_adam h = {.lr = lr,
                       .beta1 = o->beta1,
                       .beta2 = o->beta2,
                       .eps = o->eps,
                       .decay = p->decays ? o->weight_decay : 0,
                       .correct1 = 1 - pow(o->beta1, (double)t),
                       .correct2 = 1 - pow(o->beta2, (double)t),
                       .scale = scale};
    kn->adam(n, &h, element(kn, p->param->value.data, begin), element(kn, p->grad.data, begin), element(kn, p->moment[0], begin),
             element(kn, p->moment[1], begin));
}

const lt_optimizer_kind lt_optimizer_adamw = {
    .is = {"optimizer", "adamw", "Adam with decoupled weight decay", "Loshchilov & Hutter 2019, arXiv 1711.05101"},
    .moments = 2,
    .step = adamw,
};

/* As PyTorch: the decay joins the gradient, the velocity begins with the first one. */
static void sgd(const lt_run *r, const lt_kernels *kn, const lt_trained *p, int64_t t, double lr, double scale, int64_t begin, int64_t n)
{
    void *w = element(kn, p->param->value.data, begin), *g = element(kn, p->grad.data, begin), *v = element(kn, p->moment[0], begin);
    kn->scale(n, r->o->momentum, v, v);
    kn->axpy(n, scale, g, v);
    if (p->decays) kn->axpy(n, r->o->weight_decay, w, v);
    kn->axpy(n, -lr, v, w);
}

const lt_optimizer_kind lt_optimizer_sgd = {
    .is = {"optimizer", "sgd", "stochastic gradient descent with momentum", "Polyak 1964"},
    .moments = 1,
    .step = sgd,
};

/* ---- schedules ---- */

static double constant(double done, double left) { return 1; }
static double linear(double done, double left) { return left; }
static double cosine(double done, double left) { return 0.5 * (1 + cos(3.14159265358979323846 * done)); }

static const lt_schedule_kind schedule_constant = {{"schedule", "constant", "the same rate after the warm-up", ""}, constant},
                              schedule_linear = {{"schedule", "linear", "down to zero at the last step", "Devlin et al. 2019, arXiv 1810.04805"}, linear},
                              schedule_cosine = {{"schedule", "cosine", "down to zero along half a wave", "Loshchilov & Hutter 2017, arXiv 1608.03983"}, cosine};

/* As Hugging Face transformers' get_…_schedule_with_warmup: the first step of a warm-up has rate zero. */
double lt_schedule_rate(const lt_schedule_kind *k, double lr, int64_t step, int64_t warmup, int64_t steps)
{
    if (step < warmup) return lr * (double)step / (double)warmup;
    const double span = (double)(steps - warmup > 1 ? steps - warmup : 1), done = (double)(step - warmup) / span;
    return lr * k->factor(done > 1 ? 1 : done, done > 1 ? 0 : (span - (double)(step - warmup)) / span);
}

/* ---- by name ---- */

static const lt_objective_kind *const objectives[] = {&lt_objective_labels, &lt_objective_mlm, &lt_objective_classify};
static const lt_optimizer_kind *const optimizers[] = {&lt_optimizer_adamw, &lt_optimizer_sgd};
static const lt_schedule_kind *const schedules[] = {&schedule_constant, &schedule_linear, &schedule_cosine};

#define NAMED(list, wanted)                                                                                                        \
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)                                                                        \
        if (strcmp(list[i]->is.name, wanted) == 0) return list[i];                                                                 \
    return NULL

const lt_objective_kind *lt_objective_named(const char *name) { NAMED(objectives, name); }
const lt_optimizer_kind *lt_optimizer_named(const char *name) { NAMED(optimizers, name); }
const lt_schedule_kind *lt_schedule_named(const char *name) { NAMED(schedules, name); }

const lt_kind *const *lt_train_kinds(int *n)
{
    static const lt_kind *const all[] = {&lt_objective_labels.is, &lt_objective_mlm.is, &lt_objective_classify.is, &lt_optimizer_adamw.is, &lt_optimizer_sgd.is,
                                         &schedule_constant.is,   &schedule_linear.is,  &schedule_cosine.is};
    *n = sizeof all / sizeof *all;
    return all;
}

const char *lt_train_name(const char *slot, int n)
{
    int all;
    const lt_kind *const *kinds = lt_train_kinds(&all);
    for (int i = 0; i < all; i++)
        if (strcmp(kinds[i]->slot, slot) == 0 && n-- == 0) return kinds[i]->name;
    return NULL;
}
