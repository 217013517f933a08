/* Tasks: what a model's head says in a task's own words, and how good such answers are.
 *
 * Metrics are computed in double precision as the field's own scripts define them; a value that is not defined is NaN. */
#ifndef LATHE_TASK_H
#define LATHE_TASK_H

#include "lathe/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- metrics --------------------------------------------------------------------------------------------------- */

typedef struct lt_metric {
    const char *name;
    double value; /* NaN: not defined */
} lt_metric;

/* Correlations; NaN where undefined (fewer than two pairs, a constant list). Ties get their mean rank. */
double lt_pearson(const double *x, const double *y, int64_t n);
double lt_spearman(lt_ctx *cx, const double *x, const double *y, int64_t n);

/* Texts by number, from 0 in order of appearance. {0} is empty; free it. */
typedef struct lt_label_set {
    char **name; /* NUL-terminated copies */
    size_t *size;
    int32_t n, room, *slot;
    uint32_t slots;
} lt_label_set;
int32_t lt_label_number(lt_ctx *cx, lt_label_set *set, const char *text, size_t size); /* adds it where it is new; -1: no memory */
void lt_label_set_free(lt_label_set *set);

/* Labels that were wanted against labels that were got, row by row. {0} is empty; free it. */
typedef struct lt_label_counts {
    int64_t *want, *got, *right; /* by label */
    int32_t labels;
    int64_t rows, whole; /* rows so far; those that were right altogether */
} lt_label_counts;
bool lt_label_count(lt_ctx *cx, lt_label_counts *c, int32_t want, int32_t got);
/* Several labels a row, each in no order and counted once. */
bool lt_label_count_sets(lt_ctx *cx, lt_label_counts *c, const int32_t *want, int32_t n_want, const int32_t *got, int32_t n_got);
void lt_label_counts_free(lt_label_counts *c);
double lt_accuracy(const lt_label_counts *c); /* of whole rows */
double lt_f1_micro(const lt_label_counts *c);
double lt_f1_macro(const lt_label_counts *c); /* over the labels of either side */
double lt_mcc(const lt_label_counts *c);      /* one label a row; 0 where one side knows a single label */

/* Entities in sequences of tags (B-X, I-X, E-X, S-X, O; IOB1, IOB2, IOE and BIOES alike). {0} is empty; free it. */
typedef struct lt_entity_counts {
    lt_label_set type;
    struct lt_entity_type {
        int64_t want, got, right;
    } * of; /* by type */
    int32_t types;
    int64_t tags, right; /* tags so far; those that were right */
    struct lt_chunk_state {
        uint32_t tag; /* the last one's first letter; 0: none */
        int32_t type;
        int64_t begin;
    } state[2]; /* of want, of got */
} lt_entity_counts;
bool lt_entity_count(lt_ctx *cx, lt_entity_counts *c, const char *const *want, const char *const *got, int64_t n);
void lt_entity_counts_free(lt_entity_counts *c);
typedef struct lt_prf {
    double precision, recall, f1;
    int64_t support; /* entities wanted */
} lt_prf;
lt_prf lt_entity_score(const lt_entity_counts *c, int32_t type); /* -1: of all types together (micro average) */

/* A text with its length. */
typedef struct lt_text {
    const char *text;
    size_t size;
} lt_text;
/* SQuAD: the best over the right answers, 0 to 1. Of a row without an answer an empty one is right. */
bool lt_answer_score(lt_ctx *cx, lt_text answer, const lt_text *right, int64_t n, double *exact, double *f1);

/* Of a sum of natural logarithms of probabilities. */
double lt_perplexity(double log_likelihood, int64_t tokens);
double lt_bits_per_byte(double log_likelihood, int64_t bytes);

/* ---- heads at work --------------------------------------------------------------------------------------------- */

/* Inputs in, results out, in the inputs' order and in bounded memory, as lt_stream does it: `next` fills in one input after another, on a reading
 * thread and with that thread's context; the sink is called on the caller's thread. What inputs and results point to lives until the next call. */
typedef struct lt_task_input {
    lt_text text;        /* a context, to be answered from */
    lt_text question;    /* of lt_answer_all */
    const lt_text *word; /* not NULL: words in place of the text; of lt_tag_all */
    int64_t words;
    const int32_t *ids; /* not NULL: tokens in place of words */
} lt_task_input;
typedef bool lt_task_next_fn(void *arg, lt_ctx *cx, lt_task_input *in); /* false: no more, or an error in cx */

/* A row of a classifying head's outputs as probabilities: of one label among all (softmax), of each by itself (sigmoid), or as they are. */
typedef enum { LT_SOFTMAX, LT_SIGMOID, LT_PLAIN } lt_link;
lt_link
lt_link_of(const lt_model *m); /* by the config's problem_type and how many labels there are, as Hugging Face pipelines do */
bool lt_is_multi_label(const lt_model *m); /* problem_type: multi_label_classification */
void lt_link_apply(lt_link link, lt_dtype dtype, const void *logits, int64_t n, double *p);
const char *lt_label_name(const lt_model *m, int i, char room[32]); /* "LABEL_i" where the config has no name */

/* Tagging: entities as Hugging Face's token classification pipeline makes them of a text's tokens, or a tag for each word. Texts are cut to
 * what the model takes; words beyond that begin a sequence of their own. */
typedef enum { LT_AGGREGATE_NONE, LT_AGGREGATE_SIMPLE, LT_AGGREGATE_FIRST, LT_AGGREGATE_AVERAGE, LT_AGGREGATE_MAX } lt_aggregation;
typedef struct lt_entity {
    const char *label;
    double score;
    int32_t start, end; /* code points */
} lt_entity;
typedef struct lt_tagged {
    int64_t index;
    lt_text text;
    const lt_entity *entity; /* of texts */
    int64_t entities;
    const char *const *tag; /* of words */
    int64_t words;
    bool pause; /* as in lt_result */
} lt_tagged;
typedef bool lt_tagged_fn(void *arg, lt_ctx *cx, const lt_tagged *t);
bool lt_tag_all(lt_ctx *cx, const lt_model *m, lt_aggregation how, const lt_run_options *options, lt_task_next_fn *next,
                void *next_arg, lt_tagged_fn *sink, void *sink_arg, lt_stream_stats *stats);

/* What a masked language model would put at each mask of a text, the most likely first. */
typedef struct lt_guess {
    int32_t id;
    double score;
} lt_guess;
typedef struct lt_filled {
    int64_t index;
    int64_t masks;
    int k;
    const lt_guess *guess; /* [masks, k] */
    bool pause;
} lt_filled;
typedef bool lt_filled_fn(void *arg, lt_ctx *cx, const lt_filled *f);
bool lt_fill_all(lt_ctx *cx, const lt_model *m, int k, const lt_run_options *options, lt_task_next_fn *next, void *next_arg,
                 lt_filled_fn *sink, void *sink_arg, lt_stream_stats *stats);

/* Answers to questions as pieces of a context, as Hugging Face's question answering pipeline finds them: a long context is read in windows. */
typedef struct lt_answer {
    lt_text text;
    double score;
    int32_t start, end; /* code points of the context */
} lt_answer;
typedef struct lt_answer_options {
    int k;              /* 0: 1 */
    int stride;         /* tokens that windows share, at most seven eighths of one; < 0: 128, or half of a window if that is less */
    int longest;        /* tokens of an answer; 0: 15 */
    bool none;          /* the empty answer is one too */
    lt_run_options run; /* max_tokens 0: 384, or what the model takes */
} lt_answer_options;
typedef struct lt_answered {
    int64_t index;
    const lt_answer *answer; /* best first; at least one, which is empty where nothing was found */
    int answers;
    bool pause;
} lt_answered;
typedef bool lt_answered_fn(void *arg, lt_ctx *cx, const lt_answered *a);
bool lt_answer_all(lt_ctx *cx, const lt_model *m, const lt_answer_options *options, lt_task_next_fn *next, void *next_arg,
                   lt_answered_fn *sink, void *sink_arg, lt_stream_stats *stats);

/* The likelihood of texts under a masked language model: each token is masked in turn, the others being seen (Salazar et al. 2020). */
typedef struct lt_likelihood {
    double sum; /* of natural logarithms */
    int64_t tokens, bytes;
} lt_likelihood;
bool lt_likelihood_all(lt_ctx *cx, const lt_model *m, const lt_run_options *options, lt_task_next_fn *next, void *next_arg,
                       lt_likelihood *sum, lt_stream_stats *stats);

const lt_kind *lt_task_kinds(int *n); /* metrics, for `lathe list` */

#ifdef __cplusplus
}
#endif
#endif
