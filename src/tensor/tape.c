/* The tape: while it records, every op leaves a node, and scopes free nothing, so that a backward pass finds what it needs. Nodes
 * are numbered from 1 in the order of computing. */
#include "base/ctx.h"
#include "tensor/tensor.h"

#include <stdlib.h>
#include <string.h>

struct tape {
    lt_node *node;
    int n, capacity;
    lt_scope scope; /* what was open at begin */
};

static void tape_free(void *p)
{
    struct tape *t = p;
    if (t) free(t->node);
    free(t);
}

bool lt_recording(const lt_ctx *cx) { return cx->recording; }

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
    t->n = 0;
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

lt_tensor *lt_record(lt_ctx *cx, const lt_op *op, lt_tensor *out, int n_in, lt_tensor *const *in, const void *attributes, size_t size)
{
    if (!out || !cx->recording) return out;
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
