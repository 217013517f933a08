/* Which tokens of a sequence masked language modelling hides, and what stands in their place. */
#ifndef LT_TRAIN_MASK_H
#define LT_TRAIN_MASK_H

#include "train/train.h"

typedef enum { LT_MASK_PIECE, LT_MASK_WORD, LT_MASK_SPAN } lt_mask_unit;
typedef enum { LT_MASK_BERNOULLI, LT_MASK_FLOOR, LT_MASK_ROUND } lt_mask_count;
typedef enum { LT_MASK_VOCAB, LT_MASK_ORDINARY, LT_MASK_UNIGRAM } lt_mask_pool;

typedef struct lt_masker {
    lt_mask_options o;
    lt_mask_unit unit;
    lt_mask_count count;
    lt_mask_pool pool;
    bool once;          /* one decision, mask or other token or none, for an entire unit */
    uint64_t seed;
    int32_t mask, vocab;
    uint8_t *continues; /* [vocab] 1: a token that goes on with the word before it */
    int32_t *id;        /* those that replace, but for LT_MASK_VOCAB … */
    int64_t *upto;      /* … with how much all up to each of them weigh together; NULL: all alike */
    int64_t ids;
} lt_masker;

bool lt_mask_check(lt_ctx *cx, const lt_mask_options *o); /* whether the options make sense, before anything is read */
/* Words are known by the tokens' texts. Owned; NULL: an error. */
lt_masker *lt_masker_new(lt_ctx *cx, const lt_mask_options *o, const lt_tokenizer *t, const char *model, int32_t vocab, uint64_t seed);
bool lt_masker_count(lt_ctx *cx, lt_masker *m, const lt_tokenizer *t, const lt_examples *e); /* the corpus, if replacements are drawn by its counts */
void lt_masker_free(lt_masker *m);
/* On entry labels >= 0 are tokens that may be hidden; afterwards labels are what was there, or -100, and ids what the model sees. The same for the same
 * example and epoch, whatever else happens. */
bool lt_mask(lt_ctx *cx, const lt_masker *m, int64_t example, int64_t epoch, int32_t n, int32_t *ids, int32_t *labels);
/* 1 to most, geometric and cut off, of a uniform draw: P(l) = p(1 − p)^(l−1) / (1 − (1 − p)^most). */
int32_t lt_span_length(uint32_t bits, double p, int32_t most);

#endif
