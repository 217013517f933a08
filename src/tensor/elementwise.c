/* Ops whose rows do not look at each other: sums, products, activations, norms, softmax. One loop over chunks of rows serves them
 * all; the arithmetic is the kernels'. */
#include "base/ctx.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <string.h>

struct chunks {
    lt_rows_job *job;
    void *arg;
    int64_t rows, per;
};

static void run_chunk(void *arg, lt_ctx *cx, int64_t i)
{
    const struct chunks *c = arg;
    int64_t begin = i * c->per, n = c->rows - begin < c->per ? c->rows - begin : c->per;
    c->job(c->arg, cx, begin, n);
}

bool lt_over_rows(lt_ctx *cx, int64_t rows, double work, lt_rows_job *job, void *arg)
{
    if (rows <= 0) return true;
    /* A chunk of 64 k operations (some 10 µs) outweighs handing it over. */
    int64_t per = work > 0 ? (int64_t)(65536 / work) + 1 : rows;
    if (per >= rows || lt_threads(cx) == 1) {
        job(arg, cx, 0, rows);
        return lt_ok(cx);
    }
    struct chunks c = {job, arg, rows, per};
    return lt_parallel(cx, (rows + per - 1) / per, run_chunk, &c);
}

/* ---- one shape for all of them ---- */

typedef struct rowwise {
    const lt_kernels *kn;
    const char *x, *y; /* inputs; y may be NULL */
    char *out;
    int64_t cols;
    const void *gamma, *beta;
    double number;
    lt_act act;
    lt_tensor *into; /* where the result goes; NULL: a new tensor */
    void (*rows)(const struct rowwise *w, int64_t n, const void *x, const void *y, void *out);
} rowwise;

static void run_rows(void *arg, lt_ctx *cx, int64_t begin, int64_t n)
{
    const rowwise *w = arg;
    size_t at = (size_t)(begin * w->cols) * w->kn->elem;
    w->rows(w, n, w->x + at, w->y ? w->y + at : NULL, w->out + at);
}

static lt_tensor *apply(lt_ctx *cx, const lt_op *op, rowwise *w, double work, lt_tensor *x, lt_tensor *y, int n_in, lt_tensor *const *in)
{
    if (!x) return NULL;
    w->kn = lt_kernels_of(cx, x->dtype);
    lt_tensor *cx_x = lt_contiguous(cx, x), *cx_y = y ? lt_contiguous(cx, y) : NULL;
    lt_tensor *out = !w->kn || !cx_x || (y && !cx_y) ? NULL : w->into ? w->into : lt_tensor_new(cx, x->dtype, x->rank, x->shape);
    if (!out) return NULL;
    w->x = cx_x->data;
    w->y = y ? cx_y->data : NULL;
    w->out = out->data;
    w->cols = lt_cols_of(x);
    if (!lt_over_rows(cx, lt_rows_of(x), work * (double)w->cols, run_rows, w)) return NULL;
    return lt_record(cx, op, out, n_in, in, &w->number, sizeof w->number);
}

static bool same_shape(lt_ctx *cx, const char *op, const lt_tensor *x, const lt_tensor *y)
{
    bool same = x->dtype == y->dtype && x->rank == y->rank && memcmp(x->shape, y->shape, sizeof x->shape) == 0;
    return same || lt_fail_if(cx, true, LT_ERR_USAGE, "%s: %s %s and %s %s", op, lt_dtype_name(x->dtype), lt_shape(cx, x), lt_dtype_name(y->dtype),
                              lt_shape(cx, y));
}

static bool is_row_of(lt_ctx *cx, const char *op, const lt_tensor *x, const lt_tensor *row)
{
    bool fits = x->dtype == row->dtype && row->rank == 1 && row->shape[0] == lt_cols_of(x);
    return fits || lt_fail_if(cx, true, LT_ERR_USAGE, "%s: %s and a row %s", op, lt_shape(cx, x), lt_shape(cx, row));
}

/* ---- what each does to its rows ---- */

static void rows_add(const rowwise *w, int64_t n, const void *x, const void *y, void *out) { w->kn->add(n * w->cols, x, y, out); }
static void rows_mul(const rowwise *w, int64_t n, const void *x, const void *y, void *out) { w->kn->mul(n * w->cols, x, y, out); }
static void rows_scale(const rowwise *w, int64_t n, const void *x, const void *y, void *out) { w->kn->scale(n * w->cols, w->number, x, out); }
static void rows_add_row(const rowwise *w, int64_t n, const void *x, const void *y, void *out) { w->kn->add_row(n, w->cols, x, w->gamma, out); }
static void rows_act(const rowwise *w, int64_t n, const void *x, const void *y, void *out) { w->kn->act(w->act, n * w->cols, x, out); }
static void rows_softmax(const rowwise *w, int64_t n, const void *x, const void *y, void *out) { w->kn->softmax(n, w->cols, x, out); }
static void rows_l2(const rowwise *w, int64_t n, const void *x, const void *y, void *out) { w->kn->l2_normalize(n, w->cols, x, w->number, out); }
static void rows_rms(const rowwise *w, int64_t n, const void *x, const void *y, void *out)
{
    w->kn->rms_norm(n, w->cols, x, w->gamma, w->number, out);
}
static void rows_layer_norm(const rowwise *w, int64_t n, const void *x, const void *y, void *out)
{
    w->kn->layer_norm(n, w->cols, x, w->gamma, w->beta, w->number, out);
}

/* ---- their gradients ---- */

/* dx = f(dy, x) for one wanted input: the same loop as forward, into the gradient's room. x NULL: f reads dy alone. */
static bool back_rows(lt_ctx *cx, const lt_node *node, int i, rowwise *w, double work, lt_tensor *dy, lt_tensor *x, lt_tensor **dx)
{
    if (!lt_wants(node, i)) return true;
    w->kn = lt_kernels_of(cx, dy->dtype);
    lt_tensor *plain = x ? lt_contiguous(cx, x) : NULL;
    dx[i] = w->kn && (plain || !x) ? lt_gradient(cx, node, i) : NULL;
    if (!dx[i]) return false;
    w->x = dy->data;
    w->y = x ? plain->data : NULL;
    w->out = dx[i]->data;
    w->cols = lt_cols_of(dy);
    return lt_over_rows(cx, lt_rows_of(dy), work * (double)w->cols, run_rows, w);
}

static double number_of(const lt_node *node) { return *(const double *)node->attributes; }

static bool back_add(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    for (int i = 0; i < 2; i++)
        if (lt_wants(node, i)) dx[i] = lt_gradient_same(dy);
    return true;
}

static bool back_mul(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    return back_rows(cx, node, 0, &(rowwise){.rows = rows_mul}, 1, dy, node->in[1], dx) &&
           back_rows(cx, node, 1, &(rowwise){.rows = rows_mul}, 1, dy, node->in[0], dx);
}

static bool back_scale(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    return back_rows(cx, node, 0, &(rowwise){.rows = rows_scale, .number = number_of(node)}, 1, dy, NULL, dx);
}

static void rows_act_back(const rowwise *w, int64_t n, const void *dy, const void *x, void *dx) { w->kn->act_back(w->act, n * w->cols, x, dy, dx); }

static bool back_act(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    return back_rows(cx, node, 0, &(rowwise){.rows = rows_act_back, .act = (lt_act)number_of(node)}, 12, dy, node->in[0], dx);
}

static void rows_softmax_back(const rowwise *w, int64_t n, const void *dy, const void *y, void *dx) { w->kn->softmax_back(n, w->cols, y, dy, 1, dx); }

static bool back_softmax(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    return back_rows(cx, node, 0, &(rowwise){.rows = rows_softmax_back}, 4, dy, node->out, dx);
}

static void rows_l2_back(const rowwise *w, int64_t n, const void *dy, const void *x, void *dx)
{
    w->kn->l2_normalize_back(n, w->cols, x, w->number, dy, dx);
}

static bool back_l2(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    return back_rows(cx, node, 0, &(rowwise){.rows = rows_l2_back, .number = number_of(node)}, 4, dy, node->in[0], dx);
}

/* Where the gradient of input i, a row, is summed: the leaf's own, or new room. */
static void *row_gradient(lt_ctx *cx, const lt_node *node, int i, lt_tensor **dx)
{
    if (i >= node->n_in || !lt_wants(node, i)) return NULL;
    lt_tensor *leaf = lt_leaf(node, i);
    if (!leaf) leaf = dx[i] = lt_gradient_zero(cx, node, i);
    return leaf ? leaf->data : NULL;
}

typedef struct norm_back {
    const lt_kernels *kn;
    bool rms;
    int64_t cols;
    const char *x, *dy;
    char *dx;
    const void *gamma;
    double eps;
} norm_back;

static void sum_norm_back(void *arg, int64_t begin, int64_t n, void *const *out)
{
    const norm_back *b = arg;
    const size_t at = (size_t)(begin * b->cols) * b->kn->elem;
    if (b->rms) b->kn->rms_norm_back(n, b->cols, b->x + at, b->gamma, b->eps, b->dy + at, b->dx ? b->dx + at : NULL, out[0]);
    else b->kn->layer_norm_back(n, b->cols, b->x + at, b->gamma, b->eps, b->dy + at, b->dx ? b->dx + at : NULL, out[0], out[1]);
}

static bool back_norm(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx, bool rms)
{
    lt_tensor *x = lt_contiguous(cx, node->in[0]), *gamma = node->n_in > 1 ? node->in[1] : NULL;
    norm_back b = {.kn = lt_kernels_of(cx, dy->dtype), .rms = rms, .cols = lt_cols_of(dy), .x = x ? x->data : NULL, .dy = dy->data,
                   .gamma = gamma ? gamma->data : NULL, .eps = number_of(node)};
    void *into[2] = {row_gradient(cx, node, 1, dx), rms ? NULL : row_gradient(cx, node, 2, dx)};
    if (lt_wants(node, 0)) dx[0] = lt_gradient(cx, node, 0);
    b.dx = dx[0] ? dx[0]->data : NULL;
    return b.kn && x && lt_ok(cx) && lt_sum_over_rows(cx, b.kn, lt_rows_of(dy), b.cols, rms ? 1 : 2, into, sum_norm_back, &b);
}

static bool back_layer_norm(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx) { return back_norm(cx, node, dy, dx, false); }
static bool back_rms(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx) { return back_norm(cx, node, dy, dx, true); }

static void sum_plain(void *arg, int64_t begin, int64_t n, void *const *out)
{
    const norm_back *b = arg;
    b->kn->col_sum(n, b->cols, b->x + (size_t)(begin * b->cols) * b->kn->elem, b->cols, out[0]);
}

bool lt_sum_rows_into(lt_ctx *cx, const lt_tensor *x, void *row)
{
    norm_back b = {.kn = lt_kernels_of(cx, x->dtype), .cols = lt_cols_of(x), .x = x->data};
    return b.kn && lt_sum_over_rows(cx, b.kn, lt_rows_of(x), b.cols, 1, &row, sum_plain, &b);
}

static bool back_add_row(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    if (lt_wants(node, 0)) dx[0] = lt_gradient_same(dy);
    void *row = row_gradient(cx, node, 1, dx);
    return lt_ok(cx) && (!row || lt_sum_rows_into(cx, dy, row));
}

/* ---- the ops ---- */

static const lt_op op_add = {"add", back_add}, op_mul = {"mul", back_mul}, op_scale = {"scale", back_scale}, op_add_row = {"add_row", back_add_row},
                   op_act = {"activate", back_act}, op_softmax = {"softmax", back_softmax}, op_l2 = {"l2_normalize", back_l2},
                   op_rms = {"rms_norm", back_rms}, op_layer_norm = {"layer_norm", back_layer_norm};

lt_tensor *lt_add(lt_ctx *cx, lt_tensor *x, lt_tensor *y)
{
    if (!x || !y || !same_shape(cx, "add", x, y)) return NULL;
    return apply(cx, &op_add, &(rowwise){.rows = rows_add}, 1, x, y, 2, (lt_tensor *[]){x, y});
}

lt_tensor *lt_mul(lt_ctx *cx, lt_tensor *x, lt_tensor *y)
{
    if (!x || !y || !same_shape(cx, "mul", x, y)) return NULL;
    return apply(cx, &op_mul, &(rowwise){.rows = rows_mul}, 1, x, y, 2, (lt_tensor *[]){x, y});
}

lt_tensor *lt_scale(lt_ctx *cx, lt_tensor *x, double a)
{
    return apply(cx, &op_scale, &(rowwise){.rows = rows_scale, .number = a}, 1, x, NULL, 1, &x);
}

lt_tensor *lt_add_row(lt_ctx *cx, lt_tensor *x, lt_tensor *row)
{
    if (!x || !row || !is_row_of(cx, "add_row", x, row)) return NULL;
    return apply(cx, &op_add_row, &(rowwise){.rows = rows_add_row, .gamma = row->data}, 1, x, NULL, 2, (lt_tensor *[]){x, row});
}

lt_tensor *lt_activate(lt_ctx *cx, lt_tensor *x, lt_act act)
{
    if (act == LT_ACT_NONE) return x;
    return apply(cx, &op_act, &(rowwise){.rows = rows_act, .act = act, .number = act}, 8, x, NULL, 1, &x);
}

lt_tensor *lt_softmax(lt_ctx *cx, lt_tensor *x) { return apply(cx, &op_softmax, &(rowwise){.rows = rows_softmax}, 8, x, NULL, 1, &x); }

lt_tensor *lt_l2_normalize(lt_ctx *cx, lt_tensor *x, double eps)
{
    return apply(cx, &op_l2, &(rowwise){.rows = rows_l2, .number = eps}, 2, x, NULL, 1, &x);
}

/* Where x itself may take the result: it is plain, and nobody will ask for its gradient. */
static lt_tensor *in_place(lt_ctx *cx, lt_tensor *x, bool wanted) { return wanted && !lt_recording(cx) && lt_is_contiguous(x) && !x->param ? x : NULL; }

lt_tensor *lt_rms_norm(lt_ctx *cx, lt_tensor *x, lt_tensor *gamma, double eps, bool over)
{
    if (!x || (gamma && !is_row_of(cx, "rms_norm", x, gamma))) return NULL;
    return apply(cx, &op_rms, &(rowwise){.rows = rows_rms, .into = in_place(cx, x, over), .gamma = gamma ? gamma->data : NULL, .number = eps}, 3, x, NULL, gamma ? 2 : 1,
                 (lt_tensor *[]){x, gamma});
}

lt_tensor *lt_layer_norm(lt_ctx *cx, lt_tensor *x, lt_tensor *gamma, lt_tensor *beta, double eps, bool over)
{
    if (!x || (gamma && !is_row_of(cx, "layer_norm", x, gamma)) || (beta && !is_row_of(cx, "layer_norm", x, beta))) return NULL;
    rowwise w = {.rows = rows_layer_norm, .into = in_place(cx, x, over), .gamma = gamma ? gamma->data : NULL, .beta = beta ? beta->data : NULL, .number = eps};
    return apply(cx, &op_layer_norm, &w, 4, x, NULL, 3, (lt_tensor *[]){x, gamma, beta});
}

/* ---- dropout ---- */

void lt_dropout_on(lt_ctx *cx, uint64_t seed, uint32_t step)
{
    cx->dropping = true;
    cx->drop_seed = seed;
    cx->drop_step = step;
    cx->drop_site = cx->drop_row = 0;
    lt_dropout_rows(cx, 0, NULL);
}

void lt_dropout_batch(lt_ctx *cx, int i) { cx->drop_site = (uint32_t)i << 16; }

void lt_dropout_rows(lt_ctx *cx, int64_t n, const uint32_t *number)
{
    cx->drop_number = number;
    cx->drop_numbers = number ? n : 0;
}

void lt_dropout_off(lt_ctx *cx) { cx->dropping = false; }

lt_drop lt_dropout_site(lt_ctx *cx, double p)
{
    if (!cx->dropping || p <= 0) return (lt_drop){0};
    return (lt_drop){.p = p, .key = {(uint32_t)cx->drop_seed, (uint32_t)(cx->drop_seed >> 32) ^ 0x64726f70u}, .step = cx->drop_step, .site = cx->drop_site++,
                     .row = cx->drop_row, .number = cx->drop_number, .numbers = cx->drop_numbers};
}

lt_drop_place lt_dropout_place(const lt_ctx *cx) { return (lt_drop_place){cx->drop_site, cx->drop_row, cx->drop_number, cx->drop_numbers}; }

void lt_dropout_go_on(lt_ctx *cx, lt_drop_place place)
{
    cx->drop_site = place.site;
    cx->drop_row = place.row;
    lt_dropout_rows(cx, place.numbers, place.number);
}

typedef struct dropping {
    const lt_kernels *kn;
    const lt_drop *d;
    const char *x;
    char *y;
    int64_t cols;
    const uint32_t *number; /* of each row; NULL: as they come */
} dropping;

static void drop_rows(void *arg, lt_ctx *cx, int64_t begin, int64_t n)
{
    const dropping *w = arg;
    for (int64_t r = begin; r < begin + n; r++) {
        const size_t at = (size_t)(r * w->cols) * w->kn->elem;
        w->kn->dropout(w->cols, w->d->p, w->d->key, (const uint32_t[3]){w->number ? w->number[r] : w->d->row + (uint32_t)r, w->d->site, w->d->step}, w->x + at, w->y + at);
    }
}

static bool drop(lt_ctx *cx, const lt_drop *d, const lt_tensor *x, lt_tensor *y)
{
    dropping w = {.kn = lt_kernels_of(cx, x->dtype), .d = d, .x = x->data, .y = y->data, .cols = lt_cols_of(x)};
    if (d->number && d->numbers == lt_rows_of(x)) w.number = d->number;
    return w.kn && lt_over_rows(cx, lt_rows_of(x), 4 * (double)w.cols, drop_rows, &w);
}

static bool back_dropout(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    dx[0] = lt_gradient(cx, node, 0);
    return dx[0] && drop(cx, node->attributes, dy, dx[0]);
}

static const lt_op op_dropout = {"dropout", back_dropout};

lt_tensor *lt_dropout(lt_ctx *cx, lt_tensor *x, double p)
{
    const lt_drop d = lt_dropout_site(cx, p);
    if (!x || d.p == 0) return x;
    lt_tensor *from = lt_contiguous(cx, x), *y = from ? lt_tensor_new(cx, x->dtype, x->rank, x->shape) : NULL;
    return y && drop(cx, &d, from, y) ? lt_record(cx, &op_dropout, y, 1, &from, &d, sizeof d) : NULL;
}
