/* The thread pool. A call of lt_parallel is put up on a board; its caller and any idle workers take its items one by one
 * from a shared counter until none is left. Several callers may have calls on the board at once. Workers that find the
 * board empty spin for a moment, because the next call of a running model comes within microseconds, and then sleep. */
#include "base/ctx.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif

static const double SPIN = 40e-6; /* seconds: a few times what waking a sleeper costs */
enum { STACK = 4 << 20 };         /* bytes of stack a worker: jobs call kernels, which keep tiles there */

/* One call of lt_parallel; lives on its caller's stack. */
struct call {
    lt_job *job;
    void *arg;
    lt_ctx *cx;
    int64_t n;
    int most;           /* threads that may take part */
    int joined;         /* threads that took part so far, the caller (0) included; under the pool's lock */
    int64_t *failed;    /* [most]: the item that failed in each thread; -1: none */
    atomic_llong next;  /* the next item to take */
    atomic_bool stop;   /* an item failed, or the caller's cancel flag is set */
    atomic_int active;  /* workers inside; the caller waits until it is 0 */
    struct call *later; /* on the board */
};

struct lt_pool {
    pthread_mutex_t lock; /* of the board and of what sleeps */
    pthread_cond_t posted, left;
    struct call *board;
    atomic_uint posts;  /* counts calls put up: what spinning workers watch */
    int sleeping;       /* workers that wait for `posted` */
    atomic_int waiting; /* callers that wait for `left` */
    atomic_bool end;
    double spin;
    int threads; /* workers + 1 */
    pthread_t worker[];
};

/* ---- one call ---- */

/* Takes items until none is left. What was taken always runs: so of all items that fail the lowest does run, whatever the
 * number of threads, and the error reported does not depend on it. */
static void take_items(struct call *call, int place)
{
    lt_ctx *child = call->cx->child[place];
    lt_ctx_clear(child);
    while (!atomic_load_explicit(&call->stop, memory_order_relaxed)) {
        if (lt_cancelled(call->cx)) {
            atomic_store_explicit(&call->stop, true, memory_order_relaxed);
            return;
        }
        int64_t i = atomic_fetch_add_explicit(&call->next, 1, memory_order_relaxed);
        if (i >= call->n) return;
        lt_scope scope = lt_open(child, NULL);
        call->job(call->arg, child, i);
        lt_end(child, scope);
        if (child->status == LT_OK) continue;
        call->failed[place] = i;
        atomic_store_explicit(&call->stop, true, memory_order_relaxed);
    }
}

/* Gives the context the error of its lowest failed item; false when there is one, or when items were left out. */
static bool conclude(struct call *call)
{
    lt_ctx *cx = call->cx;
    int first = -1;
    for (int k = 0; k < call->joined; k++)
        if (call->failed[k] >= 0 && (first < 0 || call->failed[k] < call->failed[first])) first = k;
    if (first >= 0) {
        cx->status = cx->child[first]->status;
        memcpy(cx->message, cx->child[first]->message, sizeof cx->message);
    }
    for (int k = 0; k < call->joined; k++) lt_ctx_clear(cx->child[k]);
    return !atomic_load_explicit(&call->stop, memory_order_relaxed) || lt_ok(cx);
}

/* ---- the board ---- */

static bool joinable(const struct call *c)
{
    return c->joined < c->most && !atomic_load_explicit(&c->stop, memory_order_relaxed) &&
           atomic_load_explicit(&c->next, memory_order_relaxed) < c->n;
}

/* The call with the fewest hands; under the lock. */
static struct call *find_call(lt_pool *pool)
{
    struct call *best = NULL;
    for (struct call *c = pool->board; c; c = c->later)
        if (joinable(c) && (!best || c->joined < best->joined)) best = c;
    return best;
}

static void leave(lt_pool *pool, struct call *call)
{
    /* After the last one has left, the caller may return and its call is gone: touch only the pool from there on. */
    if (atomic_fetch_sub(&call->active, 1) != 1 || atomic_load(&pool->waiting) == 0) return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->left);
    pthread_mutex_unlock(&pool->lock);
}

/* Until the board may have changed since `seen`, or the time for spinning is over. */
static void spin_for_post(lt_pool *pool, unsigned seen)
{
    for (double until = lt_now() + pool->spin; lt_now() < until;)
        for (int i = 0; i < 64; i++) {
            if (atomic_load_explicit(&pool->posts, memory_order_acquire) != seen) return;
            PAUSE();
        }
}

static void *work(void *arg)
{
    lt_pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    while (!atomic_load_explicit(&pool->end, memory_order_relaxed)) {
        unsigned seen = atomic_load_explicit(&pool->posts, memory_order_relaxed);
        struct call *call = find_call(pool);
        if (call) {
            int place = call->joined++;
            atomic_fetch_add_explicit(&call->active, 1, memory_order_relaxed);
            pthread_mutex_unlock(&pool->lock);
            take_items(call, place);
            leave(pool, call);
            pthread_mutex_lock(&pool->lock);
            continue;
        }
        pthread_mutex_unlock(&pool->lock);
        spin_for_post(pool, seen);
        pthread_mutex_lock(&pool->lock);
        if (atomic_load_explicit(&pool->posts, memory_order_relaxed) != seen) continue;
        if (find_call(pool) || atomic_load_explicit(&pool->end, memory_order_relaxed)) continue;
        pool->sleeping++;
        pthread_cond_wait(&pool->posted, &pool->lock);
        pool->sleeping--;
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void post(lt_pool *pool, struct call *call)
{
    pthread_mutex_lock(&pool->lock);
    call->later = pool->board;
    pool->board = call;
    atomic_fetch_add_explicit(&pool->posts, 1, memory_order_release);
    int wake = pool->sleeping < call->most - 1 ? pool->sleeping : call->most - 1;
    pthread_mutex_unlock(&pool->lock);
    for (; wake > 0; wake--) pthread_cond_signal(&pool->posted);
}

static void withdraw(lt_pool *pool, struct call *call)
{
    pthread_mutex_lock(&pool->lock);
    struct call **at = &pool->board;
    while (*at != call) at = &(*at)->later;
    *at = call->later;
    pthread_mutex_unlock(&pool->lock);
}

/* Waits until no worker is inside a withdrawn call. */
static void await(lt_pool *pool, struct call *call)
{
    if (atomic_load(&call->active) == 0) return;
    for (double until = lt_now() + pool->spin; lt_now() < until;)
        for (int i = 0; i < 64; i++) {
            if (atomic_load(&call->active) == 0) return;
            PAUSE();
        }
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->waiting, 1); /* before looking again: leave() lowers `active` first and then looks here */
    while (atomic_load(&call->active) != 0) pthread_cond_wait(&pool->left, &pool->lock);
    atomic_fetch_sub(&pool->waiting, 1);
    pthread_mutex_unlock(&pool->lock);
}

/* ---- the pool ---- */

/* Workers take no signals: those are for the program's own threads. */
static int start_worker(lt_pool *pool, pthread_t *thread)
{
    pthread_attr_t attr;
    int error = pthread_attr_init(&attr);
    if (error) return error;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_setstacksize(&attr, STACK);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(thread, &attr, work, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return error;
}

lt_pool *lt_pool_new(int threads)
{
    int cpus = lt_cpus();
    if (threads <= 0) threads = cpus;
    if (threads > LT_MAX_THREADS) threads = LT_MAX_THREADS;
    lt_pool *pool = calloc(1, sizeof *pool + sizeof(pthread_t) * (size_t)(threads - 1));
    if (!pool) return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->posted, NULL);
    pthread_cond_init(&pool->left, NULL);
    pool->spin = threads <= cpus ? SPIN : 0; /* more threads than processors: who spins keeps another from working */
    pool->threads = 1;
    while (pool->threads < threads && start_worker(pool, &pool->worker[pool->threads - 1]) == 0) pool->threads++;
    return pool;
}

void lt_pool_free(lt_pool *pool)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->end, true);
    atomic_fetch_add(&pool->posts, 1);
    pthread_cond_broadcast(&pool->posted);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->threads - 1; i++) pthread_join(pool->worker[i], NULL);
    pthread_cond_destroy(&pool->posted);
    pthread_cond_destroy(&pool->left);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

int lt_pool_threads(const lt_pool *pool) { return pool->threads; }

/* ---- lt_parallel ---- */

/* The pool to use, made now if the context has its own; NULL: run inline. */
static lt_pool *pool_for(lt_ctx *cx, int64_t n)
{
    if (n < 2 || cx->threads < 2) return NULL;
    if (!cx->pool) {
        cx->pool = lt_pool_new(cx->threads);
        cx->owns_pool = cx->pool != NULL;
    }
    return cx->pool && cx->pool->threads > 1 ? cx->pool : NULL;
}

static bool run_call(struct call *call, lt_pool *pool)
{
    for (int k = 0; k < call->most; k++) {
        call->failed[k] = -1;
        if (!lt_ctx_child(call->cx, k)) return false;
    }
    if (pool) post(pool, call);
    take_items(call, 0);
    if (pool) {
        withdraw(pool, call);
        await(pool, call);
    }
    return conclude(call);
}

bool lt_parallel(lt_ctx *cx, int64_t n, lt_job *job, void *arg)
{
    if (!lt_ok(cx)) return false;
    if (n <= 0) return true;
    lt_pool *pool = pool_for(cx, n);
    int most = !pool ? 1 : n < pool->threads ? (int)n : pool->threads;
    int64_t failed[LT_MAX_THREADS];
    struct call call = {.job = job, .arg = arg, .cx = cx, .n = n, .most = most, .joined = 1, .failed = failed};
    return run_call(&call, pool);
}
