/* Choosing a row: each column of a tensor scores the rows of a sequence against each other, and its loss is the cross-entropy of the softmax over them with
 * the row that is right (Vinyals et al. 2015, Pointer Networks; where answers begin and end in Devlin et al. 2019). A column is a few numbers a
 * row, so it is read in place, in double. */
#include "tensor/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct choice {
    const lt_kernels *kn;
    const char *x;        /* [rows, cols] */
    const int32_t *label; /* [sequences, cols] */
    const lt_seqs *seqs;
    int64_t cols;
    double factor;
    double *part;         /* [sequences]: losses; NULL: gradients only */
    char *dx;             /* cleared; NULL: losses only */
} choice;

/* One column over the rows first … end-1. */
static double choose(const choice *c, int64_t col, int64_t first, int64_t end, int64_t right)
{
    double most = -INFINITY, sum = 0;
    for (int64_t r = first; r < end; r++) most = fmax(most, lt_read(c->kn, c->x, r * c->cols + col));
    for (int64_t r = first; r < end; r++) sum += exp(lt_read(c->kn, c->x, r * c->cols + col) - most);
    const double all = most + log(sum);
    for (int64_t r = first; c->dx && r < end; r++) {
        const int64_t at = r * c->cols + col;
        lt_write(c->kn, c->dx, at, c->factor * (exp(lt_read(c->kn, c->x, at) - all) - (r == right)));
    }
    return all - lt_read(c->kn, c->x, right * c->cols + col);
}

static void choose_some(void *arg, lt_ctx *cx, int64_t begin, int64_t n)
{
    const choice *c = arg;
    for (int64_t i = begin; i < begin + n; i++) {
        const int64_t first = c->seqs->offset[i], end = c->seqs->offset[i + 1];
        double sum = 0;
        for (int64_t j = 0; j < c->cols; j++) {
            const int32_t label = c->label[i * c->cols + j];
            if (label >= 0) sum += choose(c, j, first, end, first + label);
        }
        if (c->part) c->part[i] = sum;
    }
}

static bool over_sequences(lt_ctx *cx, choice *c)
{
    const int64_t n = c->seqs->n;
    return lt_over_rows(cx, n, n ? 40.0 * (double)(c->cols * lt_seqs_rows(c->seqs)) / (double)n : 0, choose_some, c);
}

static bool back_choose(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    choice c = *(const choice *)node->attributes;
    if (!(dx[0] = lt_gradient_zero(cx, node, 0))) return false;
    c.factor *= lt_read(c.kn, dy->data, 0);
    c.part = NULL;
    c.dx = dx[0]->data;
    return over_sequences(cx, &c);
}

static const lt_op op_choose = {"choose_rows", back_choose};

static bool fits(lt_ctx *cx, const lt_tensor *x, const lt_seqs *s, const int32_t *label)
{
    if (x->rank != 2 || x->shape[0] != lt_seqs_rows(s))
        return lt_fail_if(cx, true, LT_ERR_USAGE, "choose_rows: %s and sequences of %" PRId64 " rows", lt_shape(cx, x), lt_seqs_rows(s));
    for (int64_t i = 0; i < s->n * x->shape[1]; i++) {
        const int64_t seq = i / x->shape[1], rows = s->offset[seq + 1] - s->offset[seq];
        if (label[i] >= rows) return lt_fail_if(cx, true, LT_ERR_INPUT, "choose_rows: row %d of sequence %" PRId64 ": it has %" PRId64, label[i], seq, rows);
    }
    return true;
}

lt_tensor *lt_choose_rows(lt_ctx *cx, lt_tensor *x, const lt_seqs *s, const int32_t *label, double factor)
{
    if (!x || !fits(cx, x, s, label)) return NULL;
    lt_tensor *plain = lt_contiguous(cx, x), *out = lt_tensor_new(cx, x->dtype, 1, (int64_t[]){1});
    const int64_t labels = s->n * x->shape[1];
    int32_t *kept = lt_alloc_array(cx, labels, sizeof *kept);
    choice c = {.kn = lt_kernels_of(cx, x->dtype), .label = kept, .seqs = s, .cols = x->shape[1], .factor = factor};
    c.part = lt_alloc_array(cx, s->n, sizeof *c.part);
    if (!plain || !out || !kept || !c.kn || !c.part) return NULL;
    memcpy(kept, label, (size_t)labels * sizeof *kept);
    c.x = plain->data;
    if (!over_sequences(cx, &c)) return NULL;
    double sum = 0;
    for (int32_t i = 0; i < s->n; i++) sum += c.part[i];
    lt_write(c.kn, out->data, 0, sum * factor);
    return lt_record(cx, &op_choose, out, 1, &plain, &c, sizeof c);
}
