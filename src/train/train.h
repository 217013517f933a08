/* What the files of this room share: examples in memory, batches of them, and the three slots: objective, optimizer, schedule. */
#ifndef LT_TRAIN_TRAIN_H
#define LT_TRAIN_TRAIN_H

#include "lathe/nn.h"
#include "lathe/task.h"
#include "lathe/train.h"

/* ---- examples ---- */

typedef struct lt_example {
    int64_t begin; /* in the pools, or in the file */
    int32_t n;     /* tokens */
    int32_t label; /* of the sequence; -1: none */
    double number; /* its number; NaN: none */
    uint32_t sum;  /* in a file: of its bytes, and how many of them each number takes */
    uint8_t id_width, type_width, label_width, unused;
    uint32_t line; /* in memory: where its row begins, from 1; 0: not known … */
    uint32_t file; /* … in this one of the files */
} lt_example;

typedef struct lt_store lt_store;
typedef struct lt_examples { /* in file order; in memory, or in a file that is written once */
    lt_example *at;
    int32_t *ids, *types, *labels; /* pools, unless there is a file; types and labels NULL until one is needed; labels < 0: not counted */
    int64_t n, room, tokens, token_room;
    int64_t skipped, cut; /* rows left out; sentences longer than a block, cut up */
    char **name; /* labels of sequences by number, owned */
    int names;
    bool open;   /* new names may be added */
    lt_store *store; /* where the tokens are; NULL: in memory */
    bool settled; /* whether sequences have sets of labels is known, from the rows to learn from */
    const char *const *file; /* what was read, by reference */
    int files;
    bool multi;  /* a sequence has a set of labels: its label is a place in … */
    int32_t *sets; /* … this pool (data/sets.c) */
    int64_t set_n, set_room;
} lt_examples;
/* The tokens of the i-th, wherever they are; types and labels may be NULL, and are zeros where it has none. */
bool lt_example_read(lt_ctx *cx, const lt_examples *e, int64_t i, int32_t *ids, int32_t *types, int32_t *labels);
bool lt_examples_have_types(const lt_examples *e);
bool lt_examples_have_labels(const lt_examples *e); /* of tokens */
bool lt_examples_add(lt_ctx *cx, lt_examples *e, const int32_t *ids, const int32_t *types, const int32_t *labels, int32_t n, int32_t label, double number);
int lt_examples_label(lt_ctx *cx, lt_examples *e, const char *name, size_t size); /* its number; -1: not in the set, or no memory (then an error) */
/* By number where all are whole numbers, else as text; examples follow, and the pool of labels too if it holds such. */
bool lt_examples_sort_labels(lt_ctx *cx, lt_examples *e);
bool lt_examples_renumber(lt_ctx *cx, lt_examples *e, const int32_t *now);
void lt_examples_free(lt_examples *e);
/* data/sets.c */
int32_t lt_examples_set(lt_ctx *cx, lt_examples *e, const int32_t *label, int32_t n); /* a new set's place; -1: an error */
const int32_t *lt_set_of(const lt_examples *e, int64_t example, int32_t *n);
bool lt_examples_make_multi(lt_ctx *cx, lt_examples *e); /* what has one label so far has a set of one */
void lt_sets_renumber(lt_examples *e, const int32_t *now);

typedef struct lt_minibatch { /* scoped */
    lt_batch batch;
    const int32_t *labels;   /* [tokens]; NULL: none */
    const int64_t *example;  /* [examples], which are the sequences, unless the objective makes more of one */
    int32_t examples;
    const double *weight;    /* [tokens] of their losses; NULL: ones */
    int64_t counted;         /* targets */
    int64_t epoch;           /* that it is of: what is random in it is drawn for this epoch */
    /* Of a part of a larger batch: numbers there of its tokens, and of the rows that the head sees; NULL: this is all of it. */
    const uint32_t *token_row, *output_row;
    int64_t outputs;
    lt_batch clean;          /* the same texts as they were read, before the objective masked them; ids NULL: nobody asks */
} lt_minibatch;

/* ---- the slots ---- */

typedef struct lt_run lt_run;

/* What a validation's targets are, which decides the metrics it is judged by (judge.c). */
typedef enum { LT_JUDGED_NOT, LT_JUDGED_LABELS, LT_JUDGED_TAGS, LT_JUDGED_NUMBERS, LT_JUDGED_TOKENS, LT_JUDGED_SETS, LT_JUDGED_RIGHT } lt_judged;

typedef struct lt_joined { /* tokens of one or more sentences, and special ones */
    const int32_t *ids, *types; /* types NULL: all 0 */
    const uint8_t *special;     /* which are */
    int32_t n, label;           /* of pairs: 1 where they are no neighbours, else 0; -1: no pair */
} lt_joined;

typedef struct lt_objective_kind {
    lt_kind is;
    const char *head; /* what has to stand on the encoder; NULL: what the config says */
    /* One row becomes one example, or is refused with an error, or is left out (skipped). Threads call it at once, each with examples of its own. */
    bool (*read)(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row);
    /* Once, when the rows to learn from have been read: whether they and the options go together, and what is to be made of them; NULL: nothing to do. */
    bool (*prepare)(lt_ctx *cx, lt_run *r);
    /* Fills b->labels, if there are any, and b->counted. */
    bool (*target)(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_minibatch *b);
    /* factor · Σ loss over the counted targets. */
    lt_tensor *(*loss)(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, lt_tensor *hidden, double factor);
    /* Further losses, factor · Σ over the batch's sequences; NULL: none. */
    lt_tensor *(*also)(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, lt_tensor *hidden, double factor);
    /* One block of text that sentences were joined to becomes an example; NULL: rows cannot be joined. */
    bool (*block)(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_joined *block);
    bool pairs;  /* its examples are pairs of neighbouring texts, made of documents; */
    bool swaps;  /* wrong ones are in wrong order, else the second is of another document */
    /* A loss that reads nothing but embeddings (of all sequences of b): that of so many targets from the first-th on. NULL: it reads more. */
    lt_tensor *(*of_embeddings)(lt_ctx *cx, const lt_run *r, const lt_minibatch *b, lt_tensor *embeddings, int64_t first, int64_t n, double factor);
    /* How many of the counted targets the head's outputs are right about, for LT_JUDGED_RIGHT. */
    int64_t (*right)(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, const lt_tensor *y);
    bool smooths; /* its labels can be smoothed */
    int longest; /* tokens of an example unless the options say it; 0: as many as the model takes */
    bool names;  /* its labels have names, which decide the head's width; */
    int outputs; /* else so many outputs; 0: as the config says */
    lt_judged judged; /* labels: of sets where rows have several */
} lt_objective_kind;
extern const lt_objective_kind lt_objective_labels, lt_objective_mlm, lt_objective_classify, lt_objective_regress, lt_objective_tag, lt_objective_none;
extern const lt_objective_kind lt_objective_span, lt_objective_contrastive, lt_objective_nsp, lt_objective_sop, lt_objective_mlm_nsp, lt_objective_mlm_sop;

enum { LT_STATES = 4, LT_SETTINGS = 8 };

typedef struct lt_trained { /* one parameter */
    lt_param *param;
    int64_t count;
    lt_tensor grad;
    lt_tensor state[LT_STATES]; /* the optimizer's, as its kind names them; data NULL: this parameter has none */
    void *average;              /* of its weights; while that stands in their place, the weights (average.c); NULL: none */
    void *start;                /* where its weights began (anchor.c); NULL: nothing asks */
    int depth;                  /* 0: embeddings; l + 1: block l; more: what follows the blocks */
    bool hidden;                /* the weight of a linear in a block */
    bool decays;                /* it is no bias and no norm, or all do */
    double rate, decay;         /* factor of the run's rate; weight decay */
    int64_t frozen;             /* steps before its first one */
    /* Of the step that is being taken: */
    int64_t t;                  /* its own steps, from 1 */
    double norm;                /* of its gradient */
    double lr, scale;           /* rate; factor of the gradient (clipping) */
    double number[2];           /* the optimizer's, from sweep to sweep */
} lt_trained;

typedef struct lt_piece { /* of a parameter: what one thread updates at a time */
    lt_trained *t;
    int64_t begin, n; /* elements */
    double sum[2];    /* what a sweep leaves for lt_optimizer_kind.between */
    void *scratch;
} lt_piece;

typedef struct lt_setting { /* KEY=VALUE behind an optimizer's name; a table ends with {0} */
    const char *name;
    double initial, min, max;
    const char *words; /* "no|yes": the value is the number of one of these; NULL: a number */
} lt_setting;

typedef struct lt_optimizer_kind {
    lt_kind is;
    const lt_setting *settings;
    const char *state[LT_STATES]; /* names, as in checkpoints; NULL: no more */
    /* State k of a parameter, whose rank and shape it may change; NULL: all, shaped as the weights. */
    bool (*has)(const lt_run *r, const lt_trained *t, int k, lt_tensor *shape);
    void (*begin)(const lt_run *r, lt_trained *t); /* states of a new run; NULL: zeros */
    bool (*fits)(lt_ctx *cx, const lt_run *r);     /* refuses options that have no meaning with it; NULL: all fit */
    double (*rate)(const lt_run *r, int64_t t);    /* its own, in place of schedule and --lr; NULL, or < 0: none */
    bool warms;   /* its warm-up begins at lr / N */
    bool rows;    /* pieces of matrices are whole rows */
    int64_t (*scratch)(const lt_trained *t); /* elements of each piece's scratch, cleared; NULL: none */
    int sweeps;   /* over all pieces, each after the one before has ended everywhere; 0: one */
    void (*step)(const lt_run *r, lt_piece *p, int sweep);
    /* What follows a sweep, of one parameter with its n pieces; NULL: nothing. */
    bool (*between)(lt_ctx *cx, const lt_run *r, lt_trained *t, lt_piece *piece, int64_t n, int sweep);
    double (*shown)(const lt_run *r); /* the weights to evaluate and save lie so far from the trained ones towards state 0; NULL: they are those */
} lt_optimizer_kind;
extern const lt_optimizer_kind lt_optimizer_adamw, lt_optimizer_sgd, lt_optimizer_lion, lt_optimizer_lamb, lt_optimizer_adafactor, lt_optimizer_muon,
    lt_optimizer_schedule_free;

typedef struct lt_schedule_kind {
    lt_kind is;
    double (*factor)(const lt_train_options *o, int64_t step, int64_t steps, double share); /* of the rate; `share` of the decay's way is done */
} lt_schedule_kind;
extern const lt_schedule_kind lt_schedule_constant, lt_schedule_linear, lt_schedule_cosine, lt_schedule_inverse_sqrt, lt_schedule_wsd,
    lt_schedule_polynomial;
double lt_schedule_rate(const lt_run *r, int64_t step); /* step from 0 */

const lt_objective_kind *lt_objective_named(const char *name);
const lt_optimizer_kind *lt_optimizer_named(const char *name);
const lt_schedule_kind *lt_schedule_named(const char *name);
typedef struct lt_distill lt_distill;
const struct lt_distill_kind *lt_distill_named(const char *name);

/* ---- a run ---- */

enum { LT_RECENT = 100 };
typedef struct lt_place { /* where a run stands: all that is needed to go on, beside weights and moments */
    int64_t step, epoch, next; /* steps taken; the epoch, and the next example's place in its order */
    double best;               /* of the best validation: its loss, or of another metric what is less where that is better */
    int64_t best_step;         /* … after so many steps */
    int64_t worse;             /* validations since */
    double recent[LT_RECENT];  /* with --spike: the last losses, oldest first */
    int recents;
} lt_place;

typedef struct lt_plan { /* of an epoch: its examples in order, and where each batch begins there */
    int64_t epoch;       /* -1: none yet */
    int64_t *order, *start, batches, room;
} lt_plan;
typedef struct lt_lock {
    char *path;
    int fd; /* + 1; 0: none */
} lt_lock;
#define LT_LOCK_NAME ".lathe.lock"

struct lt_run {
    const lt_train_options *o;
    const lt_objective_kind *objective;
    const lt_optimizer_kind *optimizer;
    const lt_schedule_kind *schedule;
    lt_model *model;        /* NULL while rows are read */
    lt_tokenizer *tokenizer; /* NULL: rows are ids */
    int vocab;
    double setting[LT_SETTINGS];          /* of the optimizer */
    bool clip_tensors;                    /* each by itself */
    bool clip_workers;                    /* … or of each worker, before they are added up */
    enum { LT_OVER_STEP, LT_OVER_BATCH, LT_OVER_SEQUENCE, LT_OVER_NOTHING } mean; /* what the loss is a mean over */
    const lt_kernels *kn;
    int limit; /* longest example */
    lt_examples train, valid;
    struct lt_masker *masker; /* mlm's; NULL: nothing is masked */
    double *label_weight; /* of rows by their label; NULL: ones */
    lt_distill *distill;    /* NULL: no teacher */
    lt_param *extra;        /* learned, and left out of the model; NULL: none */
    lt_trained *param;
    int params;
    bool goes_on; /* from a checkpoint */
    lt_place place;
    int64_t steps;      /* of the entire run */
    const char *metric; /* which decides what the best validation is */
    lt_plan plan;       /* the supply's while there is one */
    struct lt_supply *supply;
    int64_t cost_scale; /* of lt_cost */
    lt_lock lock;
    struct lt_dist *dist;       /* this worker among its like */
    struct lt_reducer *reducer; /* NULL: it is alone */
};

/* data/read.c: all rows of files as examples. */
bool lt_data_check(lt_ctx *cx, const lt_run *r); /* whether the options of what is read make sense for the objective, before anything is */
bool lt_read_examples(lt_ctx *cx, lt_run *r, lt_examples *e, const char *const *files, int n);
/* One row into e, or nothing; called by many threads at once, each with examples of its own. */
typedef bool lt_read_fn(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row);
bool lt_read_rows(lt_ctx *cx, lt_run *r, lt_examples *e, const char *const *files, int n, lt_read_fn *read);
/* Text, and its pair if there is one, or ids of a row as tokens; NULL: skipped or an error. */
lt_encoding *lt_row_tokens(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row);
lt_encoding *lt_text_tokens(lt_ctx *cx, lt_run *r, lt_examples *e, const char *text, size_t size, const char *pair, size_t pair_size); /* the same of a text */
/* data/sentences.c: rows as sentences of documents: their tokens without special ones, and an example of no tokens behind each document. */
bool lt_reads_sentences(const lt_run *r);
bool lt_sentence_read(lt_ctx *cx, lt_run *r, lt_examples *e, const lt_row *row);
bool lt_sentences_join(lt_ctx *cx, lt_run *r, const lt_examples *sentences, lt_examples *e); /* to blocks or pairs */
bool lt_pairs_make(lt_ctx *cx, lt_run *r, const lt_examples *sentences, lt_examples *e);     /* data/pairs.c */
/* data/plan.c */
bool lt_plan_make(lt_ctx *cx, const lt_run *r, lt_plan *p, int64_t epoch); /* of the training set; nothing to do if it is that epoch's already */
int64_t lt_plan_batch(const lt_plan *p, int64_t begin);                    /* the batch that begins at this place of the order */
void lt_plan_free(lt_plan *p);
int64_t lt_batch_end(const lt_run *r, const lt_examples *e, const int64_t *order, int64_t begin); /* where the batch that begins there ends */
/* data/batch.c */
/* The batches of a step, from the place p, which moves on. */
bool lt_next_batches(lt_ctx *cx, const lt_run *r, lt_plan *plan, lt_place *p, lt_minibatch *b, int n);
bool lt_batch_of(lt_ctx *cx, const lt_run *r, const lt_examples *e, const int64_t *example, int32_t n, int64_t epoch, lt_minibatch *b);
int64_t lt_batches_of_epoch(lt_ctx *cx, lt_run *r, int64_t epoch); /* -1: an error */
/* data/exchange.c */
int64_t lt_cost(const lt_run *r, int64_t n);      /* of a sequence of n tokens */
int64_t lt_budget(const lt_run *r);               /* of a batch; 0: it is so many sequences */
int64_t lt_budget_of(const lt_run *r, int64_t n); /* what a sequence takes of it */
typedef struct lt_share { /* examples of one batch */
    int64_t *example, n, epoch;
} lt_share;
bool lt_exchange(lt_ctx *cx, const lt_run *r, const lt_examples *e, lt_share *share, int n); /* new lists, scoped, of the same examples */
void lt_measure(const lt_run *r, const lt_minibatch *b, int n, lt_train_step *s);             /* how uneven the batches of a step are */
/* data/supply.c */
typedef struct lt_supply lt_supply;
typedef struct lt_supplied { /* the batches of a step, and where the run stands behind them */
    lt_minibatch *batch;
    int n;
    int64_t epoch, next;
} lt_supplied;
lt_supply *lt_supply_open(lt_ctx *cx, lt_run *r); /* from r->place on; the plan of r is its own until it is closed */
const lt_supplied *lt_supply_next(lt_ctx *cx, lt_supply *f); /* valid until the next call; NULL: an error */
void lt_supply_close(lt_supply *f);
/* params.c */
bool lt_params_gather(lt_ctx *cx, lt_run *r); /* of r->model and r->extra, into r->param */
void lt_params_free(lt_run *r);
void lt_params_wake(lt_run *r); /* those that are frozen until a later step cost no gradient */
/* roles.c: what is special about parameters, by what they are and by --group and its kin. */
bool lt_roles_give(lt_ctx *cx, lt_run *r);
/* details.c: the optimizer with its settings, the schedule, and how a step is made of its batches. */
bool lt_details_find(lt_ctx *cx, lt_run *r);
bool lt_losses_weigh(lt_ctx *cx, const lt_run *r, lt_minibatch *b, int batches, double *by_counted, double *by_sequences); /* factors of each batch */
/* update.c */
bool lt_gradient_norms(lt_ctx *cx, lt_run *r, double *norm);                 /* of each parameter, and of all */
bool lt_update(lt_ctx *cx, lt_run *r, double lr, double norm, bool *finite); /* whether all weights are finite after it */
/* x += share · (goal - x): what is added is small where both are near, so that a share near 0 or 1 loses nothing. goal is not x. */
void lt_approach(const lt_kernels *kn, int64_t n, double share, const void *goal, void *x);
/* average.c: weights that are evaluated and saved, beside those that are trained. */
bool lt_average_begin(lt_ctx *cx, lt_run *r);
bool lt_averages(const lt_run *r); /* whether there are any */
bool lt_average_show(lt_ctx *cx, lt_run *r); /* they take the place of the trained ones … */
void lt_average_hide(lt_ctx *cx, lt_run *r); /* … until here */
/* anchor.c: weights are pulled back to where the run began. */
bool lt_anchor_begin(lt_ctx *cx, lt_run *r);
bool lt_anchor_pull(lt_ctx *cx, lt_run *r); /* adds its gradient */
/* step.c */
bool lt_take_step(lt_ctx *cx, lt_run *r, lt_train_step *s); /* fills s; moves r->place */
double lt_number(const lt_tensor *t);                       /* of a tensor of one element */
double lt_step_flops(lt_ctx *cx, const lt_run *r, const lt_minibatch *b); /* flops.c: of learning from a batch */
/* blame.c: false always, with an error that names the step, the rows of its batches and the parameter. */
bool lt_blame_not_finite(lt_ctx *cx, const lt_run *r, const char *what, const lt_minibatch *b, int batches);
bool lt_blame_update(lt_ctx *cx, const lt_run *r, const lt_minibatch *b, int batches);
bool lt_blame_spike(lt_ctx *cx, lt_run *r, double loss, const lt_minibatch *b, int batches); /* if it is one; else remembers the loss, true */
/* lock.c: OUT is this run's until it ends. */
bool lt_lock_take(lt_ctx *cx, lt_lock *lock, const char *out);
void lt_lock_release(lt_lock *lock);
/* cache.c: factor · Σ loss over b's targets is added to *loss, and its gradients to the parameters' if they are learned, o->cache_batch sequences at a time. */
bool lt_cached_batch(lt_ctx *cx, const lt_run *r, const lt_minibatch *b, double factor, bool learn, double *loss);
/* checkpoint.c */
/* Makes OUT at once, so that a place that cannot be written is found before hours of work. A new run (not `go_on`) is not to be mistaken for an earlier
 * one there: that can be resumed no more. A model in OUT stays until the end. */
bool lt_checkpoint_begin(lt_ctx *cx, const char *out, bool go_on, lt_lock *lock);
bool lt_checkpoint_save(lt_ctx *cx, lt_run *r, bool last);
bool lt_checkpoint_keep_best(lt_ctx *cx, lt_run *r);       /* the model as it is, as OUT/best */
char *lt_checkpoint_find_best(lt_ctx *cx, const lt_run *r); /* that folder, if it is of the step that it should be of; else an error */
char *lt_checkpoint_find(lt_ctx *cx, const char *out, bool *finished); /* folder of the newest one; NULL: none (or an error) */
bool lt_checkpoint_load(lt_ctx *cx, lt_run *r, const char *folder);
/* distill/distill.c */
bool lt_distill_open(lt_ctx *cx, lt_run *r); /* the teacher, and which losses */
bool lt_distill_fit(lt_ctx *cx, lt_run *r);  /* the student is open: whether it fits */
const lt_model_info *lt_distill_head(const lt_run *r); /* the model whose head the student has to have; NULL: none */
void lt_distill_close(lt_distill *d);
bool lt_distills(const lt_run *r, bool clean); /* whether a loss sees inputs as they were read, or (not clean) as the objective made them */
/* The loss of a batch, scoped: the objective's, its sum times by_counted, and those of distillation on the objective's inputs, their sum over sequences
 * times by_sequences. */
lt_tensor *lt_batch_loss(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *b, double by_counted, double by_sequences);
/* … and that of the losses that see clean inputs, in a pass of its own over both models: no tape records before it, one does behind it. */
lt_tensor *lt_clean_loss(lt_ctx *cx, const lt_run *r, const lt_minibatch *b, double by_sequences);
/* log.c */
typedef struct lt_log lt_log;
lt_log *lt_log_open(lt_ctx *cx, const char *path, bool go_on, int64_t step); /* keeps the lines up to that step; path NULL: a log of nothing */
bool lt_log_step(lt_ctx *cx, lt_log *log, const lt_train_step *s);
bool lt_log_valid(lt_ctx *cx, lt_log *log, int64_t step, const lt_metric *metric, int n);
void lt_log_close(lt_log *log);
/* valid.c */
bool lt_metric_choose(lt_ctx *cx, lt_run *r); /* what the options ask for, if the objective has it */
/* Moves r->place's best and worse, writes to the log, keeps the best model if that is asked for. */
bool lt_validate(lt_ctx *cx, lt_run *r, lt_log *log, lt_train_result *result);

#endif
