/* What distillation losses share: what a model showed of itself on a batch, and a teacher to be held against. */
#ifndef LT_TRAIN_DISTILL_H
#define LT_TRAIN_DISTILL_H

#include "train/train.h"

typedef struct lt_states { /* of one model, on one batch; scoped */
    const lt_model *model;
    int layers;
    lt_tensor **at[LT_TAPS]; /* by place, layers 0 … layers: NULL where nothing passed */
    lt_tensor *last;         /* what the head would read, [tokens, width] */
    lt_tensor *logits;       /* of the head, one row for each of `rows`; NULL: not asked for */
} lt_states;

typedef struct lt_distill_kind lt_distill_kind;

enum { LT_DISTILL_LOSSES = 16 };
struct lt_distill {
    lt_model *teacher;
    const lt_model_info *about; /* of it */
    int losses;
    struct {
        const lt_distill_kind *kind;
        double weight;
    } loss[LT_DISTILL_LOSSES];
    bool clean;          /* all of them see inputs as they were read */
    double own;          /* weight of the objective's loss */
    double temperature;  /* of logits */
    int relation_heads;  /* 0: as many as the models have */
    lt_param projection; /* [teacher's width, student's]: of hidden states, where widths differ */
};

typedef struct lt_distilled { /* one batch, as a loss sees it */
    const lt_distill *d;
    const lt_seqs *seqs;
    const lt_states *student, *teacher;
    const double *row_weight;   /* [tokens]: one over the tokens of the row's sequence */
    const double *logit_weight; /* the same of the rows of logits */
} lt_distilled;

struct lt_distill_kind {
    lt_kind is;
    bool logits;    /* reads what the heads make */
    bool states;    /* reads what blocks make */
    bool clean;     /* is defined on inputs as they were read, not as an objective has masked them */
    bool projects;  /* needs a projection where the widths differ */
    bool relates;   /* needs equal numbers of heads, unless relation_heads says how many */
    /* factor · Σ over sequences of a mean over the sequence's tokens. */
    lt_tensor *(*loss)(lt_ctx *cx, const lt_distilled *x, double factor);
};
extern const lt_distill_kind lt_distill_logits, lt_distill_hidden, lt_distill_attention, lt_distill_values, lt_distill_queries, lt_distill_keys, lt_distill_cls;

#endif
