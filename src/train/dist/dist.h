/* Several processes that train one model: each takes a part of every batch, and gradients are added up while the backward pass still runs (Li et al.
 * 2020, arXiv 2006.15704). What carries the sums is a filling: "none" for one process alone, "mpi" where that was built. */
#ifndef LT_TRAIN_DIST_H
#define LT_TRAIN_DIST_H

#include "train/train.h"

/* What a filling does. It may stand in a library of its own, which calls nothing of this one: each function returns NULL, or in words why it could not.
 * All workers make the same calls in the same order. */
typedef struct lt_dist_calls {
    const char *(*open)(void **state, int *rank, int *size);
    const char *(*begin)(void *state, void *data, int64_t n, size_t elem); /* starts to add the workers' floats (doubles) up, in place … */
    const char *(*poll)(void *state);                                      /* … lets that go on … */
    const char *(*finish)(void *state);                                    /* … and waits until all that was begun is done */
    const char *(*sum)(void *state, double *x, int n);
    const char *(*least)(void *state, int64_t *x, int n);
    const char *(*share)(void *state, int from, void *bytes, int n);
    void (*close)(void *state);
} lt_dist_calls;

typedef struct lt_dist {
    int rank, size;
    const lt_dist_calls *calls; /* NULL: one process alone */
    void *state, *library;
    bool broken;                /* the others cannot be reached any more */
} lt_dist;

/* dist.c */
bool lt_dist_open(lt_ctx *cx, lt_dist *d, const char *name); /* NULL: "none" */
void lt_dist_close(lt_dist *d);
bool lt_dist_sum(lt_ctx *cx, lt_dist *d, double *x, int n);
/* Whether all workers are well: every worker says how it fares, and where one is not well all fail, with the message of the first that is not. */
bool lt_dist_agree(lt_ctx *cx, lt_dist *d, bool good);
/* Fails on all where workers hold different numbers. */
bool lt_dist_same(lt_ctx *cx, lt_dist *d, int64_t x, const char *what);
bool lt_dist_same_weights(lt_ctx *cx, lt_run *r);

/* deal.c: this worker's sequences of a batch, in its order, so that all workers' parts cost about the same. The load of the costliest over the mean of
 * all is added to *balance, if that is not NULL. */
bool lt_dist_deal(lt_ctx *cx, const lt_run *r, const lt_examples *e, const lt_minibatch *whole, lt_minibatch *mine, double *balance);

/* reduce.c: gradients of all workers become their sum. */
bool lt_reducer_open(lt_ctx *cx, lt_run *r); /* takes over where gradients lie; nothing to do for one worker alone */
void lt_reducer_close(lt_run *r);
void lt_reduce_watch(lt_ctx *cx, lt_run *r); /* the step's last tape has been recorded: each bucket is on its way as soon as backward has filled it */
bool lt_reduce_finish(lt_ctx *cx, lt_run *r); /* every worker calls it in every step, whatever has happened to it */

#endif
