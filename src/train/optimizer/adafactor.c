/* Adafactor (Shazeer & Stern 2018), as Hugging Face transformers has it: of a matrix only means of squared gradients over rows and over columns are kept,
 * and the step is clipped by its root mean square. rate=relative (1/√t, 0.01 at most; warmup: 1e-6 t at most) makes its own rate, scale=yes multiplies
 * it by the parameter's root mean square; rate=fixed takes --lr and --schedule, as with T5. Three sweeps: means; the length of the step; the step. */
#include "train/optimizer/optimizer.h"

enum { RATE, SCALE, CLIP, DECAY_RATE, BETA1, EPS1, EPS2 };
enum { RELATIVE, WARMUP, FIXED };
static const lt_setting settings[] = {
    {"rate", RELATIVE, 0, 2, "relative|warmup|fixed"}, {"scale", 1, 0, 1, "no|yes"}, {"clip", 1, 1e-6, 1e6}, {"decay_rate", 0.8, 0, 10}, {"beta1", 0, 0, 1},
    {"eps1", 1e-30, 0, 1}, {"eps2", 1e-3, 0, 1}, {0},
};

/* ---- state ---- */

enum { ROW, COLUMN, SQUARE, MEAN };

static bool is_factored(const lt_trained *t) { return t->param->value.rank == 2; }
static int64_t rows_of(const lt_trained *t) { return t->param->value.shape[0]; }
static int64_t cols_of(const lt_trained *t) { return t->param->value.shape[1]; }

static bool has(const lt_run *r, const lt_trained *t, int k, lt_tensor *shape)
{
    if (k == MEAN) return r->setting[BETA1] > 0;
    if (k == SQUARE || !is_factored(t)) return k == SQUARE && !is_factored(t);
    shape->rank = 1;
    shape->shape[0] = k == ROW ? rows_of(t) : cols_of(t);
    return true;
}

/* A sum of squares for each column, and room for the squares of a row. */
static int64_t scratch(const lt_trained *t) { return is_factored(t) ? 2 * cols_of(t) : 0; }

/* ---- the step ---- */

static double rate(const lt_run *r, int64_t t)
{
    if (r->setting[RATE] == FIXED) return -1;
    return fmin(r->setting[RATE] == WARMUP ? 1e-6 * (double)t : 1e-2, 1 / sqrt((double)t));
}

/* How much of the squares' means is kept: nothing in the first step. */
static double kept(const lt_run *r, const lt_trained *t) { return 1 - pow((double)t->t, -r->setting[DECAY_RATE]); }

static void row_means(const lt_run *r, lt_piece *p)
{
    const lt_kernels *kn = r->kn;
    const lt_trained *t = p->t;
    const int64_t cols = cols_of(t);
    const double keep = kept(r, t), scale = t->scale * t->scale;
    void *squares = lt_element(kn, p->scratch, cols);
    for (int64_t at = p->begin; at < p->begin + p->n; at += cols) {
        const void *g = lt_element(kn, t->grad.data, at);
        const double mean = scale * kn->sum_squares(cols, g) / (double)cols + r->setting[EPS1];
        const double row = keep * lt_read(kn, t->state[ROW].data, at / cols) + (1 - keep) * mean;
        lt_write(kn, t->state[ROW].data, at / cols, row);
        p->sum[1] += row;
        kn->mul(cols, g, g, squares);
        kn->add(cols, p->scratch, squares, p->scratch);
    }
}

static void plain_step(const lt_run *r, lt_piece *p)
{
    const lt_trained *t = p->t;
    const double keep = kept(r, t);
    void *g = lt_gradient_of(r, p), *v = lt_state_of(r, p, SQUARE);
    for (int64_t i = 0; i < p->n; i++) {
        const double d = t->scale * lt_read(r->kn, g, i), square = keep * lt_read(r->kn, v, i) + (1 - keep) * (d * d + r->setting[EPS1]);
        lt_write(r->kn, v, i, square);
        lt_write(r->kn, g, i, d / sqrt(square));
    }
    p->sum[1] = r->kn->sum_squares(p->n, g);
}

/* g / sqrt(row's mean · column's mean / mean of all rows). number[0] is that mean, scratch of the first piece holds 1 / sqrt of columns' means. */
static void factored_step(const lt_run *r, lt_piece *p)
{
    const lt_trained *t = p->t;
    const int64_t cols = cols_of(t);
    for (int64_t at = p->begin; at < p->begin + p->n; at += cols) {
        void *g = lt_element(r->kn, t->grad.data, at);
        r->kn->mul(cols, g, p->scratch, g);
        r->kn->scale(cols, t->scale * sqrt(t->number[0] / lt_read(r->kn, t->state[ROW].data, at / cols)), g, g);
    }
    p->sum[1] = r->kn->sum_squares(p->n, lt_gradient_of(r, p));
}

/* number[0] is the rate of the step, number[1] that of the decay. */
static void take_step(const lt_run *r, const lt_piece *p)
{
    const lt_kernels *kn = r->kn;
    const lt_trained *t = p->t;
    void *w = lt_weights_of(r, p), *u = lt_gradient_of(r, p);
    if (t->decay != 0) kn->scale(p->n, 1 - t->decay * t->number[1], w, w);
    if (r->setting[BETA1] > 0) {
        void *m = lt_state_of(r, p, MEAN);
        kn->scale(p->n, t->number[0], u, u);
        lt_approach(kn, p->n, 1 - r->setting[BETA1], u, m);
        kn->axpy(p->n, -1, m, w);
    } else {
        kn->axpy(p->n, -t->number[0], u, w);
    }
}

static void step(const lt_run *r, lt_piece *p, int sweep)
{
    if (sweep == 0) {
        p->sum[0] = r->kn->sum_squares(p->n, lt_weights_of(r, p));
        p->sum[1] = 0;
        (is_factored(p->t) ? row_means : plain_step)(r, p);
    } else if (sweep == 1 && is_factored(p->t)) {
        factored_step(r, p);
    } else if (sweep == 2) {
        take_step(r, p);
    }
}

/* ---- between sweeps ---- */

/* Columns' means from the sums of all pieces, in their order; then each piece gets what factored_step multiplies by. */
static void column_means(const lt_run *r, lt_trained *t, lt_piece *piece, int64_t n)
{
    const lt_kernels *kn = r->kn;
    const int64_t cols = cols_of(t);
    const double keep = kept(r, t), scale = t->scale * t->scale / (double)rows_of(t);
    for (int64_t j = 0; j < cols; j++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += lt_read(kn, piece[i].scratch, j);
        const double column = keep * lt_read(kn, t->state[COLUMN].data, j) + (1 - keep) * (scale * sum + r->setting[EPS1]);
        lt_write(kn, t->state[COLUMN].data, j, column);
        lt_write(kn, piece[0].scratch, j, 1 / sqrt(column));
    }
    for (int64_t i = 1; i < n; i++) piece[i].scratch = piece[0].scratch;
}

static bool between(lt_ctx *cx, const lt_run *r, lt_trained *t, lt_piece *piece, int64_t n, int sweep)
{
    double squares = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        squares += piece[i].sum[0];
        sum += piece[i].sum[1];
    }
    if (sweep == 0 && is_factored(t)) {
        t->number[0] = sum / (double)rows_of(t);
        column_means(r, t, piece, n);
    }
    if (sweep == 1) {
        const double by = r->setting[SCALE] != 0 ? fmax(r->setting[EPS2], sqrt(squares / (double)t->count)) : 1;
        t->number[1] = t->lr * by;
        t->number[0] = t->number[1] / fmax(1, sqrt(sum / (double)t->count) / r->setting[CLIP]);
    }
    return true;
}

static bool fits(lt_ctx *cx, const lt_run *r)
{
    const lt_train_options *o = r->o;
    if (r->setting[RATE] == FIXED) return true;
    return lt_fail_if(cx, r->schedule != &lt_schedule_constant || o->warmup > 0 || o->lr != lt_train_defaults.lr, LT_ERR_USAGE,
                      "optimizer adafactor makes its own rate: lr, schedule and warmup are for adafactor:rate=fixed");
}

const lt_optimizer_kind lt_optimizer_adafactor = {
    .is = {"optimizer", "adafactor", "squared gradients by rows and columns only, a rate of its own or --lr", "Shazeer & Stern 2018, arXiv 1804.04235"},
    .settings = settings,
    .state = {"row", "column", "moment2", "moment1"},
    .has = has,
    .fits = fits,
    .rate = rate,
    .rows = true,
    .scratch = scratch,
    .sweeps = 3,
    .step = step,
    .between = between,
};
