/* Models: a directory in the Hugging Face layout becomes something that runs.
 *
 * A family is one short file in src/model/ that says how config.json and weight names map to the slots of lathe/nn.h. An
 * open model is read-only: any number of threads may use it, each with its own context. */
#ifndef LATHE_MODEL_H
#define LATHE_MODEL_H

#include "lathe/tensor.h"
#include "lathe/text.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lt_model lt_model;
typedef struct lt_linear lt_linear;

/* What the products of a model's blocks are computed in (norms, heads and sums stay f32). Quality falls and speed rises from f32 to int8; int4
 * saves memory. With bf16, int8 and int4, rows of embeddings are rounded to bf16, as quantised checkpoints store them. */
typedef enum {
    LT_PRECISION_STORED, /* as the checkpoint is: quantised weights as they were quantised, other floats in f32 */
    LT_PRECISION_F32,
    LT_PRECISION_BF16,
    LT_PRECISION_INT8,
    LT_PRECISION_INT4,
    LT_PRECISION_AUTO,   /* of floats: bf16 where this machine multiplies it, else f32; of a quantised checkpoint: as stored */
    LT_PRECISIONS
} lt_precision;

lt_precision lt_precision_named(const char *name); /* "bf16", …; LT_PRECISIONS: not known */
const char *lt_precision_name(lt_precision p);
/* Why a precision is expected to be slower than f32 on this context's kernels, in words; NULL: it is not. */
const char *lt_precision_slow(lt_ctx *cx, lt_precision p);

typedef struct lt_model_options {
    lt_dtype compute;  /* LT_F32 (0, default) or LT_F64 (scalar reference, for checking) */
    bool no_tokenizer; /* do not read one: inputs are ids */
    lt_precision precision;
    double threshold;  /* int8: inputs of this magnitude or more stay in f32; 0: as stored, else 6; < 0: none do */
    /* int8, int4: makes a dense linear of a block, its weight loaded as f32, one of that precision, knowing more than the weight (lathe/compress.h);
     * NULL: each weight is rounded to the nearest code. */
    bool (*convert)(void *arg, lt_ctx *cx, lt_linear *l);
    void *convert_arg;
    bool unpacked;     /* run op by op on plain weights; the same bits (of block-sparse f32 weights: within rounding), slower. With bf16, int8 and int4: only to be saved */

    /* For training. */
    bool trainable;    /* plain weights in memory of their own; a head's that no file has are made at random */
    bool random;       /* all of them: no weights are read */
    uint64_t seed;     /* … of random weights */
    double dropout;    /* in place of every dropout of the config, if `drops` says so */
    bool drops;
    const char *head;  /* what is to stand on the encoder ("mlm", "classify", …, as lt_model_info says it); NULL: as config.json says */
    int labels;        /* the head's outputs; 0: as config.json says … */
    const char *const *label; /* … and their names, copied; NULL: as config.json says */
    const char *problem; /* config.json's problem_type where label names are given, a constant; NULL: none */
} lt_model_options;

lt_model *lt_model_open(lt_ctx *cx, const char *path, const lt_model_options *options); /* NULL options: defaults */
void lt_model_close(lt_model *m);

typedef struct lt_model_info {
    const char *path, *family, *architecture; /* "bert", "BertModel" */
    int64_t parameters, bytes;                /* elements; bytes of the weight files */
    const char *dtype;                        /* as stored: "f32", "f16", "bf16", "mixed"; "int8", "int4" */
    bool quantized;                           /* … by a writer of quantised checkpoints; a "bf16" one is run so */
    double threshold;                         /* int8: of inputs that stay in f32; 0: none do */
    int layers, hidden, heads, vocab, max_tokens;
    int inner;             /* width of the feed-forward layers */
    const char *head;      /* "none", "mlm", "classify", "tag", "span", "nsp", "pretraining" */
    const char *pooling;   /* "mean", "cls", "mean+max", …; "none" where no file says it */
    const char *tokenizer; /* "wordpiece", "bpe", "none" */
    int embedding;         /* width of lt_embed's rows */
    bool normalize;        /* modules.json ends in a Normalize */
    const char *similarity; /* "cosine", "dot", …: config_sentence_transformers.json, default "cosine" */
    const char *problem;    /* config.json's problem_type: "multi_label_classification", …; NULL: not said */
    int labels;             /* of a head over labels */
    const char *const *label; /* lt_model_inspect: their names; NULL where the config has none */
    int sparse;             /* linears of an open model that run by the kernels for block-sparse weights; how many is not known before */
    int n_unsupported;
    const char *const *unsupported; /* one text each: "config.json: foo: not known, ignored", "tensor x: not used" */
} lt_model_info;
const lt_model_info *lt_model_about(const lt_model *m);
/* What `path` holds, also where it cannot run: refusals stand in `unsupported`. Scoped; NULL only where nothing can be read. */
const lt_model_info *lt_model_inspect(lt_ctx *cx, const char *path);
typedef struct lt_distance { /* between the weights of two models, over the tensors that both have */
    double apart, norm;      /* of the difference; of the weights of the model that it is measured from */
    int64_t parameters;      /* compared */
} lt_distance;
bool lt_model_distance(lt_ctx *cx, const char *model, const char *from, lt_distance *d);
const lt_tokenizer *lt_model_tokenizer(const lt_model *m); /* NULL: none */
/* A prompt of config_sentence_transformers.json by name; NULL when there is none of that name. */
const char *lt_model_prompt(const lt_model *m, const char *name);
const char *lt_model_label(const lt_model *m, int i); /* name of the i-th label; NULL where the config has none */
/* Writes a model directory in the layout it was read from: weights as the model was opened (its precision, `unpacked`), config.json
 * with what that changes, all other files byte for byte. `path` appears whole or not at all; it may exist if it is a model directory. */
bool lt_model_save(lt_ctx *cx, lt_model *m, const char *path);
/* A folder with a file of this name is one that a run of training began; the model that it ends with may take its place. */
#define LT_RUN_MARK "train.json"
/* The same, with what `fill` puts into the folder before it appears. */
typedef bool lt_fill_fn(void *arg, lt_ctx *cx, const char *folder);
bool lt_model_save_with(lt_ctx *cx, lt_model *m, const char *path, lt_fill_fn *fill, void *arg);
const lt_kind *const *lt_families(int *n);
const lt_kind *lt_pooling_kind(int i); /* the i-th, for `lathe list`; NULL past the last */

/* ---- running --------------------------------------------------------------------------------------------------- */

typedef enum {
    LT_OUT_EMBEDDING, /* [inputs, embedding]: pooling, Dense and Normalize of the sentence-transformers files */
    LT_OUT_HIDDEN,    /* [tokens, hidden]: last hidden states, rows of all inputs one after another */
    LT_OUT_POOLED,    /* [inputs, hidden]: the checkpoint's own pooler where it has one, else an error */
    LT_OUT_LOGITS     /* the head's: [inputs, labels], or [tokens, labels] for heads that speak of tokens */
} lt_output;

typedef struct lt_batch { /* a packed ragged batch of token ids */
    const lt_seqs *seqs;
    const int32_t *ids;   /* [tokens] */
    const int32_t *types; /* [tokens] token type ids; NULL: all 0 */
} lt_batch;

/* Baselines, to be timed beside what lathe does; they change no result. */
typedef enum { LT_PAD_NONE, LT_PAD_ALL, LT_PAD_ATTENTION } lt_padding; /* attention: linear layers see packed rows, attention padded ones */
typedef enum { LT_SLICES_COSTLIEST, LT_SLICES_FILE, LT_SLICES_EQUAL } lt_slicing; /* costliest first; in order; in order, equally many inputs each */

typedef struct lt_run_options {
    const char *pooling;   /* overrides the files': "cls", "mean", "max", "mean_sqrt", "weightedmean", "last"; joined by '+'; NULL */
    int normalize;         /* 1 yes, -1 no, 0 as the files say */
    int truncate_dim;      /* keep the first N dimensions of an embedding (after the files' Normalize, before an asked-for one); 0: all */
    int max_tokens;        /* truncate inputs; 0: the model's own limit */
    int64_t batch_tokens;  /* token budget of one pass; 0: 16384 */
    const char *prompt;    /* text put in front of every input; NULL: the files' default prompt, if any */
    bool no_special;       /* texts: no special tokens; ids are always taken as they stand */
    lt_padding pad;        /* benchmark baseline: extend every sequence of a batch to its longest, drop the rows after */
    lt_slicing slices;     /* benchmark baseline: how a pass is cut into what threads take */
    int batch;             /* at most so many inputs in one pass; 0: no limit */
    bool live;             /* streams: inputs may be long in coming (a pipe, a terminal), and are then computed without waiting for more */
} lt_run_options;

/* One pass over one batch: the rows of `what`, scoped. Sequences must not be longer than the model's max_tokens. */
lt_tensor *lt_forward(lt_ctx *cx, const lt_model *m, const lt_batch *batch, lt_output what, const lt_run_options *options);

/* n texts → [n, embedding], scoped. The five-line use of the library. sizes NULL: NUL-terminated texts. */
lt_tensor *lt_embed(lt_ctx *cx, const lt_model *m, const char *const *texts, const size_t *sizes, int64_t n, const lt_run_options *options);

/* A stream of any length in bounded memory: `next` is called for one input after another (from a reading thread, never two at
 * once, with that thread's own context), `sink` for their results in input order (on the caller's thread). */
typedef struct lt_input { /* what `next` fills in; memory stays the caller's until the following call of `next` */
    const char *text; size_t size;
    const char *pair; size_t pair_size; /* NULL: none */
    const int32_t *ids; int32_t n_ids;  /* not NULL: used instead of text */
    const int32_t *types;               /* of the ids; NULL: all 0 */
} lt_input;
typedef struct lt_result {
    int64_t index;      /* of the input, from 0 */
    int64_t rows;       /* 1, or the input's tokens */
    int64_t cols;
    lt_dtype dtype;     /* f32, or f64 for a model opened so */
    const void *data;   /* [rows, cols], contiguous; valid during the call */
    int32_t tokens;     /* the input's */
    int32_t left_out;   /* tokens lost to truncation */
    bool pause;         /* of a live stream: no other is at hand, so show what there is */
} lt_result;
typedef bool lt_next_fn(void *arg, lt_ctx *cx, lt_input *in);          /* false: no more, or an error in cx */
typedef bool lt_sink_fn(void *arg, lt_ctx *cx, const lt_result *result); /* false: stop (with an error in cx) */
typedef struct lt_stream_stats {
    int64_t inputs, tokens, computed_tokens, passes, truncated;
    double seconds;
} lt_stream_stats;
bool lt_stream(lt_ctx *cx, const lt_model *m, lt_output what, const lt_run_options *options, lt_next_fn *next, void *next_arg,
               lt_sink_fn *sink, void *sink_arg, lt_stream_stats *stats /* or NULL */);

/* ---- training -------------------------------------------------------------------------------------------------- */

/* Every parameter of a model, in the order of its layers. A `trainable` model may be changed through it. */
typedef struct lt_param lt_param;
typedef bool lt_param_fn(void *arg, lt_ctx *cx, lt_param *p);
bool lt_model_params(lt_ctx *cx, lt_model *m, lt_param_fn *fn, void *arg);
bool lt_model_params_at(lt_ctx *cx, lt_model *m, int depth, lt_param_fn *fn, void *arg); /* 0: those of the embeddings; i + 1: of block i */
/* The blocks' linears by what they read (lt_readers in lathe/nn.h): for taps, and to look at weights. */
typedef struct lt_readers lt_readers;
bool lt_model_readers(lt_ctx *cx, lt_model *m, bool (*fn)(lt_ctx *cx, const lt_readers *r, void *arg), void *arg);
/* The same model op by op, so that a tape may record: ids → hidden states [tokens, hidden]; hidden states → what the head makes of them. */
lt_tensor *lt_model_hidden(lt_ctx *cx, const lt_model *m, const lt_batch *batch);
lt_tensor *lt_model_head(lt_ctx *cx, const lt_model *m, lt_tensor *hidden, const lt_seqs *s);
lt_tensor *lt_model_also(lt_ctx *cx, const lt_model *m, lt_tensor *hidden, const lt_seqs *s); /* of a trainable "pretraining" model: its second head, two classes a sequence */
/* Hidden states → embeddings [sequences, embedding], as the model's files pool them (a mean where none says how), Dense and Normalize included. */
lt_tensor *lt_model_pool(lt_ctx *cx, const lt_model *m, lt_tensor *hidden, const lt_seqs *s);
bool lt_model_head_per_token(const lt_model *m);
int lt_model_labels(const lt_model *m); /* outputs of the head; of a head over the vocabulary: that */

#ifdef __cplusplus
}
#endif
#endif
