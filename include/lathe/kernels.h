/* Kernels: loops over raw pointers, one table of functions per instruction set, chosen at run time.
 *
 * Every kernel is written once over a small vector type (src/kernels/cpu/vec.h) and compiled per instruction set; beside
 * it stands a scalar reference, f32 and f64 from one source (src/kernels/ref/). Rows are independent everywhere: the bits of
 * a row's result do not depend on which other rows, threads or tiles it is computed with. Each output of a product is
 * a chain of fused multiply-adds for every 128 k in order, and the sum of these chains in order (which keeps rounding errors of
 * long sums small), so tile shapes do not change bits either, and every table with fused multiply-add gives the same product as
 * the reference. */
#ifndef LATHE_KERNELS_H
#define LATHE_KERNELS_H

#include "lathe/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    LT_ACT_NONE,
    LT_ACT_RELU,
    LT_ACT_GELU,       /* 0.5 x (1 + erf(x / sqrt 2)), Hendrycks & Gimpel 2016 */
    LT_ACT_GELU_TANH,  /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    LT_ACT_QUICK_GELU, /* x sigmoid(1.702 x) */
    LT_ACT_SILU,       /* x sigmoid(x) */
    LT_ACT_MISH,       /* x tanh(log(1 + e^x)) */
    LT_ACT_TANH,
    LT_ACT_SIGMOID,
    LT_ACT_RELU2,      /* relu(x)^2 */
    LT_ACT_COUNT
} lt_act;

typedef struct lt_gemm_epilogue { /* what happens to the product before it is stored, in this order */
    const void *bias;             /* [n] or NULL */
    lt_act act;
    const void *residual;         /* [m, n], added last; NULL: none. May be the output itself */
    int64_t residual_stride;      /* elements from row to row */
    bool to_bf16;                 /* the result is stored as bf16, rounded to nearest even; lt_product's gemm only */
} lt_gemm_epilogue;

/* Adds a bias to a block of scores before softmax (relative positions, ALiBi, …):
 * scores[i*stride + j] += bias(head, q0 + i, k0 + j), 0 <= i < nq, 0 <= j < nk. Scores are already scaled. */
typedef void lt_bias_fn(const void *arg, int64_t head, int64_t q0, int64_t nq, int64_t k0, int64_t nk, void *scores, int64_t stride);

typedef struct lt_attend_args { /* one head of one sequence; rows of q are queries, rows of k and v are keys */
    const void *q, *k, *v;      /* first row of this sequence, this head: [nq, dim], [nk, dim], [nk, value_dim] */
    void *out;                  /* [nq, value_dim] */
    int64_t q_stride, k_stride, v_stride, out_stride; /* elements from row to row */
    int64_t nk;                 /* keys; 0 gives rows of zeros */
    int64_t dim, value_dim;
    double scale;               /* scores = scale · q kᵀ + bias */
    bool causal;                /* query i sees keys j <= i + nk - nq_total */
    int64_t nq_total;           /* queries of the entire sequence (for causal) */
    int64_t head;               /* handed to bias */
    lt_bias_fn *bias;           /* NULL: none */
    const void *bias_arg;
} lt_attend_args;

/* ---- products with weights of fewer bits ----------------------------------------------------------------------- */

/* bf16: weights rounded to bf16; inputs too where the machine multiplies bf16, else they stay f32. int8: weights and inputs of 8 bits,
 * sums in exact integers, so every machine gives the same bits up to the epilogue. int4: weights of 4 bits in groups of LT_INT4_GROUP along k that
 * share a scale, inputs f32. */
typedef enum { LT_PRODUCT_BF16, LT_PRODUCT_INT8, LT_PRODUCT_INT4, LT_PRODUCTS } lt_product_id;
enum { LT_INT4_GROUP = 32 };

typedef struct lt_outlier { /* element `at` of a row, kept apart */
    int32_t at;
    float value;
} lt_outlier;

typedef struct lt_code { /* what the bytes q of an int8 row mean: x[i] = scale · (q[i] - zero), but for its outliers, where q[i] = zero */
    float scale;
    int32_t zero;
    int32_t outliers; /* how many … */
    int64_t outlier;  /* … from here on in the list, in order of their place */
} lt_code;

typedef struct lt_coding { /* how int8 rows are made; {0}: each row's range from its smallest (0 at most) to its largest (0 at least) in 255 steps */
    const float *multiply; /* [k], of the inputs before all else (smoothing); NULL: none */
    float threshold;       /* elements of this magnitude or more become outliers (Dettmers et al. 2022); 0: none */
    bool symmetric;        /* 127 steps to either side of zero */
} lt_coding;

typedef struct lt_coded_rows { /* rows in the form that a product reads: f32, bf16 or int8 */
    void *data;
    int64_t stride;      /* bytes from row to row */
    lt_code *code;       /* [rows], int8 only … */
    lt_outlier *outlier; /* … with room for rows · k where a threshold is set */
    int64_t rows;        /* sparse products only: how many there are in all, and … */
    void *panels;        /* … the same turned, tokens side by side, by lt_sparse.turn */
} lt_coded_rows;

typedef struct lt_product {
    const char *name; /* "vnni", "avx2", …: what multiplies */
    int64_t (*row_bytes)(int64_t k); /* of an encoded row, a multiple of 64; NULL: rows are f32 as they stand */
    /* [rows, k] of f32, or of bf16, rows x_stride elements apart, into `to`, whose pointers the caller has set. Rows are independent. */
    void (*encode)(int64_t rows, int64_t k, const void *x, bool x_bf16, int64_t x_stride, const lt_coding *how, lt_coded_rows *to);
    size_t (*panel_bytes)(int64_t k); /* of lt_kernels.nr packed columns: column j0, a multiple of nr, begins j0 / nr of them in */
    /* w [n, k] row-major. bf16: f32, rounded here; scale is not read. int8: codes -127 … 127, scale [n]. int4: codes 0 … 15, one a byte, meaning
     * scale · (code - 8); scale [n, ceil(k / group)]. */
    void (*pack)(int64_t n, int64_t k, const void *w, const float *scale, void *packed);
    /* bf16 where rows are encoded, NULL elsewhere: encode and pack of what stands turned, f32 x [k, rows] and w [k, n], rows x_stride and w_stride apart. */
    void (*encode_turned)(int64_t rows, int64_t k, const float *x, int64_t x_stride, lt_coded_rows *to);
    void (*pack_turned)(int64_t n, int64_t k, const float *w, int64_t w_stride, void *packed);
    /* c[m][n] = epilogue(rows of a · w): c f32, or bf16 where the epilogue says so; bias and residual are f32. The first row is row `first` of a. */
    void (*gemm)(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, void *c, int64_t c_stride,
                 const lt_gemm_epilogue *e);
} lt_product;

/* ---- products with block-sparse weights (Shen et al. 2023, arXiv 2306.16601) -------------------------------------- */

/* Of weights [n, k], blocks of LT_SPARSE_BLOCK consecutive outputs that share one k are left out where all of them are zero. Rows of inputs are
 * turned, so that tokens fill vectors and each block that is left costs one read of them. f32: an output is a chain of fused multiply-adds
 * over 128 of the blocks that are left, in order of k, and the sum of these chains in order; zero weights meet no input, so infinities there make
 * no NaN. int8: codes and scales as lt_product's, and its bits. bf16: weights and inputs as lt_product's. */
typedef enum { LT_SPARSE_F32, LT_SPARSE_INT8, LT_SPARSE_BF16, LT_SPARSES } lt_sparse_id;
enum { LT_SPARSE_BLOCK = 4 };

typedef struct lt_sparse {
    int tokens;                                     /* of a panel of turned rows */
    size_t (*turned_bytes)(int64_t m, int64_t k);   /* of m rows */
    /* Rows first … first+m-1 (first a multiple of `tokens`; m too, unless they are the last) of a, as they stand in a->data: f32, or as
     * lt_product.encode makes them for int8 and bf16 (where it has row_bytes), into a->panels. */
    void (*turn)(int64_t first, int64_t m, int64_t k, const lt_coded_rows *a);
    size_t (*packed_bytes)(int64_t n, int64_t k, const void *w);
    /* w [n, k] row-major: f32 (bf16: rounded here), scale is not read; or codes -127 … 127, scale [n]. Padding of n to lt_kernels.nr is zero. */
    void (*pack)(int64_t n, int64_t k, const void *w, const float *scale, void *packed);
    void (*unpack_row)(int64_t k, const void *packed, int64_t j, void *out); /* row j of w: f32, or codes */
    /* As lt_product.gemm; the first row is row `first` of a (as for turn), the first column is `column`, a multiple of lt_kernels.nr, of packed. */
    void (*gemm)(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, int64_t column, void *c, int64_t c_stride,
                 const lt_gemm_epilogue *e);
} lt_sparse;

typedef struct lt_adam { /* one step of Adam (Kingma & Ba 2015) with decoupled decay (Loshchilov & Hutter 2019) */
    double lr, beta1, beta2, eps, decay;
    double correct1, correct2; /* 1 - beta^t; 1 where biases are not corrected */
    double scale;              /* of the gradient (clipping) */
    double inside;             /* added to v under the root, before its correction */
} lt_adam;

/* All pointers are of the table's element type. Counts are >= 0; zero rows do nothing. No kernel reads or writes outside
 * the rows and columns named, and padding written by `pack` is zero. */
typedef struct lt_kernels {
    const char *isa;    /* "ref", "base", "avx2", "avx512", "neon"; the f64 reference is "ref64" */
    size_t elem;        /* bytes of an element: 4 or 8 */
    int nr;             /* columns of a packed panel */

    /* Weights b[n][k] at b[j*stride_n + i*stride_k] → panels [ceil(n/nr)][k][nr], columns past n zero. */
    void (*pack)(int64_t n, int64_t k, const void *b, int64_t stride_n, int64_t stride_k, void *packed);
    /* One row j of the packed weights back out, all k of it (tied embeddings are read so). */
    void (*unpack_row)(int64_t k, const void *packed, int64_t j, void *out);
    /* c[m][n] = epilogue(a[m][k] · b); a's and c's rows stand a_stride and c_stride elements apart. `packed` begins at a panel. */
    void (*gemm)(int64_t m, int64_t n, int64_t k, const void *a, int64_t a_stride, const void *packed,
                 void *c, int64_t c_stride, const lt_gemm_epilogue *e);

    /* Query rows q0 … q0+nq-1 of one head of one sequence. scratch: attend_scratch(nk, dim, value_dim) bytes, 64-aligned.
     * Short sequences keep all scores of a block of queries in cache; long ones stream over keys with an online softmax
     * (Milakov & Gimelshein 2018; Dao et al. 2022). The path depends on nk alone. attend_block: how many queries to hand over
     * at a time. */
    void (*attend)(const lt_attend_args *a, int64_t q0, int64_t nq, void *scratch);
    size_t (*attend_scratch)(int64_t nk, int64_t dim, int64_t value_dim);
    int attend_block;

    /* y[r] = act(x[r]) for n elements; y may be x. The same bits as in gemm's epilogue. */
    void (*act)(lt_act act, int64_t n, const void *x, void *y);
    /* y = x + z; y = x * z; y = a x: n elements, in place allowed. */
    void (*add)(int64_t n, const void *x, const void *z, void *y);
    void (*mul)(int64_t n, const void *x, const void *z, void *y);
    void (*scale)(int64_t n, double a, const void *x, void *y);
    void (*add_row)(int64_t rows, int64_t cols, const void *x, const void *row, void *y); /* y[r][c] = x[r][c] + row[c] */
    /* y[r] = (x[r] - mean) / sqrt(var + eps) * gamma + beta, two passes (Ba et al. 2016); gamma, beta may be NULL. In place allowed. */
    void (*layer_norm)(int64_t rows, int64_t cols, const void *x, const void *gamma, const void *beta, double eps, void *y);
    /* y[r] = x[r] / sqrt(mean(x²) + eps) * gamma (Zhang & Sennrich 2019). In place allowed. */
    void (*rms_norm)(int64_t rows, int64_t cols, const void *x, const void *gamma, double eps, void *y);
    void (*softmax)(int64_t rows, int64_t cols, const void *x, void *y); /* in place allowed; a row of -inf gives zeros */
    /* y[r] = x[r] / max(|x[r]|₂, eps) */
    void (*l2_normalize)(int64_t rows, int64_t cols, const void *x, double eps, void *y);
    /* Column-wise over rows of one sequence [rows, cols] → out [cols]: sum (or maximum) in row order. rows >= 1. */
    void (*col_sum)(int64_t rows, int64_t cols, const void *x, int64_t stride, void *out);
    void (*col_max)(int64_t rows, int64_t cols, const void *x, int64_t stride, void *out);

    /* Gradients. What is added to dgamma and dbeta [cols] is added row after row; each may be NULL, and so may dx. */
    void (*transpose)(int64_t rows, int64_t cols, const void *x, int64_t x_stride, void *y, int64_t y_stride); /* y[c][r] = x[r][c] */
    void (*axpy)(int64_t n, double a, const void *x, void *y);                                                  /* y += a x */
    double (*sum_squares)(int64_t n, const void *x);
    void (*act_back)(lt_act act, int64_t n, const void *x, const void *dy, void *dx); /* dx = dy act'(x); dx may be dy */
    void (*layer_norm_back)(int64_t rows, int64_t cols, const void *x, const void *gamma, double eps, const void *dy, void *dx, void *dgamma, void *dbeta);
    void (*rms_norm_back)(int64_t rows, int64_t cols, const void *x, const void *gamma, double eps, const void *dy, void *dx, void *dgamma);
    void (*softmax_back)(int64_t rows, int64_t cols, const void *y, const void *dy, double scale, void *dx); /* scale · that of y; dx may be dy */
    void (*l2_normalize_back)(int64_t rows, int64_t cols, const void *x, double eps, const void *dy, void *dx);
    /* loss[r] = log Σ e^x - x[label]; dx = softmax(x) - onehot(label), and may be x or NULL. A negative label: zeros. */
    void (*cross_entropy)(int64_t rows, int64_t cols, const void *x, const int32_t *label, void *loss, void *dx);

    /* Weights w, gradient g, moments m and v: w -= lr decay w; then w -= lr m̂ / (sqrt(v̂) + eps). The second leaves w, and writes what Adam would
     * subtract over g: m̂ / (sqrt(v̂) + eps) + decay w. Lion: w -= lr (decay w + sign(beta1 m + (1 - beta1) g)), then m goes to g by 1 - beta2. */
    void (*adam)(int64_t n, const lt_adam *h, void *w, const void *g, void *m, void *v);
    void (*adam_direction)(int64_t n, const lt_adam *h, const void *w, void *g, void *m, void *v);
    void (*lion)(int64_t n, const lt_adam *h, void *w, const void *g, void *m);
    /* y = x / (1 - p), or 0 with probability p (0 <= p < 1), by counter-based random numbers: element i of a row by key, the row's place and i. */
    void (*dropout)(int64_t n, double p, const uint32_t key[2], const uint32_t place[3], const void *x, void *y);

    const lt_product *product[LT_PRODUCTS]; /* f32 tables have all of them … */
    const lt_sparse *sparse[LT_SPARSES];    /* … and these */
    /* As attend, on q, k, v and out of bf16, with scores and sums in f32; NULL where the machine does not multiply bf16. Takes even dim
     * and value_dim; bias gets f32 scores. */
    void (*attend_bf16)(const lt_attend_args *a, int64_t q0, int64_t nq, void *scratch);
    size_t (*attend_bf16_scratch)(int64_t nk, int64_t dim, int64_t value_dim);
} lt_kernels;

const lt_kernels *lt_kernels_f32(const char *isa); /* NULL: the best this machine has; NULL result: not on this machine or build */
const lt_kernels *lt_kernels_f64(void);            /* the scalar reference */
int lt_kernels_count(void);                        /* f32 tables that this machine can run, worst first … */
const lt_kernels *lt_kernels_at(int i);            /* … "ref" is the first */

static inline int64_t lt_panels(const lt_kernels *kn, int64_t n) { return (n + kn->nr - 1) / kn->nr; }
static inline size_t lt_product_bytes(const lt_kernels *kn, lt_product_id id, int64_t n, int64_t k)
{
    return (size_t)lt_panels(kn, n) * kn->product[id]->panel_bytes(k);
}
static inline size_t lt_packed_bytes(const lt_kernels *kn, int64_t n, int64_t k) /* of one packed matrix */
{
    return (size_t)(lt_panels(kn, n) * kn->nr * k) * kn->elem;
}

/* Element i of an array of the table's type, as a double, and back. */
static inline double lt_read(const lt_kernels *kn, const void *p, int64_t i) { return kn->elem == 8 ? ((const double *)p)[i] : (double)((const float *)p)[i]; }
static inline void lt_write(const lt_kernels *kn, void *p, int64_t i, double x)
{
    if (kn->elem == 8) ((double *)p)[i] = x;
    else ((float *)p)[i] = (float)x;
}

/* Element conversions, any alignment of the source. */
void lt_f16_to_f32(int64_t n, const void *x, float *y);
void lt_bf16_to_f32(int64_t n, const void *x, float *y);
void lt_f32_to_bf16(int64_t n, const float *x, void *y); /* to nearest even; a NaN stays one */
void lt_round_to_bf16(int64_t n, const float *x, float *y); /* there and back; y may be x */

/* Weights [n, k] → what lt_product.pack wants. int8: a scale for each of n rows, largest / 127. int4: one for each group, by least squares. */
void lt_quantize_int8(int64_t n, int64_t k, const float *w, int8_t *codes, float *scale);
void lt_quantize_int4(int64_t n, int64_t k, const float *w, uint8_t *codes, float *scale /* [n, ceil(k / group)] */);

#ifdef __cplusplus
}
#endif
#endif
