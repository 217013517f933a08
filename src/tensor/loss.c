/* Losses: each gives one number, a sum over rows times a factor (one over what is counted), summed in row order in double. */
#include "tensor/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef enum { CROSS_ENTROPY, SIGMOID_CROSS_ENTROPY, SQUARED_ERROR } loss_kind;

typedef struct loss {
    loss_kind kind;
    const lt_kernels *kn;
    const char *x;
    const int32_t *label;  /* [rows], cross-entropy */
    const char *target;    /* [rows, cols], the others */
    int64_t rows, cols;
    double factor;
    char *row_loss;        /* [rows]; NULL: gradients only */
    char *dx;              /* NULL: losses only */
} loss;

static double get(const lt_kernels *kn, const void *p, int64_t i) { return kn->elem == 8 ? ((const double *)p)[i] : (double)((const float *)p)[i]; }
static void put(const lt_kernels *kn, void *p, int64_t i, double x)
{
    if (kn->elem == 8) ((double *)p)[i] = x;
    else ((float *)p)[i] = (float)x;
}

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

static void loss_rows(void *arg, lt_ctx *cx, int64_t begin, int64_t n)
{
    const loss *l = arg;
    const size_t elem = l->kn->elem, at = (size_t)(begin * l->cols) * elem;
    char *of_rows = l->row_loss ? l->row_loss + (size_t)begin * elem : NULL, *dx = l->dx ? l->dx + at : NULL;
    if (l->kind == CROSS_ENTROPY) {
        l->kn->cross_entropy(n, l->cols, l->x + at, l->label + begin, of_rows, dx);
        return;
    }
    for (int64_t r = 0; r < n; r++) {
        double sum = 0, slope;
        for (int64_t j = 0; j < l->cols; j++) {
            sum += element(l->kind, get(l->kn, l->x + at, r * l->cols + j), get(l->kn, l->target + at, r * l->cols + j), &slope);
            if (dx) put(l->kn, dx, r * l->cols + j, slope);
        }
        if (of_rows) put(l->kn, of_rows, r, sum);
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
        const double by = l.factor * get(l.kn, dy->data, 0);
        done = lt_over_rows(cx, l.rows, 8.0 * (double)l.cols, loss_rows, &l);
        l.kn->scale(lt_count(dx[0]), by, dx[0]->data, dx[0]->data);
    }
    lt_end(cx, scope);
    return done;
}

static const lt_op op_cross_entropy = {"cross_entropy", back_loss}, op_sigmoid = {"sigmoid_cross_entropy", back_loss}, op_mse = {"squared_error", back_loss};

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
    for (int64_t r = 0; r < l->rows; r++) sum += get(l->kn, l->row_loss, r);
    put(l->kn, out->data, 0, sum * l->factor);
    return lt_record(cx, op, out, 1, &plain, l, sizeof *l);
}

lt_tensor *lt_cross_entropy(lt_ctx *cx, lt_tensor *x, const int32_t *label, double factor)
{
    if (!x) return NULL;
    if (x->rank != 2) return lt_fail(cx, LT_ERR_USAGE, "cross_entropy: a matrix of logits is expected, not %s", lt_shape(cx, x));
    int32_t *kept = lt_alloc_array(cx, x->shape[0], sizeof *kept);
    for (int64_t r = 0; kept && r < x->shape[0]; r++) {
        if (label[r] >= x->shape[1])
            return lt_fail(cx, LT_ERR_INPUT, "label %d at row %" PRId64 ": expected up to %" PRId64, label[r], r, x->shape[1] - 1);
        kept[r] = label[r];
    }
    return kept ? make(cx, &op_cross_entropy, &(loss){.kind = CROSS_ENTROPY, .label = kept, .factor = factor}, x) : NULL;
}

static lt_tensor *against(lt_ctx *cx, const lt_op *op, loss_kind kind, lt_tensor *x, lt_tensor *target, double factor)
{
    if (!x || !target) return NULL;
    if (x->rank != 2 || target->rank != 2 || x->dtype != target->dtype || x->shape[0] != target->shape[0] || x->shape[1] != target->shape[1])
        return lt_fail(cx, LT_ERR_USAGE, "%s: %s and targets %s", op->name, lt_shape(cx, x), lt_shape(cx, target));
    lt_tensor *plain = lt_contiguous(cx, target);
    return plain ? make(cx, op, &(loss){.kind = kind, .target = plain->data, .factor = factor}, x) : NULL;
}

lt_tensor *lt_sigmoid_cross_entropy(lt_ctx *cx, lt_tensor *x, lt_tensor *target, double factor)
{
    return against(cx, &op_sigmoid, SIGMOID_CROSS_ENTROPY, x, target, factor);
}

lt_tensor *lt_squared_error(lt_ctx *cx, lt_tensor *x, lt_tensor *target, double factor) { return against(cx, &op_mse, SQUARED_ERROR, x, target, factor); }
