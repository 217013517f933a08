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

const lt_kind *lt_task_kinds(int *n); /* metrics, for `lathe list` */

#ifdef __cplusplus
}
#endif
#endif
