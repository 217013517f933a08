/* Contexts and their sticky errors. The first error wins and carries the names of the open scopes, outermost first, so
 * that one check at the end of a chain of calls tells where it broke. A context belongs to one thread: no locks here. */
#include "base/ctx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lt_ctx *ctx_make(const lt_options *options)
{
    lt_ctx *cx = calloc(1, sizeof *cx);
    if (!cx) return NULL;
    if (options) cx->options = *options;
    if (cx->options.isa && !(cx->options.isa = strdup(cx->options.isa))) {
        free(cx);
        return NULL;
    }
    cx->root = cx;
    return cx;
}

lt_ctx *lt_ctx_new(const lt_options *options)
{
    lt_ctx *cx = ctx_make(options);
    if (!cx) return NULL;
    cx->pool = cx->options.pool;
    if (cx->pool) {
        cx->threads = lt_pool_threads(cx->pool);
    } else {
        int n = cx->options.threads;
        cx->threads = n == 0 ? lt_cpus() : n < 1 ? 1 : n > LT_MAX_THREADS ? LT_MAX_THREADS : n;
    }
    return cx;
}

static void ctx_destroy(lt_ctx *cx)
{
    for (int i = 0; cx->child && i < cx->threads; i++)
        if (cx->child[i]) ctx_destroy(cx->child[i]);
    free(cx->child);
    if (cx->tape && cx->tape_free) cx->tape_free(cx->tape);
    if (cx->packs) cx->packs_free(cx->packs);
    if (cx->owns_pool) lt_pool_free(cx->pool);
    lt_arena_free(cx);
    free((char *)cx->options.isa);
    free(cx);
}

void lt_ctx_free(lt_ctx *cx)
{
    if (cx && !cx->parent) ctx_destroy(cx); /* a child is freed by its parent */
}

lt_ctx *lt_ctx_child(lt_ctx *cx, int i)
{
    if (i < 0 || i >= cx->threads) return lt_fail(cx, LT_ERR_USAGE, "child %d of a context with %d threads", i, cx->threads);
    if (!cx->child && !(cx->child = calloc((size_t)cx->threads, sizeof *cx->child)))
        return lt_fail(cx, LT_ERR_MEMORY, "no memory for %d child contexts", cx->threads);
    if (cx->child[i]) return cx->child[i];
    lt_ctx *child = ctx_make(&cx->options);
    if (!child) return lt_fail(cx, LT_ERR_MEMORY, "no memory for a child context");
    child->options.progress = NULL; /* progress is told on the root's own thread only */
    child->root = cx->root;
    child->parent = cx;
    child->threads = 1;
    return cx->child[i] = child;
}

const char *lt_ctx_isa(const lt_ctx *cx) { return cx->options.isa; }

int lt_threads(const lt_ctx *cx) { return cx->threads; }

/* ---- errors ---- */

/* Appends to message[*n…] as far as it stays under `limit` bytes; false when it did not fit. */
static bool append(char *message, size_t *n, size_t limit, const char *text)
{
    size_t size = strlen(text);
    if (*n + size >= limit) return false;
    memcpy(message + *n, text, size + 1);
    *n += size;
    return true;
}

static bool append_path(const lt_ctx *cx, char *message, size_t *n, size_t limit)
{
    if (cx->parent && !append_path(cx->parent, message, n, limit)) return false;
    for (int i = 0; i < cx->depth && i < LT_NAMES; i++) {
        if (!cx->name[i] || !cx->name[i][0]) continue;
        if (*n && !append(message, n, limit, ".")) return false;
        if (!append(message, n, limit, cx->name[i])) return false;
    }
    return true;
}

/* Cuts an over-long message at a code point and says so with an ellipsis. */
static void truncate_message(char *message)
{
    size_t n = LT_MESSAGE - 1 - strlen("…");
    while (n > 0 && ((uint8_t)message[n] & 0xC0) == 0x80) n--;
    strcpy(message + n, "…");
}

/* Names and values from files end up in messages, and messages on terminals: no control characters, no ill-formed bytes. */
static void make_printable(char *message)
{
    char *end = message + strlen(message);
    for (char *p = message; p < end;) {
        uint32_t c;
        int n = lt_utf8_next(p, end, &c);
        bool bad = c < 0x20 || (c >= 0x7F && c < 0xA0) || (c == 0xFFFD && (n < 3 || (uint8_t)*p != 0xEF));
        if (bad) memset(p, '?', (size_t)n);
        p += n;
    }
}

static void fail_va(lt_ctx *cx, lt_status status, const char *format, va_list args)
{
    if (!cx || cx->status != LT_OK) return;
    cx->status = status;
    size_t n = 0;
    cx->message[0] = 0;
    append_path(cx, cx->message, &n, LT_MESSAGE / 2);
    if (n) append(cx->message, &n, LT_MESSAGE, ": ");
    int wrote = vsnprintf(cx->message + n, LT_MESSAGE - n, format, args);
    if (wrote >= 0 && (size_t)wrote >= LT_MESSAGE - n) truncate_message(cx->message);
    make_printable(cx->message);
}

void *lt_fail(lt_ctx *cx, lt_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_va(cx, status, format, args);
    va_end(args);
    return NULL;
}

bool lt_fail_if(lt_ctx *cx, bool failed, lt_status status, const char *format, ...)
{
    if (!failed) return true;
    va_list args;
    va_start(args, format);
    fail_va(cx, status, format, args);
    va_end(args);
    return false;
}

bool lt_io_error(lt_ctx *cx, const char *path) { return lt_fail_if(cx, true, LT_ERR_IO, "%s: %s", path, strerror(errno)); }

lt_status lt_ctx_status(const lt_ctx *cx) { return cx->status; }

const char *lt_ctx_error(const lt_ctx *cx) { return cx->message; }

void lt_ctx_clear(lt_ctx *cx)
{
    cx->status = LT_OK;
    cx->message[0] = 0;
}

bool lt_ok(lt_ctx *cx)
{
    if (cx->status == LT_OK && lt_cancelled(cx)) lt_fail(cx, LT_ERR_CANCELLED, "cancelled");
    return cx->status == LT_OK;
}
