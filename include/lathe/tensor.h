/* Tensors, ragged batches and the operations on them.
 *
 * An op computes at once and returns a tensor that belongs to the context's innermost scope; given NULL it returns NULL;
 * given wrong shapes it records an error that names the op and both shapes. A batch never holds a pad token: it is one
 * [tokens, features] tensor plus an lt_seqs. Shapes are row-major; the last dimension is contiguous unless said. */
#ifndef LATHE_TENSOR_H
#define LATHE_TENSOR_H

#include "lathe/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { LT_F32, LT_F64, LT_F16, LT_BF16, LT_I8, LT_U8, LT_I16, LT_I32, LT_I64, LT_BOOL, LT_DTYPES } lt_dtype;
size_t lt_dtype_size(lt_dtype dtype);      /* bytes of an element */
const char *lt_dtype_name(lt_dtype dtype); /* "f32", … */

enum { LT_MAX_RANK = 4 };

typedef struct lt_param lt_param;

typedef struct lt_tensor { /* belongs to the scope it was made in */
    lt_dtype dtype;
    int rank;
    int64_t shape[LT_MAX_RANK];  /* 1 past the rank */
    int64_t stride[LT_MAX_RANK]; /* in elements */
    void *data;
    bool reached;                      /* of a leaf's gradient: a backward pass has added to it; whoever clears it says so */
    const lt_coded_rows *coded;        /* not NULL: rows in the form of a product with weights of fewer bits, which only that product reads */
    int node;                    /* its place on its context's tape; 0: nothing behind it is differentiated */
    struct lt_tensor *grad;      /* not NULL: a leaf that is differentiated; backward adds its gradient here (same shape, contiguous) */
    lt_param *param;             /* a weight, shared by all threads: no op writes to it */
} lt_tensor;

/* Element i of floats or doubles, as a double. */
static inline double lt_value_at(lt_dtype dtype, const void *data, int64_t i)
{
    return dtype == LT_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
}

/* A ragged batch: rows offset[i] … offset[i+1]-1 are sequence i. Empty sequences are allowed and own no rows. */
typedef struct lt_seqs {
    int32_t n, longest;
    const int32_t *offset; /* n + 1, from 0 */
    const int32_t *pos;    /* position of each row; NULL: 0, 1, 2 … in its sequence */
    const int32_t *slot;   /* memory sequence that i continues; NULL: i */
    const uint64_t *id;    /* keys i's random numbers; NULL: i */
    const int32_t *keys;   /* rows of sequence i that may be attended to, its first so many; NULL: all (only the padded baseline differs) */
    int32_t fill;          /* attention computes every sequence over so many rows; 0: over its own (only a baseline differs) */
} lt_seqs;
lt_seqs *lt_seqs_new(lt_ctx *cx, int n, const int32_t *lengths); /* scoped */
static inline int64_t lt_seqs_rows(const lt_seqs *s) { return s->n ? s->offset[s->n] : 0; }

/* ---- making and viewing ---------------------------------------------------------------------------------------- */

lt_tensor *lt_tensor_new(lt_ctx *cx, lt_dtype dtype, int rank, const int64_t *shape); /* not cleared */
lt_tensor *lt_tensor_2d(lt_ctx *cx, lt_dtype dtype, int64_t rows, int64_t cols);
lt_tensor *lt_tensor_of(lt_ctx *cx, lt_dtype dtype, int rank, const int64_t *shape, const void *data); /* wraps, no copy */
lt_tensor *lt_slice_rows(lt_ctx *cx, lt_tensor *x, int64_t begin, int64_t n); /* a view */
lt_tensor *lt_slice_cols(lt_ctx *cx, lt_tensor *x, int64_t begin, int64_t n); /* a view with the stride of x */
lt_tensor *lt_contiguous(lt_ctx *cx, lt_tensor *x);                           /* x itself where it is so already */
lt_tensor *lt_cast(lt_ctx *cx, lt_tensor *x, lt_dtype dtype);                 /* f16, bf16, f32, f64 → f32, f64 */
char *lt_shape(lt_ctx *cx, const lt_tensor *x);                               /* "[2, 9]", scoped, for messages */
/* Closes a scope and keeps one of its tensors, moved down; NULL stays NULL, and then all is freed. */
lt_tensor *lt_close(lt_ctx *cx, lt_scope scope, lt_tensor *keep);
const lt_kernels *lt_kernels_of(lt_ctx *cx, lt_dtype dtype); /* f32: what the context asked for; f64: the reference */

/* ---- operations ------------------------------------------------------------------------------------------------ */

lt_tensor *lt_matmul(lt_ctx *cx, lt_tensor *a, lt_tensor *b);   /* [m, k] · [k, n] → [m, n] */
lt_tensor *lt_matmul_t(lt_ctx *cx, lt_tensor *a, lt_tensor *b); /* [m, k] · [n, k]ᵀ → [m, n]: weights as checkpoints store them */
lt_tensor *lt_add(lt_ctx *cx, lt_tensor *x, lt_tensor *y);      /* same shape */
lt_tensor *lt_mul(lt_ctx *cx, lt_tensor *x, lt_tensor *y);
lt_tensor *lt_add_row(lt_ctx *cx, lt_tensor *x, lt_tensor *row); /* [m, n] + [n] */
lt_tensor *lt_scale(lt_ctx *cx, lt_tensor *x, double a);
lt_tensor *lt_activate(lt_ctx *cx, lt_tensor *x, lt_act act);
/* Over the last dimension. `over`: x is not needed any more, and may take the result; while a tape records it does not. */
lt_tensor *lt_layer_norm(lt_ctx *cx, lt_tensor *x, lt_tensor *gamma, lt_tensor *beta, double eps, bool over);
lt_tensor *lt_rms_norm(lt_ctx *cx, lt_tensor *x, lt_tensor *gamma, double eps, bool over);
lt_tensor *lt_softmax(lt_ctx *cx, lt_tensor *x); /* over the last dimension */
lt_tensor *lt_l2_normalize(lt_ctx *cx, lt_tensor *x, double eps);
lt_tensor *lt_gather(lt_ctx *cx, lt_tensor *table, const int32_t *ids, int64_t n); /* rows of [v, h] → [n, h]; ids checked */
lt_tensor *lt_concat_cols(lt_ctx *cx, lt_tensor *const *x, int n);                 /* [m, a], [m, b] … → [m, a + b + …] */

typedef enum { LT_POOL_CLS, LT_POOL_MEAN, LT_POOL_MAX, LT_POOL_MEAN_SQRT, LT_POOL_WEIGHTED_MEAN, LT_POOL_LAST, LT_POOLS } lt_pooling;
/* One row per sequence: first row, mean, maximum, sum / sqrt(n), Σ (i+1) x_i / Σ (i+1), last row. skip: the first `skip`
 * rows of each sequence do not count (prompts). An empty sequence gives zeros. */
lt_tensor *lt_pool_rows(lt_ctx *cx, lt_tensor *x, const lt_seqs *s, lt_pooling how, int skip);

/* While it is on, packed forms of parameters are kept and used again until lt_weights_changed: worth their memory, up to twice the weights', where several
 * products read the same weights between two changes. Whoever turns it on says when weights change, and turns it off before they are freed. */
bool lt_keep_packed(lt_ctx *cx, bool on);
void lt_weights_changed(lt_ctx *cx);

/* While it is on, products of plain matrices, forward and backward, round their operands to bf16 and add up in f32 (Kalamkar et al. 2019); all else stays
 * as it is. Returns whether this context's kernels multiply bf16: if not, nothing changes. */
bool lt_compute_bf16(lt_ctx *cx, bool on);

/* Dropout: while it is on, lt_dropout lets each element be zero with probability p and scales the others; else it gives x itself. Each call is a site
 * of its own; the same seed and step give the same masks, whatever the threads. Attention's acts on probabilities. */
typedef struct lt_drop { /* one site */
    double p;
    uint32_t key[2], step, site, row; /* row: number of the first of its rows, unless … */
    const uint32_t *number; /* … each has one of its own, in what has `numbers` rows; of attention: of its queries */
    int64_t numbers;
} lt_drop;
void lt_dropout_on(lt_ctx *cx, uint64_t seed, uint32_t step);
void lt_dropout_batch(lt_ctx *cx, int i); /* the step's i-th batch begins: its sites have numbers of their own, whatever earlier ones used */
/* Where a batch is a part of a larger one: from here on, what has n rows has rows number[0] … number[n-1] of the whole, and is dropped as there. Kept by
 * reference. NULL: all of it is here. */
void lt_dropout_rows(lt_ctx *cx, int64_t n, const uint32_t *number);
void lt_dropout_off(lt_ctx *cx);
lt_drop lt_dropout_site(lt_ctx *cx, double p); /* p 0 in what it returns: nothing is dropped */
lt_tensor *lt_dropout(lt_ctx *cx, lt_tensor *x, double p);
/* Where it goes on: the next site, and which row of the whole batch the first row of what follows is. A batch that is computed in parts, or again, then
 * loses what it would lose computed at once. */
typedef struct lt_drop_place {
    uint32_t site, row;
    const uint32_t *number; /* as lt_dropout_rows was told */
    int64_t numbers;
} lt_drop_place;
lt_drop_place lt_dropout_place(const lt_ctx *cx);
void lt_dropout_go_on(lt_ctx *cx, lt_drop_place place);

typedef struct lt_bias_grad { /* how a bias goes back to what it was made of. `arg` is the sequence's */
    lt_tensor *table;       /* what was learned */
    size_t (*room)(const void *arg, int64_t nq, int64_t nk); /* bytes of one head's share of the table's gradient, which is cleared first */
    /* ds [nq, nk]: of what was added to the scores of queries q0 …, times the scores' scale. Adds to dq [nq, dim], dk [nk, dim] and the share; each may
     * be NULL. */
    void (*back)(const void *arg, int64_t head, int64_t q0, int64_t nq, int64_t nk, const void *ds, void *dq, int64_t dq_stride, void *dk, int64_t dk_stride,
                 void *share);
    void (*add)(const void *arg, int64_t nq, int64_t nk, const void *share, void *dtable); /* heads in order, sequence after sequence */
} lt_bias_grad;

typedef struct lt_attend_spec { /* what attention is to do, as data */
    const lt_seqs *q, *k;   /* ragged lengths of queries and keys; k NULL: as q */
    int heads, kv_heads;    /* kv_heads 0: as heads; a divisor of heads: grouped-query */
    int dim;                /* of a head */
    double scale;
    bool causal;
    lt_bias_fn *bias;       /* added to the scaled scores; sequence i gets bias_arg + i * bias_arg_size */
    const void *bias_arg;
    size_t bias_arg_size;
    const lt_bias_grad *bias_grad; /* NULL: the bias is a constant */
    lt_drop drop;           /* of probabilities */
} lt_attend_spec;
/* q [queries, heads·dim], k and v [keys, kv_heads·dim] (row strides free) → [queries, heads·dim]. Softmax attention within
 * each sequence; work is taken longest first. */
lt_tensor *lt_attend(lt_ctx *cx, lt_tensor *q, lt_tensor *k, lt_tensor *v, const lt_attend_spec *spec);

/* x [m, k] · packed weights [n, k]ᵀ → [m, n], with the epilogue on registers; out NULL: a new tensor. */
lt_tensor *lt_gemm(lt_ctx *cx, lt_tensor *x, const void *packed, int64_t n, const lt_gemm_epilogue *e, lt_tensor *out);

double lt_peak_flops(lt_ctx *cx); /* operations a second that this context's threads reach with f32 products, measured: takes some milliseconds */

/* The same with weights of fewer bits. lt_code_rows brings rows (f32 or bf16) into the form that the product reads, once for all that read them;
 * x itself where it is in that form. lt_product_run takes rows in either form and gives f32, or bf16 where the epilogue says so. No gradients. */
lt_tensor *lt_code_rows(lt_ctx *cx, lt_product_id id, lt_tensor *x, const lt_coding *how);
lt_tensor *lt_product_run(lt_ctx *cx, lt_product_id id, lt_tensor *x, const lt_coding *how, const void *packed, int64_t n,
                          const lt_gemm_epilogue *e, lt_tensor *out);

/* The same with block-sparse weights of the kind that id says. lt_turn_rows: rows as those products read them, which remain what they were to others. */
lt_tensor *lt_turn_rows(lt_ctx *cx, lt_sparse_id id, lt_tensor *x, const lt_coding *how /* of int8 */);
lt_tensor *lt_sparse_run(lt_ctx *cx, lt_sparse_id id, lt_tensor *x, const lt_coding *how, const void *packed, int64_t n,
                         const lt_gemm_epilogue *e, lt_tensor *out);

/* Losses → [1], `factor` times the sum over rows. x [n, classes]; a label below 0, a target of NaN: not counted. Targets are constants. */
lt_tensor *lt_cross_entropy(lt_ctx *cx, lt_tensor *x, const int32_t *label, double factor);
/* … where a share `smoothing` of each target is spread evenly over all classes (Szegedy et al. 2016), and rows count by their weight. */
lt_tensor *lt_smooth_cross_entropy(lt_ctx *cx, lt_tensor *x, const int32_t *label, double smoothing, const double *weight /* [n]; NULL: ones */, double factor);
lt_tensor *lt_sigmoid_cross_entropy(lt_ctx *cx, lt_tensor *x, lt_tensor *target, double factor); /* each class for itself; targets 0 … 1 */
/* Each column of x [tokens, n] chooses among the rows of each sequence: cross-entropy of the softmax over them with row label[sequence · n + column],
 * counted within the sequence; below 0: not counted. */
lt_tensor *lt_choose_rows(lt_ctx *cx, lt_tensor *x, const lt_seqs *s, const int32_t *label, double factor);
lt_tensor *lt_squared_error(lt_ctx *cx, lt_tensor *x, lt_tensor *target, const double *weight /* [n]; NULL: ones */, double factor);
/* Σ weight · t² KL(softmax(target / t) || softmax(x / t)), t the temperature (Hinton et al. 2015, arXiv 1503.02531). */
lt_tensor *lt_divergence(lt_ctx *cx, lt_tensor *x, lt_tensor *target, double temperature, const double *weight, double factor);
/* Σ over sequences of 1 / (heads · rows) Σ KL(softmax(tq tkᵀ / √td) || softmax(q kᵀ / √d)) over heads and rows, within each sequence (Wang et al. 2020,
 * arXiv 2002.10957). q, k [tokens, heads·d]; tq, tk [tokens, heads·td], constants. q may be k: relations of values. */
lt_tensor *lt_relation(lt_ctx *cx, lt_tensor *q, lt_tensor *k, lt_tensor *tq, lt_tensor *tk, const lt_seqs *s, int heads, double factor);

/* ---- the tape -------------------------------------------------------------------------------------------------- */

/* While a tape records, each op that reads something differentiated (a leaf with `grad`, or what was made of one) leaves a node (op, inputs,
 * output), and scopes free nothing. Gradients are computed by each op's `back`; an op that has none is refused by name when a gradient is wanted
 * through it, never silently zero. Gradients of gradients are refused: while backward runs, nothing is recorded. */
typedef struct lt_node lt_node;
/* dy: of the output. dx[i] is made (lt_gradient) for every input i that lt_wants, or added to its leaf there and then, and left NULL. */
typedef bool lt_back(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx);
typedef struct lt_op {
    const char *name;
    lt_back *back; /* NULL: none */
} lt_op;
enum { LT_NODE_INPUTS = 8 };
struct lt_node {
    const lt_op *op;
    lt_tensor *in[LT_NODE_INPUTS];
    int n_in;
    lt_tensor *out;
    const void *attributes; /* the op's own, scoped */
};
bool lt_tape_begin(lt_ctx *cx);
void lt_tape_end(lt_ctx *cx); /* forgets the nodes; what scopes held back is freed by the scope that was open at begin */
bool lt_recording(const lt_ctx *cx); /* or as if: see lt_recompute */
bool lt_differentiated(const lt_tensor *t); /* a leaf with `grad`, or made of one while a tape recorded; NULL: not */
int lt_tape_size(const lt_ctx *cx);
const lt_node *lt_tape_node(const lt_ctx *cx, int i); /* 1 … size */
int lt_tape_first_use(const lt_ctx *cx, const lt_tensor *grad); /* the first node that reads the leaf of this gradient, or computes again what does; 0: none */
/* Adds d(Σ dy · y)/d(leaf) to every leaf behind y. dy NULL: ones. May be called several times on one tape. */
bool lt_backward(lt_ctx *cx, lt_tensor *y, lt_tensor *dy);
/* Until the tape ends, backward calls fn after each node, on the context's own thread, with the node's number: what it read has all that this node
 * gives it. */
typedef void lt_backward_fn(void *arg, int node);
void lt_backward_watch(lt_ctx *cx, lt_backward_fn *fn, void *arg);
/* y = fn(arg, x), of which only x is kept: the backward pass computes fn again, with the same dropout, and goes back through that (Chen et al. 2016,
 * arXiv 1604.06174). Gradients reach x and the parameters that fn reads; anything else that is differentiated has to come in through x. arg [size
 * bytes] is copied, what it points to has to last as long as the tape. Where no tape records it is fn alone. */
typedef lt_tensor *lt_recompute_fn(lt_ctx *cx, const void *arg, lt_tensor *x);
lt_tensor *lt_recompute(lt_ctx *cx, lt_recompute_fn *fn, const void *arg, size_t size, lt_tensor *x);
void lt_recompute_blocks(lt_ctx *cx, bool on); /* every block of a stack, unless something taps it */

/* x itself, to what follows a constant: gradients stop here. */
lt_tensor *lt_detach(lt_ctx *cx, lt_tensor *x);

#ifdef __cplusplus
}
#endif
#endif
