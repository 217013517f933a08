/* Weights of fewer bits, chosen by what a model's inputs look like. Texts like those it will meet run through it once, while taps
 * on its linears note what they read; what was noted says how inputs are smoothed (int8), which codes weights become (int4), and which
 * dimensions hold outliers. */
#ifndef LATHE_COMPRESS_H
#define LATHE_COMPRESS_H

#include "lathe/model.h"
#include "lathe/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lt_noted { /* of one input, which one to three linears read */
    int layer;
    lt_site at;
    char *name[3];        /* of its readers */
    int readers;
    int64_t in, rows;     /* its width; tokens seen */
    float *most;          /* [in] largest magnitude … */
    float *weight;        /* … of the readers' weights of each input: [in] */
    int64_t *over;        /* [in] how many tokens had a magnitude at the threshold or above */
    double sum[4];        /* of x, x², x³, x⁴ over all elements */
    double *gram;         /* [in, in] Σ x xᵀ over tokens; NULL: was not asked for */
} lt_noted;

typedef struct lt_calibration {
    double threshold;
    lt_noted *noted; /* layer after layer; owned */
    int n;
    int layers;
} lt_calibration;

typedef struct lt_calibrate_options {
    double threshold; /* of what counts as an outlier; 0: 6 */
    bool gram;        /* for lt_gptq_int4 */
} lt_calibrate_options;

/* Runs n inputs, ids[begin[i]] … ids[begin[i+1]-1] each, through a model opened in f32. It must be no one else's meanwhile. The
 * result's bits do not depend on threads. */
lt_calibration *lt_calibrate(lt_ctx *cx, lt_model *m, const int32_t *ids, const int64_t *begin, int64_t n, const lt_calibrate_options *o);
void lt_calibration_free(lt_calibration *c);
const lt_noted *lt_calibration_of(const lt_calibration *c, const char *linear); /* by the name of any reader; NULL: none */

double lt_noted_kurtosis(const lt_noted *t); /* of all its elements; not a number where they are all the same */

/* A feature of the hidden states that reaches the threshold in at least 25 % of layers and 6 % of positions, as these enter attention and
 * feed-forward layers (Dettmers et al. 2022, arXiv 2208.07339). */
typedef struct lt_outlier_dim {
    int64_t feature;
    double layers, positions; /* shares */
    float largest;
} lt_outlier_dim;
lt_outlier_dim *lt_outlier_dimensions(lt_ctx *cx, const lt_calibration *c, int *n); /* in order; scoped */

/* What lt_model_options.convert takes. SmoothQuant (Xiao et al. 2022, arXiv 2211.10438): input j is divided by s, weights multiplied, s being
 * (largest input)^alpha / (largest weight)^(1 - alpha). */
typedef struct lt_smoothing {
    const lt_calibration *of;
    double alpha; /* 0 … 1 */
} lt_smoothing;
bool lt_smooth_int8(void *smoothing, lt_ctx *cx, lt_linear *l);
/* GPTQ (Frantar et al. 2022, arXiv 2210.17323), with the Gram matrices of an lt_calibration. */
bool lt_gptq_int4(void *calibration, lt_ctx *cx, lt_linear *l);
const lt_kind *lt_compress_kinds(int *n); /* for `lathe list`; lt_quantizers are listed beside them */

/* ---- eight bits by other rules, to be compared ---- */

/* How the factors of a product x wᵀ become codes of 8 bits (Dettmers et al. 2022, arXiv 2208.07339). */
typedef enum { LT_SCALE_TENSOR, LT_SCALE_ROW, LT_SCALE_VECTOR } lt_scales; /* one for x, one for w; one for each row of x; and for each output of w */
typedef enum { LT_BY_F32, LT_BY_RULE, LT_BY_KERNEL } lt_multiplier; /* codes by the rule below, multiplied as whole numbers in f32; what linears of kind int8 run by */
typedef struct lt_quantizer {
    lt_kind is;
    lt_multiplier by;
    lt_scales scales;
    bool zero;  /* 254 steps from the smallest value to the largest; else 127 to either side of zero */
    bool apart; /* columns of x in which any row reaches the threshold are multiplied in f32 … */
    bool exact; /* … by weights as they are; else by what their codes mean */
} lt_quantizer;
const lt_quantizer *lt_quantizers(int *n); /* the first is plain f32 */
/* x [m, k], w [n, k] → [m, n]; threshold 0: nothing stays apart. *columns: how many columns of x did, in part at least.
 * Not differentiated. */
lt_tensor *lt_quantized_product(lt_ctx *cx, const lt_quantizer *q, float threshold, lt_tensor *x, lt_tensor *w, int64_t *columns);

typedef struct lt_trial_options {
    double threshold; /* 0: none stays apart */
    double inject;    /* > 1: six features of what attention and feed-forward layers read are multiplied by it, their weights divided: the same
                       * model, with outliers */
    uint64_t seed;    /* … of which features */
} lt_trial_options;
typedef struct lt_trial {    /* what a quantizer makes of a model */
    double error;            /* |y' - y| / |y| over all products of the blocks, each of the input that it got */
    double columns;          /* of an input that stay apart, on average over products */
    double cosine_min, cosine_mean; /* of embeddings, to those of the model in f32 */
    double loss;             /* of models that predict masked tokens: every seventh is masked; else not a number */
} lt_trial;
/* Runs inputs as lt_calibrate does, once by each of lt_quantizers, and fills a trial for each. A call's x is a batch of about 512 tokens. The model
 * is opened in f32, `unpacked`, and is as it was afterwards. */
bool lt_try_quantizers(lt_ctx *cx, lt_model *m, const int32_t *ids, const int64_t *begin, int64_t n, const lt_trial_options *o, lt_trial *trial);

#ifdef __cplusplus
}
#endif
#endif
