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
} lt_train_step;

typedef struct lt_train_options {
    const char *model, *out;
    const char *objective;      /* "labels", "mlm", "classify", …; "none": texts, for distillation */
    const char *const *data;    /* files of rows */
    int n_data;
    const char *valid;          /* a file of rows; NULL: none */
    bool ids;                   /* each line of a plain file is a JSON array of ids */
    const char *columns;        /* as of lt_rows_options */
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
    int64_t patience;           /* validations without a better loss before the run ends; 0: never */
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
} lt_train_options;
extern const lt_train_options lt_train_defaults;

typedef struct lt_train_result {
    int64_t steps, examples, skipped; /* taken; rows that were read; rows left out */
    double loss, valid_loss;          /* of the last step; of the last validation (NaN: none) */
    bool bf16;                        /* that was asked for, and the machine does it */
    bool finished_before;             /* there was nothing left to do */
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
