/* Losses: each gives one number, a sum over rows times a factor (one over what is counted), summed in row order in double. */
#include "tensor/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef enum { CROSS_ENTROPY, SIGMOID_CROSS_ENTROPY, SQUARED_ERROR, DIVERGENCE } loss_kind;

typedef struct loss {
    loss_kind kind;
    const lt_kernels *kn;
    const char *x;
    const int32_t *label;  /* [rows], cross-entropy */
    const char *target;    /* [rows, cols], the others */
    const double *weight;  /* [rows]; NULL: ones */
    double temperature;    /* of a divergence */
    double smoothing;      /* of labels */
    int64_t rows, cols;
    double factor;
    char *row_loss;        /* [rows]; NULL: gradients only */
    char *dx;              /* NULL: losses only */
} loss;

/* One element's loss, and its slope. A target of NaN is not counted. */
static double element(loss_kind kind, double x, double t, double *slope)
{
    *slope = 0;
    if (isnan(t)) return 0;
    if (kind == SQUARED_ERROR) {
        *slope = 2 * (x - t);
        return (x - t) * (x - t);
    }
    const double e = exp(-fabs(x)); /* max(x, 0) - x t + log(1 + e^-|x|) overflows nowhere */
    *slope = (x >= 0 ? 1 / (1 + e) : e / (1 + e)) - t;
    return (x > 0 ? x : 0) - x * t + log1p(e);
}

/* log Σ exp(x / t). */
static double log_sum(const lt_kernels *kn, const void *x, int64_t at, int64_t n, double t)
{
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) most = fmax(most, lt_read(kn, x, at + j) / t);
    for (int64_t j = 0; j < n; j++) sum += exp(lt_read(kn, x, at + j) / t - most);
    return most + log(sum);
}

/* t² KL(softmax(target / t) || softmax(x / t)) of a row, whose slopes then have the size that they have at t = 1 (Hinton et al. 2015). */
static double divergence(const loss *l, const char *x, const char *target, int64_t at, char *dx)
{
    const double t = l->temperature, of_x = log_sum(l->kn, x, at, l->cols, t), of_target = log_sum(l->kn, target, at, l->cols, t);
    double sum = 0;
    for (int64_t j = at; j < at + l->cols; j++) {
        const double log_p = lt_read(l->kn, target, j) / t - of_target, log_q = lt_read(l->kn, x, j) / t - of_x, p = exp(log_p);
        if (p > 0) sum += p * (log_p - log_q);
        if (dx) lt_write(l->kn, dx, j, t * (exp(log_q) - p));
    }
    return t * t * sum;
}

static double elements(const loss *l, const char *x, const char *target, int64_t at, char *dx)
{
    double sum = 0, slope;
    for (int64_t j = at; j < at + l->cols; j++) {
        sum += element(l->kind, lt_read(l->kn, x, j), lt_read(l->kn, target, j), &slope);
        if (dx) lt_write(l->kn, dx, j, slope);
    }
    return sum;
}

/* With p of every target spread over all classes: log Σ exp x - (1 - p) x[label] - p mean x. */
static void smooth(const loss *l, const char *x, int32_t label, char *of_row, char *dx)
{
    double mean = 0;
    if (label < 0) return;
    for (int64_t j = 0; j < l->cols; j++) mean += lt_read(l->kn, x, j) / (double)l->cols;
    if (of_row) lt_write(l->kn, of_row, 0, lt_read(l->kn, of_row, 0) + l->smoothing * (lt_read(l->kn, x, label) - mean));
    for (int64_t j = 0; dx && j < l->cols; j++) lt_write(l->kn, dx, j, lt_read(l->kn, dx, j) + l->smoothing * ((j == label) - 1 / (double)l->cols));
}

static void weigh(const loss *l, double w, char *of_row, char *dx)
{
    if (of_row) lt_write(l->kn, of_row, 0, w * lt_read(l->kn, of_row, 0));
    if (dx) l->kn->scale(l->cols, w, dx, dx);
}

static void loss_rows(void *arg, lt_ctx *cx, int64_t begin, int64_t n)
{
    const loss *l = arg;
    const size_t elem = l->kn->elem, at = (size_t)(begin * l->cols) * elem;
    char *of_rows = l->row_loss ? l->row_loss + (size_t)begin * elem : NULL, *dx = l->dx ? l->dx + at : NULL;
    if (l->kind == CROSS_ENTROPY) {
        l->kn->cross_entropy(n, l->cols, l->x + at, l->label + begin, of_rows, dx);
        if (!l->smoothing && !l->weight) return;
    }
    for (int64_t r = 0; r < n; r++) {
        char *of_row = of_rows ? of_rows + (size_t)r * elem : NULL, *of_dx = dx ? dx + (size_t)(r * l->cols) * elem : NULL;
        if (l->kind != CROSS_ENTROPY) {
            const double sum = (l->kind == DIVERGENCE ? divergence : elements)(l, l->x + at, l->target + at, r * l->cols, dx);
            if (of_row) lt_write(l->kn, of_row, 0, sum);
        } else if (l->smoothing)
            smooth(l, l->x + at + (size_t)(r * l->cols) * elem, l->label[begin + r], of_row, of_dx);
        if (l->weight) weigh(l, l->weight[begin + r], of_row, of_dx);
    }
}

static bool back_loss(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    loss l = *(const loss *)node->attributes;
    lt_scope scope = lt_open(cx, NULL);
    dx[0] = lt_gradient(cx, node, 0);
    lt_tensor *unused = dx[0] ? lt_tensor_new(cx, dx[0]->dtype, 1, &l.rows) : NULL;
    bool done = unused != NULL;
    if (done) {
        l.row_loss = unused->data;
        l.dx = dx[0]->data;
        const double by = l.factor * lt_read(l.kn, dy->data, 0);
        done = lt_over_rows(cx, l.rows, 8.0 * (double)l.cols, loss_rows, &l);
        l.kn->scale(lt_count(dx[0]), by, dx[0]->data, dx[0]->data);
    }
    lt_end(cx, scope);
    return done;
}

static const lt_op op_cross_entropy = {"cross_entropy", back_loss}, op_sigmoid = {"sigmoid_cross_entropy", back_loss}, op_mse = {"squared_error", back_loss},
             op_divergence = {"divergence", back_loss};

static lt_tensor *make(lt_ctx *cx, const lt_op *op, loss *l, lt_tensor *x)
{
    lt_tensor *plain = lt_contiguous(cx, x);
    l->kn = lt_kernels_of(cx, x->dtype);
    lt_tensor *out = lt_tensor_new(cx, x->dtype, 1, (int64_t[]){1});
    if (!plain || !l->kn || !out) return NULL;
    l->x = plain->data;
    l->rows = x->shape[0];
    l->cols = x->shape[1];
    lt_tensor *of_rows = lt_tensor_new(cx, x->dtype, 1, &l->rows);
    if (!of_rows) return NULL;
    l->row_loss = of_rows->data;
    if (!lt_over_rows(cx, l->rows, 8.0 * (double)l->cols, loss_rows, l)) return NULL;
    double sum = 0;
    for (int64_t r = 0; r < l->rows; r++) sum += lt_read(l->kn, l->row_loss, r);
    lt_write(l->kn, out->data, 0, sum * l->factor);
    return lt_record(cx, op, out, 1, &plain, l, sizeof *l);
}

static bool keep_weights(lt_ctx *cx, loss *l, int64_t rows)
{
    double *own = l->weight ? lt_alloc_array(cx, rows, sizeof *own) : NULL;
    if (own) memcpy(own, l->weight, (size_t)rows * sizeof *own);
    const bool kept = own || !l->weight;
    l->weight = own;
    return kept;
}

lt_tensor *lt_cross_entropy(lt_ctx *cx, lt_tensor *x, const int32_t *label, double factor) { return lt_smooth_cross_entropy(cx, x, label, 0, NULL, factor); }

lt_tensor *lt_smooth_cross_entropy(lt_ctx *cx, lt_tensor *x, const int32_t *label, double smoothing, const double *weight, double factor)
{
    if (!x) return NULL;
    if (x->rank != 2) return lt_fail(cx, LT_ERR_USAGE, "cross_entropy: a matrix of logits is expected, not %s", lt_shape(cx, x));
    int32_t *kept = lt_alloc_array(cx, x->shape[0], sizeof *kept);
    for (int64_t r = 0; kept && r < x->shape[0]; r++) {
        if (label[r] >= x->shape[1])
            return lt_fail(cx, LT_ERR_INPUT, "label %d at row %" PRId64 ": expected up to %" PRId64, label[r], r, x->shape[1] - 1);
        kept[r] = label[r];
    }
    loss l = {.kind = CROSS_ENTROPY, .label = kept, .smoothing = smoothing, .weight = weight, .factor = factor};
    return kept && keep_weights(cx, &l, x->shape[0]) ? make(cx, &op_cross_entropy, &l, x) : NULL;
}

static lt_tensor *against(lt_ctx *cx, const lt_op *op, loss *l, lt_tensor *x, lt_tensor *target)
{
    if (!x || !target) return NULL;
    if (x->rank != 2 || target->rank != 2 || x->dtype != target->dtype || x->shape[0] != target->shape[0] || x->shape[1] != target->shape[1])
        return lt_fail(cx, LT_ERR_USAGE, "%s: %s and targets %s", op->name, lt_shape(cx, x), lt_shape(cx, target));
    lt_tensor *plain = lt_contiguous(cx, target);
    if (!plain || !keep_weights(cx, l, x->shape[0])) return NULL;
    l->target = plain->data;
    return make(cx, op, l, x);
}

lt_tensor *lt_sigmoid_cross_entropy(lt_ctx *cx, lt_tensor *x, lt_tensor *target, double factor)
{
    return against(cx, &op_sigmoid, &(loss){.kind = SIGMOID_CROSS_ENTROPY, .factor = factor}, x, target);
}

lt_tensor *lt_squared_error(lt_ctx *cx, lt_tensor *x, lt_tensor *target, const double *weight, double factor)
{
    return against(cx, &op_mse, &(loss){.kind = SQUARED_ERROR, .weight = weight, .factor = factor}, x, target);
}

lt_tensor *lt_divergence(lt_ctx *cx, lt_tensor *x, lt_tensor *target, double temperature, const double *weight, double factor)
{
    if (!(temperature > 0)) return lt_fail(cx, LT_ERR_USAGE, "divergence: a temperature of %g: more than 0 is expected", temperature);
    return against(cx, &op_divergence, &(loss){.kind = DIVERGENCE, .temperature = temperature, .weight = weight, .factor = factor}, x, target);
}
