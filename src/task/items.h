/* Inputs on their way through a model: an item is one input as tokens, in one window or several that each are a sequence of the stream, with what
 * its result is to be made of. Items wait, in order, from when they are read until their last window has come out. */
#ifndef LT_TASK_ITEMS_H
#define LT_TASK_ITEMS_H

#include "lathe/task.h"

typedef struct lt_token_place { /* where a token stands */
    int32_t word, start, end;   /* word < 0: it is not part of the text */
} lt_token_place;

typedef struct lt_item {
    int64_t index;
    int32_t *ids, *types; /* of all windows, one after another */
    lt_token_place *place;
    int32_t tokens, room;
    int32_t *begin; /* [windows + 1] */
    int32_t windows, windows_room, seen;
    char *text; /* a copy, NUL-terminated; NULL: none */
    size_t size;
    int64_t words, left_out;
    void *own;      /* the task's; lt_free */
    int32_t target; /* the task's too: a token */
    struct lt_item *next;
} lt_item;
lt_item *lt_item_new(lt_ctx *cx, const lt_text *text /* or NULL */);
void lt_item_free(lt_item *item);
bool lt_item_add(lt_ctx *cx, lt_item *item, int32_t id, int32_t type, lt_token_place place); /* a token to the window at hand, */
bool lt_item_cut(lt_ctx *cx, lt_item *item);                                                 /* … which ends */
/* An encoding in windows of at most `limit` tokens: its first `head` ones and the special ones at its end around each, of the others as many as
 * there is room for, `stride` of them shared by neighbours. most 0: any number of windows; what they leave out is counted. */
bool lt_item_windows(lt_ctx *cx, lt_item *item, const lt_encoding *e, int32_t head, int32_t limit, int32_t stride, int32_t most);
int32_t lt_special_head(const lt_encoding *e); /* special tokens at the beginning */

typedef struct lt_item_flow {
    lt_item *(*make)(void *arg, lt_ctx *cx); /* on the reading thread; NULL: no more, or an error in cx */
    bool (*window)(void *arg, lt_ctx *cx, lt_item *item, int32_t window, const lt_result *r); /* on the caller's */
    bool (*done)(void *arg, lt_ctx *cx, lt_item *item, bool pause);
    void *arg;
} lt_item_flow;
bool lt_items_run(lt_ctx *cx, const lt_model *m, lt_output what, const lt_run_options *options, const lt_item_flow *flow,
                  lt_stream_stats *stats);

/* The longest sequence that options and model allow. */
int32_t lt_task_limit(const lt_model *m, const lt_run_options *options);
/* The head is this one, and there is a tokenizer. */
bool lt_task_fits(lt_ctx *cx, const lt_model *m, const char *head, bool texts);
bool lt_task_can_fill(lt_ctx *cx, const lt_model *m); /* a masked language model, and a tokenizer that has a mask */
/* Row i of a result, from an item's window. */
static inline double lt_result_at(const lt_result *r, int64_t row, int64_t col) { return lt_value_at(r->dtype, r->data, row * r->cols + col); }

#endif
