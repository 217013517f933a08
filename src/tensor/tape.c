/* The tape: while it records, every op that reads something differentiated leaves a node, and scopes free nothing, so that a backward pass finds
 * what it needs. Nodes are numbered from 1 in the order of computing; backward walks them in reverse (Linnainmaa 1970). Gradients live in
 * memory of the tape's own that is handed back as soon as an op has read it, so few exist at a time, and the next step finds it warm. */
#include "base/ctx.h"
#include "tensor/tensor.h"

#include <stdlib.h>
#include <string.h>

typedef struct room { /* of one gradient */
    lt_tensor tensor; /* first: a tensor's address is its room's */
    struct room *next;
    void *data; /* 64-aligned, behind the header */
    size_t bytes;
    int users;
} room;

struct tape {
    lt_node *node;
    int n, capacity;
    lt_scope scope; /* what was open at begin */
    lt_tensor **slot; /* gradients of outputs while backward runs; slot[0] is not used */
    int slots;
    room *idle;
    lt_backward_fn *watch; /* NULL: nobody */
    void *watch_arg;
    struct tape *inner; /* of what is computed again; owned */
    const lt_tensor **hidden; /* gradients of leaves that are read in what is computed again, … */
    int *hidden_in;           /* … and the node that does so */
    int hiddens, hidden_room;
};

static void tape_free(void *p)
{
    struct tape *t = p;
    if (!t) return;
    tape_free(t->inner);
    for (room *r = t->idle, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    free(t->hidden);
    free(t->hidden_in);
    free(t->slot);
    free(t->node);
    free(t);
}

bool lt_recording(const lt_ctx *cx) { return cx->recording || cx->rehearsing; }

bool lt_tape_begin(lt_ctx *cx)
{
    if (cx->recording) return lt_fail_if(cx, true, LT_ERR_USAGE, "a tape records already");
    struct tape *t = cx->tape;
    if (!t) {
        t = lt_new(cx, 1, sizeof *t);
        if (!t) return false;
        cx->tape = t;
        cx->tape_free = tape_free;
    }
    t->n = t->hiddens = 0;
    t->watch = NULL;
    t->scope = lt_open(cx, NULL);
    cx->recording = true;
    return true;
}

void lt_tape_end(lt_ctx *cx)
{
    if (!cx->recording) return;
    struct tape *t = cx->tape;
    cx->recording = false;
    t->n = 0;
    lt_end(cx, t->scope);
}

int lt_tape_size(const lt_ctx *cx) { return cx->tape ? ((struct tape *)cx->tape)->n : 0; }

const lt_node *lt_tape_node(const lt_ctx *cx, int i) { return i >= 1 && i <= lt_tape_size(cx) ? &((struct tape *)cx->tape)->node[i - 1] : NULL; }

bool lt_differentiated(const lt_tensor *t) { return t && (t->grad || t->node); }

static lt_tensor *add_node(lt_ctx *cx, const lt_op *op, lt_tensor *out, int n_in, lt_tensor *const *in, const void *attributes, size_t size)
{
    struct tape *t = cx->tape;
    if (t->n == t->capacity) {
        int more = t->capacity ? 2 * t->capacity : 256;
        lt_node *node = lt_resize(cx, t->node, more, sizeof *node);
        if (!node) return NULL;
        t->node = node;
        t->capacity = more;
    }
    lt_node *node = &t->node[t->n];
    *node = (lt_node){.op = op, .n_in = n_in, .out = out};
    for (int i = 0; i < n_in; i++) node->in[i] = in[i];
    if (size) {
        void *copy = lt_alloc(cx, size);
        if (!copy) return NULL;
        node->attributes = memcpy(copy, attributes, size);
    }
    out->node = ++t->n;
    return out;
}

/* What is computed now will be computed again by the node that comes next: whoever looks for a leaf finds it there. */
static bool note_hidden(lt_ctx *cx, int n_in, lt_tensor *const *in)
{
    struct tape *t = cx->tape;
    for (int i = 0; i < n_in; i++) {
        if (!in[i] || !in[i]->grad) continue;
        if (t->hiddens == t->hidden_room) {
            const int more = 2 * t->hidden_room + 64;
            const lt_tensor **grads = lt_resize(cx, t->hidden, more, sizeof *grads);
            if (grads) t->hidden = grads;
            int *nodes = grads ? lt_resize(cx, t->hidden_in, more, sizeof *nodes) : NULL;
            if (!nodes) return false;
            t->hidden_in = nodes;
            t->hidden_room = more;
        }
        t->hidden[t->hiddens] = in[i]->grad;
        t->hidden_in[t->hiddens++] = t->n + 1;
    }
    return true;
}

int lt_tape_first_use(const lt_ctx *cx, const lt_tensor *grad)
{
    const struct tape *t = cx->tape;
    int first = 0;
    for (int n = 1; t && n <= t->n && !first; n++)
        for (int i = 0; i < t->node[n - 1].n_in; i++)
            if (t->node[n - 1].in[i] && t->node[n - 1].in[i]->grad == grad) first = n;
    for (int i = 0; t && i < t->hiddens; i++)
        if (t->hidden[i] == grad && (!first || t->hidden_in[i] < first)) first = t->hidden_in[i];
    return first;
}

lt_tensor *lt_record(lt_ctx *cx, const lt_op *op, lt_tensor *out, int n_in, lt_tensor *const *in, const void *attributes, size_t size)
{
    if (out && cx->rehearsing && !note_hidden(cx, n_in, in)) return NULL;
    if (!out || !cx->recording) return out;
    bool any = false;
    for (int i = 0; i < n_in; i++) any |= lt_differentiated(in[i]);
    return any ? add_node(cx, op, out, n_in, in, attributes, size) : out;
}

lt_tensor *lt_detach(lt_ctx *cx, lt_tensor *x)
{
    lt_tensor *t = x ? lt_alloc(cx, sizeof *t) : NULL;
    if (!t) return NULL;
    *t = *x;
    t->node = 0;
    t->grad = NULL;
    t->param = NULL;
    return t;
}

/* ---- room for gradients ---- */

/* The smallest idle room that is large enough, and not wastefully so; else a new one. */
static room *room_take(lt_ctx *cx, size_t bytes)
{
    struct tape *t = cx->tape;
    room **best = NULL;
    for (room **r = &t->idle; *r; r = &(*r)->next)
        if ((*r)->bytes >= bytes && (*r)->bytes <= 2 * bytes + 4096 && (!best || (*r)->bytes < (*best)->bytes)) best = r;
    room *r = best ? *best : NULL;
    if (r) {
        *best = r->next;
        return r;
    }
    enum { ALIGN = 64 };
    r = bytes < SIZE_MAX / 2 ? malloc(sizeof *r + ALIGN + bytes) : NULL;
    if (!r) return lt_fail(cx, LT_ERR_MEMORY, "no memory for a gradient of %zu bytes", bytes);
    *r = (room){.bytes = bytes, .data = (void *)(((uintptr_t)(r + 1) + ALIGN - 1) / ALIGN * ALIGN)};
    return r;
}

static lt_tensor *gradient_like(lt_ctx *cx, const lt_tensor *x)
{
    room *r = room_take(cx, (size_t)lt_count(x) * lt_dtype_size(x->dtype));
    if (!r) return NULL;
    r->users = 1;
    r->tensor = (lt_tensor){.dtype = x->dtype, .rank = x->rank, .data = r->data};
    int64_t stride = 1;
    for (int i = LT_MAX_RANK - 1; i >= 0; i--) {
        r->tensor.shape[i] = i < x->rank ? x->shape[i] : 1;
        r->tensor.stride[i] = stride;
        stride *= r->tensor.shape[i];
    }
    return &r->tensor;
}

static void release(lt_ctx *cx, lt_tensor *g)
{
    room *r = (room *)g;
    struct tape *t = cx->tape;
    if (!r || --r->users) return;
    r->next = t->idle;
    t->idle = r;
}

bool lt_wants(const lt_node *node, int i) { return lt_differentiated(node->in[i]); }
lt_tensor *lt_leaf(const lt_node *node, int i)
{
    lt_tensor *g = node->in[i]->grad;
    if (g) g->reached = true;
    return g;
}
lt_tensor *lt_gradient(lt_ctx *cx, const lt_node *node, int i) { return gradient_like(cx, node->in[i]); }

lt_tensor *lt_gradient_zero(lt_ctx *cx, const lt_node *node, int i)
{
    lt_tensor *g = lt_gradient(cx, node, i);
    if (g) memset(g->data, 0, (size_t)lt_count(g) * lt_dtype_size(g->dtype));
    return g;
}

lt_tensor *lt_gradient_same(lt_tensor *dy)
{
    ((room *)dy)->users++;
    return dy;
}

/* ---- sums ---- */

typedef struct summing {
    const lt_kernels *kn;
    double a;
    const char *x;
    char *y;
    int64_t n;
} summing;

enum { SUM_PIECE = 1 << 15 };

static void add_piece(void *arg, lt_ctx *cx, int64_t i)
{
    const summing *s = arg;
    const int64_t begin = i * SUM_PIECE, n = s->n - begin < SUM_PIECE ? s->n - begin : SUM_PIECE;
    const size_t at = (size_t)begin * s->kn->elem;
    if (s->a == 1) s->kn->add(n, s->y + at, s->x + at, s->y + at);
    else s->kn->axpy(n, s->a, s->x + at, s->y + at);
}

bool lt_accumulate(lt_ctx *cx, double a, const lt_tensor *x, lt_tensor *y)
{
    summing s = {.kn = lt_kernels_of(cx, y->dtype), .a = a, .x = x->data, .y = y->data, .n = lt_count(y)};
    return s.kn && lt_parallel(cx, (s.n + SUM_PIECE - 1) / SUM_PIECE, add_piece, &s);
}

typedef struct row_sums {
    int64_t rows, per;
    int n_out;
    size_t bytes;
    char *partial; /* [chunks][n_out][cols] */
    lt_sum_job *job;
    void *arg;
} row_sums;

enum { SUM_OUTPUTS = 2 };

static void sum_chunk(void *arg, lt_ctx *cx, int64_t i)
{
    const row_sums *s = arg;
    void *out[SUM_OUTPUTS] = {0};
    char *mine = s->partial + (size_t)i * (size_t)s->n_out * s->bytes;
    memset(mine, 0, (size_t)s->n_out * s->bytes);
    for (int o = 0; o < s->n_out; o++) out[o] = mine + (size_t)o * s->bytes;
    s->job(s->arg, i * s->per, s->rows - i * s->per < s->per ? s->rows - i * s->per : s->per, out);
}

bool lt_sum_over_rows(lt_ctx *cx, const lt_kernels *kn, int64_t rows, int64_t cols, int n_out, void *const *into, lt_sum_job *job, void *arg)
{
    if (rows <= 0) return true;
    row_sums s = {.rows = rows, .per = 128, .n_out = n_out, .bytes = (size_t)cols * kn->elem, .job = job, .arg = arg};
    const int64_t chunks = (rows + s.per - 1) / s.per;
    lt_scope scope = lt_open(cx, NULL);
    s.partial = lt_alloc_array(cx, chunks * n_out, s.bytes);
    const bool done = s.partial && lt_parallel(cx, chunks, sum_chunk, &s);
    for (int64_t i = 0; done && i < chunks; i++)
        for (int o = 0; o < n_out; o++)
            if (into[o]) kn->add(cols, into[o], s.partial + (size_t)(i * n_out + o) * s.bytes, into[o]);
    lt_end(cx, scope);
    return done;
}

/* ---- backward ---- */

/* Takes over the caller's share of g. */
static bool give(lt_ctx *cx, lt_tensor *to, lt_tensor *g)
{
    struct tape *t = cx->tape;
    if (to->grad) {
        to->grad->reached = true;
        const bool done = lt_accumulate(cx, 1, g, to->grad);
        release(cx, g);
        return done;
    }
    lt_tensor **slot = &t->slot[to->node];
    if (!*slot) {
        *slot = g;
        return true;
    }
    lt_tensor *sum = *slot;
    if (((room *)sum)->users > 1) { /* others read it */
        sum = gradient_like(cx, g);
        if (!sum) {
            release(cx, g);
            return false;
        }
        memcpy(sum->data, (*slot)->data, (size_t)lt_count(sum) * lt_dtype_size(sum->dtype));
        release(cx, *slot);
        *slot = sum;
    }
    const bool done = lt_accumulate(cx, 1, g, sum);
    release(cx, g);
    return done;
}

static bool step_back(lt_ctx *cx, const lt_node *node, lt_tensor *dy)
{
    lt_tensor *dx[LT_NODE_INPUTS] = {0};
    if (!node->op->back) return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "%s has no gradient", node->op->name);
    lt_scope scope = lt_open(cx, node->op->name);
    bool done = node->op->back(cx, node, dy, dx);
    for (int i = 0; i < node->n_in; i++)
        if (dx[i] && done) done = give(cx, node->in[i], dx[i]);
        else release(cx, dx[i]);
    lt_end(cx, scope);
    return done && lt_ok(cx);
}

static bool seed(lt_ctx *cx, lt_tensor *y, const lt_tensor *dy)
{
    struct tape *t = cx->tape;
    lt_tensor *g = gradient_like(cx, y);
    if (!g) return false;
    if (dy) memcpy(g->data, dy->data, (size_t)lt_count(g) * lt_dtype_size(g->dtype));
    for (int64_t i = 0; !dy && i < lt_count(g); i++) {
        if (g->dtype == LT_F64) ((double *)g->data)[i] = 1;
        else ((float *)g->data)[i] = 1;
    }
    t->slot[y->node] = g;
    return true;
}

void lt_backward_watch(lt_ctx *cx, lt_backward_fn *fn, void *arg)
{
    struct tape *t = cx->tape;
    if (!t || !cx->recording) return;
    t->watch = fn;
    t->watch_arg = arg;
}

bool lt_backward(lt_ctx *cx, lt_tensor *y, lt_tensor *dy)
{
    struct tape *t = cx->tape;
    if (!y || !lt_ok(cx)) return false;
    if (!cx->recording) return lt_fail_if(cx, true, LT_ERR_USAGE, "backward: no tape records");
    if (dy && (dy->dtype != y->dtype || lt_count(dy) != lt_count(y) || !lt_is_contiguous(dy)))
        return lt_fail_if(cx, true, LT_ERR_USAGE, "backward: %s with a gradient %s", lt_shape(cx, y), lt_shape(cx, dy));
    if (!y->node) return true; /* a constant */
    if (t->slots <= t->n) {
        lt_tensor **slot = lt_resize(cx, t->slot, t->n + 1, sizeof *slot);
        if (!slot) return false;
        t->slot = slot;
        t->slots = t->n + 1;
    }
    memset(t->slot, 0, (size_t)(t->n + 1) * sizeof *t->slot);
    cx->recording = false; /* scratch of gradients comes and goes; nodes stay */
    bool done = seed(cx, y, dy);
    for (int i = y->node; i >= 1; i--) {
        lt_tensor *g = t->slot[i];
        if (g && done) done = step_back(cx, &t->node[i - 1], g);
        if (g) release(cx, g);
        if (t->watch && done) t->watch(t->watch_arg, i);
    }
    cx->recording = true;
    return done;
}

/* ---- computing again ---- */

typedef struct again {
    lt_recompute_fn *fn;
    const void *arg;
    lt_drop_place place; /* of dropout, where it began */
} again;

static bool back_again(lt_ctx *cx, const lt_node *node, lt_tensor *dy, lt_tensor **dx)
{
    const again *a = node->attributes;
    const lt_drop_place place = lt_dropout_place(cx);
    struct tape *outer = cx->tape;
    lt_tensor x = *node->in[0];
    x.node = 0;
    x.grad = NULL;
    if (lt_wants(node, 0) && !(x.grad = dx[0] = lt_gradient_zero(cx, node, 0))) return false;
    cx->tape = outer->inner;
    bool done = lt_tape_begin(cx);
    outer->inner = cx->tape;
    if (done) {
        lt_dropout_go_on(cx, a->place);
        lt_tensor *y = a->fn(cx, a->arg, &x);
        done = y && lt_backward(cx, y, dy);
        lt_tape_end(cx);
    }
    lt_dropout_go_on(cx, place);
    cx->tape = outer;
    return done;
}

static const lt_op op_again = {"recompute", back_again};

lt_tensor *lt_recompute(lt_ctx *cx, lt_recompute_fn *fn, const void *arg, size_t size, lt_tensor *x)
{
    if (!x) return NULL;
    if (!cx->recording) {
        lt_scope alone = lt_open(cx, NULL);
        return lt_close(cx, alone, fn(cx, arg, x));
    }
    void *copy = size ? lt_alloc(cx, size) : NULL;
    if (size && !copy) return NULL;
    again a = {fn, size ? memcpy(copy, arg, size) : arg, lt_dropout_place(cx)};
    cx->recording = false;
    cx->rehearsing = true;
    lt_scope scope = lt_open(cx, NULL);
    lt_tensor *y = lt_close(cx, scope, fn(cx, a.arg, x));
    cx->rehearsing = false;
    cx->recording = true;
    return y ? add_node(cx, &op_again, y, 1, &x, &a, sizeof a) : NULL;
}

void lt_recompute_blocks(lt_ctx *cx, bool on) { cx->recomputes = on; }
