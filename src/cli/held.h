/* All of a verb's inputs, tokenised once and held in memory: what is run again and again to be timed and compared. */
#ifndef LT_CLI_HELD_H
#define LT_CLI_HELD_H

#include "cli/input.h"

typedef struct lt_held { /* ids of all inputs, one after another */
    int32_t *ids;        /* owned */
    int64_t n_ids, ids_room;
    int64_t *begin; /* owned: where each input begins; [n + 1] */
    int64_t n, room;
    double seconds; /* spent on tokenising */
} lt_held;

/* Reads a feed to its end, each input cut to --max-tokens or what the model takes; at least one input is expected. */
bool lt_held_read(lt_cli *cli, const lt_model *m, lt_feed *f, lt_held *in);
static inline int32_t lt_held_length(const lt_held *in, int64_t i) { return (int32_t)(in->begin[i + 1] - in->begin[i]); }
void lt_held_free(lt_held *in);

typedef struct lt_held_cursor {
    const lt_held *held;
    int64_t i;
} lt_held_cursor;
bool lt_held_next(void *cursor, lt_ctx *cx, lt_input *out); /* for lt_stream */

#endif
