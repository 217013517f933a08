/* Adding gradients up over workers while the backward pass still runs (Li et al. 2020, arXiv 2006.15704): all gradients lie in one block, last
 * parameters first, cut into buckets; backward fills them about in that order, and a bucket whose last gradient is there sets out at once. Behind each
 * gradient stands a number that says whether a loss reached it. */
#include "train/dist/dist.h"

enum { BUCKET_BYTES = 1 << 22, ALIGN = 64 };

typedef struct bucket {
    int64_t begin, n; /* floats */
    int waits;        /* gradients that are not there yet */
} bucket;

struct lt_reducer {
    lt_ctx *cx;
    lt_run *r;
    char *block, *owned;
    bucket *bucket;
    int buckets, begun; /* of this step */
    int *bucket_of;     /* [params] */
    int *first_node;    /* [params] the last to be called in backward; 0: none */
    bool good;
};

static int64_t room_of(const lt_run *r, const lt_trained *t)
{
    const int64_t line = ALIGN / (int64_t)r->kn->elem;
    return (t->count + 1 + line - 1) / line * line;
}

static void set_number(const lt_run *r, void *p, int64_t i, double x)
{
    if (r->kn->elem == sizeof(double)) ((double *)p)[i] = x;
    else ((float *)p)[i] = (float)x;
}

static double number(const lt_run *r, const void *p, int64_t i) { return r->kn->elem == sizeof(double) ? ((const double *)p)[i] : (double)((const float *)p)[i]; }

bool lt_reducer_open(lt_ctx *cx, lt_run *r)
{
    if (r->dist->size == 1) return true;
    struct lt_reducer *d = r->reducer = lt_new(cx, 1, sizeof *d);
    if (!d) return false;
    int64_t all = 0, at = 0;
    for (int i = 0; i < r->params; i++) all += room_of(r, &r->param[i]);
    d->cx = cx;
    d->r = r;
    d->owned = lt_new(cx, all + ALIGN, r->kn->elem);
    d->bucket = lt_new(cx, r->params, sizeof *d->bucket);
    d->bucket_of = lt_new(cx, r->params, sizeof *d->bucket_of);
    d->first_node = lt_new(cx, r->params, sizeof *d->first_node);
    if (!d->owned || !d->bucket || !d->bucket_of || !d->first_node) return false;
    d->block = (char *)(((uintptr_t)d->owned + ALIGN - 1) / ALIGN * ALIGN);
    for (int i = r->params - 1; i >= 0; i--) {
        lt_trained *t = &r->param[i];
        bucket *b = d->buckets ? &d->bucket[d->buckets - 1] : NULL;
        if (!b || b->n * (int64_t)r->kn->elem >= BUCKET_BYTES) *(b = &d->bucket[d->buckets++]) = (bucket){.begin = at};
        d->bucket_of[i] = d->buckets - 1;
        lt_free(t->grad.data);
        t->grad.data = d->block + (size_t)at * r->kn->elem;
        b->n += room_of(r, t);
        at += room_of(r, t);
    }
    return true;
}

void lt_reducer_close(lt_run *r)
{
    struct lt_reducer *d = r->reducer;
    if (!d) return;
    for (int i = 0; d->block && i < r->params; i++) r->param[i].grad.data = NULL;
    lt_free(d->owned);
    lt_free(d->bucket);
    lt_free(d->bucket_of);
    lt_free(d->first_node);
    lt_free(d);
    r->reducer = NULL;
}

static bool check(struct lt_reducer *d, const char *why)
{
    if (why) d->r->dist->broken = true;
    return d->good = d->good && lt_fail_if(d->cx, why != NULL, LT_ERR_IO, "dist: %s", why);
}

/* In their order, which is the same for all workers. */
static void begin_full_ones(struct lt_reducer *d, bool all)
{
    const lt_run *r = d->r;
    while (d->begun < d->buckets && (all || d->bucket[d->begun].waits == 0) && !r->dist->broken) {
        const int k = d->begun++;
        for (int i = 0; i < r->params; i++)
            if (d->bucket_of[i] == k) set_number(r, r->param[i].grad.data, r->param[i].count, r->param[i].grad.reached);
        check(d, r->dist->calls->begin(r->dist->state, d->block + (size_t)d->bucket[k].begin * r->kn->elem, d->bucket[k].n, r->kn->elem));
    }
}

static void after_node(void *arg, int node)
{
    struct lt_reducer *d = arg;
    for (int i = 0; i < d->r->params; i++)
        if (d->first_node[i] == node) d->bucket[d->bucket_of[i]].waits--;
    begin_full_ones(d, false);
    if (d->begun && !d->r->dist->broken) check(d, d->r->dist->calls->poll(d->r->dist->state));
}

void lt_reduce_watch(lt_ctx *cx, lt_run *r)
{
    struct lt_reducer *d = r->reducer;
    if (!d) return;
    for (int i = 0; i < r->params; i++)
        if ((d->first_node[i] = lt_tape_first_use(cx, &r->param[i].grad))) d->bucket[d->bucket_of[i]].waits++;
    lt_backward_watch(cx, after_node, d);
}

bool lt_reduce_finish(lt_ctx *cx, lt_run *r)
{
    struct lt_reducer *d = r->reducer;
    if (!d) return true;
    d->good = !r->dist->broken;
    begin_full_ones(d, true);
    if (!r->dist->broken) check(d, r->dist->calls->finish(r->dist->state));
    d->begun = 0;
    for (int k = 0; k < d->buckets; k++) d->bucket[k].waits = 0;
    for (int i = 0; d->good && i < r->params; i++) r->param[i].grad.reached = number(r, r->param[i].grad.data, r->param[i].count) > 0;
    return d->good;
}
