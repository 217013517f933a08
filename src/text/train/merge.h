/* Learning merges of pairs from words. See merge.c. */
#ifndef LT_TEXT_TRAIN_MERGE_H
#define LT_TEXT_TRAIN_MERGE_H

#include "text/vocab.h"

/* A place in a word. Words stand one behind another in one array. */
typedef struct lt_symbol {
    int32_t id;         /* of the token that begins here; -1: it has been merged into one before it */
    int32_t word;
    int32_t prev, next; /* places in the array; -1: the word ends */
} lt_symbol;
typedef struct lt_merge {
    int32_t a, b; /* ids, in the order in which the merges are made */
} lt_merge;

typedef struct lt_merging {
    lt_symbol *symbol; /* is used up */
    int64_t n;
    const int64_t *count;  /* of each word */
    int32_t want;          /* tokens in the end */
    int64_t min_frequency; /* a rarer pair is not merged */
    const char *prefix;    /* of tokens inside words, left out where they are joined; "": none */
    lt_vocab *tokens;      /* what symbols are, an id an entry; grows */
    lt_merge *merge;       /* out: owned */
    int32_t merges;
} lt_merging;
/* Merges until there are as many tokens as wanted, or no pair is left: see how many there are. */
bool lt_merge_pairs(lt_ctx *cx, lt_merging *m);

#endif
