/* Scoped memory: one arena a context, a stack of bytes. A large range of addresses is reserved at the first use and its
 * beginning is made usable in growing steps, so what was handed out never moves, a scope ends by setting one number, and a
 * context that has seen its largest batch makes no system call any more. Sanitizer builds poison what is not taken. */
#include "base/ctx.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define ARENA_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ARENA_TSAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
enum { RED_ZONE = 64 }; /* after every allocation: running off its end is caught */
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
enum { RED_ZONE = 0 };
#endif

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
enum { ALIGN = 64 };
/* Sanitizers keep shadows of all addresses in a narrow range, so reserve less there. */
#if defined(ARENA_ASAN) || defined(ARENA_TSAN)
#define RESERVE_ROOT (16 * GIB)
#define RESERVE_CHILD (4 * GIB)
#else
#define RESERVE_ROOT (256 * GIB)
#define RESERVE_CHILD (64 * GIB)
#endif

/* Under `ulimit -v` addresses are scarce and shared with weights and malloc: a root takes a quarter of what is left, its
 * children together no more than another quarter, so that any number of contexts leaves room for others. */
static size_t address_budget(const lt_ctx *cx)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        if (fscanf(f, "%lu", &pages) != 1) pages = 0;
        fclose(f);
    }
    size_t in_use = pages * (size_t)sysconf(_SC_PAGESIZE);
    size_t left = limit.rlim_cur > in_use ? limit.rlim_cur - in_use : 0;
    return left / 4 / (size_t)(cx->parent ? cx->parent->threads : 1);
}

static bool reserve(lt_ctx *cx)
{
    size_t size = cx->parent ? RESERVE_CHILD : RESERVE_ROOT, budget = address_budget(cx);
    while (size > budget && size > MIB) size /= 2;
    for (; size >= MIB; size /= 2) {
        void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) continue;
        cx->arena.base = p;
        cx->arena.reserved = size;
        return true;
    }
    return lt_fail_if(cx, true, LT_ERR_MEMORY, "no memory: no addresses left for a context's scopes");
}

/* Takes `more` bytes from what the root and its children may use together. */
static bool take_budget(lt_ctx *cx, size_t more)
{
    lt_ctx *root = cx->root;
    size_t limit = root->options.memory_limit, sum = atomic_load_explicit(&root->committed_sum, memory_order_relaxed);
    do {
        if (limit && (sum > limit || more > limit - sum)) return false;
    } while (
        !atomic_compare_exchange_weak_explicit(&root->committed_sum, &sum, sum + more, memory_order_relaxed, memory_order_relaxed));
    return true;
}

static bool commit_to(lt_ctx *cx, size_t end)
{
    struct lt_arena *a = &cx->arena;
    size_t more = end - a->committed;
    if (!take_budget(cx, more)) return false;
    if (mprotect(a->base + a->committed, more, PROT_READ | PROT_WRITE) != 0) {
        atomic_fetch_sub_explicit(&cx->root->committed_sum, more, memory_order_relaxed);
        return false;
    }
    POISON(a->base + a->committed, more);
    a->committed = end;
    return true;
}

/* Makes [0, end) usable: by half as much again as now, else, near a limit, by just what is asked for. */
static bool grow(lt_ctx *cx, size_t end)
{
    struct lt_arena *a = &cx->arena;
    if (!a->base && !reserve(cx)) return false;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (end > a->reserved - page)
        return lt_fail_if(cx, true, LT_ERR_MEMORY, "no memory: scopes would hold %zu bytes, addresses are reserved for %zu", end,
                          a->reserved);
    size_t exact = (end + page - 1) / page * page;
    size_t step = a->committed / 2 > MIB ? a->committed / 2 / page * page : MIB;
    size_t ample = a->committed + step;
    if (ample > a->reserved) ample = a->reserved;
    if ((ample > exact && commit_to(cx, ample)) || commit_to(cx, exact)) return true;
    size_t limit = cx->root->options.memory_limit;
    if (limit) return lt_fail_if(cx, true, LT_ERR_MEMORY, "no memory: scopes would hold %zu bytes, the limit is %zu", end, limit);
    return lt_fail_if(cx, true, LT_ERR_MEMORY, "no memory: scopes would hold %zu bytes: %s", end, strerror(errno));
}

void *lt_alloc(lt_ctx *cx, size_t bytes)
{
    struct lt_arena *a = &cx->arena;
    if (bytes > SIZE_MAX / 4) return lt_fail(cx, LT_ERR_MEMORY, "no memory: %zu bytes asked for", bytes);
    size_t size = bytes ? (bytes + ALIGN - 1) / ALIGN * ALIGN : ALIGN, end = a->used + size + RED_ZONE;
    if (end > a->committed && !grow(cx, end)) return NULL;
    void *p = a->base + a->used;
    UNPOISON(p, bytes);
    a->used = end;
    if (end > a->peak) a->peak = end;
    return p;
}

/* count · size, if that is a size at all. */
static bool product(int64_t count, size_t size, size_t *bytes)
{
    return count >= 0 && !__builtin_mul_overflow((size_t)count, size, bytes) && *bytes <= PTRDIFF_MAX;
}

void *lt_alloc_array(lt_ctx *cx, int64_t count, size_t size)
{
    size_t bytes;
    if (!product(count, size, &bytes))
        return lt_fail(cx, LT_ERR_MEMORY, "no memory: %" PRId64 " times %zu bytes asked for", count, size);
    return lt_alloc(cx, bytes);
}

char *lt_sprintf(lt_ctx *cx, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    char *text = n < 0 ? lt_fail(cx, LT_ERR_USAGE, "a text could not be formatted") : lt_alloc(cx, (size_t)n + 1);
    if (text) vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}

/* ---- scopes ---- */

lt_scope lt_open(lt_ctx *cx, const char *name)
{
    lt_scope scope = {cx->arena.used, cx->depth};
    if (cx->depth < LT_NAMES) cx->name[cx->depth] = name;
    cx->depth++;
    return scope;
}

static void free_from(lt_ctx *cx, size_t mark)
{
    struct lt_arena *a = &cx->arena;
    if (mark >= a->used) return;
    POISON(a->base + mark, a->used - mark);
    a->used = mark;
}

void lt_end(lt_ctx *cx, lt_scope scope)
{
    if (scope.depth < cx->depth) cx->depth = scope.depth;
    if (!cx->recording) free_from(cx, scope.mark);
}

void *lt_end_keep(lt_ctx *cx, lt_scope scope, const void *p, size_t bytes)
{
    struct lt_arena *a = &cx->arena;
    const uint8_t *from = p;
    /* Not this scope's memory (NULL, an outer scope's, owned): it stays where it is. Addresses are compared as numbers. */
    bool inside =
        p && a->base && (uintptr_t)from >= (uintptr_t)(a->base + scope.mark) && (uintptr_t)from < (uintptr_t)(a->base + a->used);
    if (!inside || cx->recording) {
        lt_end(cx, scope);
        return (void *)p;
    }
    uint8_t *to = a->base + scope.mark;
    size_t end = scope.mark + (bytes ? (bytes + ALIGN - 1) / ALIGN * ALIGN : ALIGN) + RED_ZONE;
    UNPOISON(to, bytes);
    memmove(to, from, bytes);
    POISON(to + bytes, end - scope.mark - bytes);
    if (scope.depth < cx->depth) cx->depth = scope.depth;
    free_from(cx, end);
    return to;
}

/* Own scopes and those of the children, which rest whenever the owner of the context can ask. */
size_t lt_memory_used(const lt_ctx *cx)
{
    size_t sum = cx->arena.used;
    for (int i = 0; cx->child && i < cx->threads; i++)
        if (cx->child[i]) sum += lt_memory_used(cx->child[i]);
    return sum;
}

size_t lt_memory_peak(const lt_ctx *cx)
{
    size_t sum = cx->arena.peak;
    for (int i = 0; cx->child && i < cx->threads; i++)
        if (cx->child[i]) sum += lt_memory_peak(cx->child[i]);
    return sum;
}

void lt_arena_free(lt_ctx *cx)
{
    struct lt_arena *a = &cx->arena;
    if (!a->base) return;
    UNPOISON(a->base, a->committed);
    munmap(a->base, a->reserved);
    atomic_fetch_sub_explicit(&cx->root->committed_sum, a->committed, memory_order_relaxed);
    *a = (struct lt_arena){0};
}

/* ---- owned memory ---- */

void *lt_new(lt_ctx *cx, int64_t count, size_t size)
{
    size_t bytes;
    void *p = product(count, size, &bytes) ? calloc(bytes ? bytes : 1, 1) : NULL;
    return p ? p : lt_fail(cx, LT_ERR_MEMORY, "no memory for %" PRId64 " times %zu bytes", count, size);
}

void *lt_resize(lt_ctx *cx, void *p, int64_t count, size_t size)
{
    size_t bytes;
    void *q = NULL;
    if (product(count, size, &bytes)) q = realloc(p, bytes ? bytes : 1);
    return q ? q : lt_fail(cx, LT_ERR_MEMORY, "no memory for %" PRId64 " times %zu bytes", count, size);
}

char *lt_strdup(lt_ctx *cx, const char *s)
{
    char *copy = strdup(s);
    return copy ? copy : lt_fail(cx, LT_ERR_MEMORY, "no memory for %zu bytes", strlen(s) + 1);
}

void lt_free(void *p) { free(p); }
