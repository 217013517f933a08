/* TREC's files: runs and judgements. */
#ifndef LT_RETRIEVE_TREC_H
#define LT_RETRIEVE_TREC_H

#include "lathe/text.h"

typedef struct lt_trec_line {
    const char *query, *document;
    float score;   /* of a run: trec_eval up to version 9 keeps floats, so scores that are equal as floats are ties */
    int64_t grade; /* of judgements */
    int64_t line;  /* of the file */
} lt_trec_line;

typedef struct lt_trec {
    lt_trec_line *line; /* [n], by query, then document: both ascending as bytes, no pair twice */
    int64_t n, capacity;
    struct lt_trec_block *block; /* memory of the names */
} lt_trec;

typedef enum { LT_TREC_RUN, LT_TREC_QRELS } lt_trec_kind;
bool lt_trec_read(lt_ctx *cx, lt_trec *t, const char *path, lt_trec_kind kind); /* "-": standard input */
void lt_trec_free(lt_trec *t);
/* The end of the group of lines that begins at `from`: those of one query. */
int64_t lt_trec_group(const lt_trec *t, int64_t from);

#endif
