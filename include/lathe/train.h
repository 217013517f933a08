/* Training: from a model directory and files of rows to a model directory.
 *
 * A step computes the mean loss over all counted targets of its batches, its gradient, and one update. Everything random is a function of the seed
 * and of what it is for, so threads change nothing, and a run that was stopped goes on bit for bit. */
#ifndef LATHE_TRAIN_H
#define LATHE_TRAIN_H

#include "lathe/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lt_train_step { /* one line of the log */
    int64_t step;              /* from 1 */
    int64_t steps;             /* of the entire run */
    double loss;               /* mean over all counted targets, before the update */
    double lr, grad_norm;      /* grad_norm: before clipping */
    int64_t tokens;
    double seconds;
    double imbalance_tokens, imbalance_cost; /* most over mean of the step's batches; 0: not measured */
    double flops;              /* operations of this process, counted from its matrices */
    double balance;            /* of several workers: what the costliest part of the batch costs over the mean; 0: one worker alone */
} lt_train_step;

/* How tokens are hidden for masked language modelling; of names NULL is the first, but where that cannot be. */
typedef struct lt_mask_options {
    const char *unit;           /* "piece", "word", or "span" of words */
    const char *count;          /* "bernoulli"; "floor" of the share plus a random unit; "round", the share of all tokens, at least 1 */
    const char *pool;           /* what replaces at random: of the "vocab", of "ordinary" tokens (not the special ones), or as the texts have them: "unigram" */
    const char *decide;         /* mask, another token or none is decided for each "piece" or once for a "unit"; NULL: once for a span */
    double rate, keep, random;  /* the share that is hidden; of those the shares that stay as they are, and that become others; the rest is masked */
    int most;                   /* of "round": tokens of a sequence; 0: any */
    double span_p;              /* lengths of spans are geometric … */
    int span_most;              /* … and so many words at most */
    int fixed;                  /* the epochs use so many masks of an example in turn; 0: each a new one */
} lt_mask_options;

typedef struct lt_train_options {
    const char *model, *out;
    const char *objective;      /* "labels", "mlm", "classify", …; "none": texts, for distillation */
    const char *const *data;    /* files of rows */
    int n_data;
    const char *valid;          /* a file of rows; NULL: none */
    bool ids;                   /* each line of a plain file is a JSON array of ids */
    const char *columns;        /* as of lt_rows_options */
    lt_rows_format format;
    bool random;                /* new weights: only the model's config and tokenizer are taken */
    int64_t steps, epochs;      /* steps 0: by epochs; both 0: one epoch */
    int batch;                  /* sequences of a batch, or … */
    int64_t batch_tokens;       /* … tokens of one; 0: by sequences */
    int accumulate;             /* batches of a step; 0: one */
    int max_tokens;             /* texts are cut to so many; 0: as the model allows */
    bool no_shuffle;
    uint64_t seed;
    const char *optimizer;      /* NULL: "adamw"; settings may follow: "adafactor:rate=fixed,scale=no" */
    double lr, weight_decay, beta1, beta2, eps, momentum; /* as they are: lt_train_defaults has PyTorch's */
    double clip;                /* largest global norm of the gradient; 0: none */
    bool bf16;                  /* products round their operands to bf16 where the machine multiplies that; weights and sums stay f32 */
    bool recompute;             /* blocks keep their inputs alone, and are computed again in the backward pass */
    double dropout;             /* overrides every dropout of the config; < 0: as the config says */
    const char *schedule;       /* NULL: "constant" */
    int64_t warmup;
    const char *freeze;         /* a regular expression: parameters whose names it is found in stay as they are; NULL: none */
    int64_t every, save_every;  /* steps between validations, between checkpoints; 0: at the end only, none */
    int64_t patience;           /* validations without a better loss (or metric) before the run ends; 0: never */
    const char *teacher;        /* a model whose states are targets; NULL: none … */
    const char *losses;         /* … and which: "attention,values=0.5,objective=0.1" */
    double temperature;         /* of logits */
    int relation_heads;         /* of values, queries and keys; 0: as many as the models have */
    bool clean_inputs;          /* every loss of distillation sees texts as they were read, not as the objective masked them */
    /* Details of updates in which published pipelines differ; those of one optimizer stand behind its name. */
    const char *const *group;   /* "REGEX:lr=0.1,decay=0,frozen=100" each */
    int groups;
    double layer_decay;         /* block l of L: rate times this^(L-l) */
    bool decay_all;             /* biases and norms too */
    double ema;                 /* of weights, which are then those evaluated and saved; 0: none */
    const char *clip_by;        /* "global" (NULL) or "tensor" */
    const char *mean;           /* of the loss: over the targets of a "step" (NULL), of each "batch", of each "sequence"; "none": their sum */
    bool decay_from_start;      /* schedules count from step 0, not from the end of the warm-up */
    int warmup_from;            /* 0: its first rate is 0; 1: lr / N */
    double lr_end, power;       /* where schedules end; of the polynomial one */
    double anchor;              /* this times half the squared distance from the first weights is a penalty; 0: none */
    const char *log;            /* a file of JSON lines; NULL: none */
    bool resume;
    const char *metric;         /* which decides what the best validation is, for patience and keep_best; NULL: "loss" */
    bool keep_best;             /* the weights of the best validation, not the last, are what the run ends with */
    /* what is learned from, and in what form */
    const char *break_mode;     /* NULL, "row": a row is a text, cut to max_tokens; "none", "complete", "complete-doc": rows are joined to blocks of max_tokens */
    int pair_copies;            /* nsp, sop: times the texts are gone through, each time paired otherwise */
    double short_pairs;         /* nsp, sop: the share of pairs that are made shorter than max_tokens, by chance */
    int64_t batch_cost;         /* as batch_tokens, but a sequence counts what it costs, in tokens without attention; 0: not so */
    int bucket;                 /* batches are made of examples of like length, out of so many batches' worth at a time; 0, 1: not so */
    bool pack;                  /* a batch is so many rows of max_tokens, filled with whole examples */
    const char *exchange;       /* the batches of an update exchange sequences: by "tokens" or "cost"; "none": not, but it is logged how uneven they are; NULL: neither */
    int prefetch;               /* steps whose batches are made ahead by a thread of their own; 0: none */
    const char *cache;          /* a folder that keeps what rows became, for other runs over the same; NULL: much data goes to OUT meanwhile, the rest to memory */
    lt_mask_options mask;
    double spike;               /* a loss more than so many times the median of the last 100 ends the run; 0: none does */
    const char *record;         /* a text that OUT and checkpoints keep as training.json: what the run was told; NULL: none */
    const char *dist;           /* "mpi": this process is one of several that train one model; NULL, "none": it is alone */
    double scale;               /* of cosines, in contrastive learning */
    double label_smoothing;     /* share of each label that is spread over all of them */
    bool balance;               /* classify: a row weighs by how rare its label is, all labels alike together */
    int cache_batch;            /* … whose gradients are cached: sequences that pass the model at a time; 0: the whole batch */
} lt_train_options;
extern const lt_train_options lt_train_defaults;

typedef struct lt_train_result {
    int64_t steps, examples, skipped; /* taken; rows that were read; rows left out */
    int64_t cut;                      /* sentences longer than a block */
    int64_t tokens;                   /* learned from in this call … */
    double seconds;                   /* … and how long its steps took */
    double loss, valid_loss;          /* of the last step; of the last validation (NaN: none) */
    bool bf16;                        /* that was asked for, and the machine does it */
    bool finished_before;             /* there was nothing left to do */
    int64_t best_step;                /* of the best validation; 0: none */
    int worker, workers;              /* which of how many processes this is; worker 0 writes, and reports errors of all */
} lt_train_result;

typedef void lt_train_report_fn(void *arg, const lt_train_step *step);
bool lt_train(lt_ctx *cx, const lt_train_options *o, lt_train_report_fn *report, void *arg, lt_train_result *result);

const lt_kind *const *lt_train_kinds(int *n); /* objectives, optimizers, schedules, distillation losses, for `lathe list` */
/* The n-th name of a slot ("objective", "optimizer", "schedule"); NULL past the last. */
const char *lt_train_name(const char *slot, int n);
/* The settings of an optimizer, the default of each first, as in "rate=relative|warmup|fixed, clip=1"; scoped. */
char *lt_train_settings(lt_ctx *cx, const char *optimizer);

#ifdef __cplusplus
}
#endif
#endif
