/* What a context is made of. Rooms above `tensor` need only lathe/base.h; `tensor` hangs its tape in here. */
#ifndef LT_BASE_CTX_H
#define LT_BASE_CTX_H

#include <stdatomic.h>

#include "lathe/base.h"

enum { LT_MESSAGE = 1024, LT_NAMES = 64, LT_MAX_THREADS = 1024 };

/* Reserved addresses of which a growing beginning is usable; [0, used) is taken. See arena.c. */
struct lt_arena {
    uint8_t *base; /* NULL until the first lt_alloc */
    size_t reserved, committed, used, peak;
};

/* One run of reported work. See progress.c. */
struct lt_progress_state {
    bool running, called;
    double start, last_time;
    int64_t last_done;
    lt_progress p;
};

struct lt_ctx {
    lt_options options; /* isa is owned; progress is NULL in children */
    struct lt_arena arena;
    atomic_size_t committed_sum; /* root: committed bytes of itself and all its children, held under options.memory_limit */
    lt_ctx *root, *parent;       /* root: itself in a root; parent: NULL in a root */
    lt_ctx **child;              /* lt_threads() places, filled when needed; NULL until then */
    lt_pool *pool;               /* shared or owned; NULL until the first lt_parallel that wants one */
    bool owns_pool;
    int threads;                /* what lt_threads says */
    int depth;                  /* open scopes */
    const char *name[LT_NAMES]; /* of the outermost scopes; deeper ones are only counted */
    lt_status status;
    char message[LT_MESSAGE]; /* "" while status is LT_OK */
    struct lt_progress_state progress;

    /* The tensor room's: its tape, how to free it, and whether it records. While it does, the end of a scope frees nothing. */
    void *tape;
    void (*tape_free)(void *tape);
    void *packs; /* packed weights that are kept; NULL: none */
    void (*packs_free)(void *packs);
    bool recording;
    bool rehearsing;       /* ops run as if it recorded, but leave no nodes, and scopes free */
    bool computes_bf16;    /* products of plain matrices round their operands */
    bool recomputes;       /* blocks are computed again in the backward pass */
    bool dropping;         /* dropout is on, by random numbers of … */
    uint64_t drop_seed;
    uint32_t drop_step, drop_site; /* … this step; how many sites have been passed in it */
    uint32_t drop_row;             /* of a batch that is computed in parts: which row its first is */
    const uint32_t *drop_number;   /* numbers of the rows that are here, of a batch that is not all here … */
    int64_t drop_numbers;          /* … so many */

    /* The nn room's: who is shown what passes, and the layer that runs. */
    void (*tap)(void);
    void *tap_arg;
    int tap_layer;
};

/* Whether the caller's cancel flag is set, by a signal handler or by another thread. */
static inline bool lt_cancelled(const lt_ctx *cx)
{
    return cx->options.cancel && __atomic_load_n((const sig_atomic_t *)cx->options.cancel, __ATOMIC_RELAXED);
}

/* arena.c */
void lt_arena_free(lt_ctx *cx);

/* ctx.c */
bool lt_io_error(lt_ctx *cx, const char *path); /* records what errno says of a file; false */

/* cpus.c */
int lt_cpus(void); /* processors this process may use: affinity and control group quota, at least 1 */
/* The quota in whole processors (rounded up) that the control groups named in `proc_cgroup` set; 0: none. `mount` is /sys/fs/cgroup. */
int lt_cpu_quota(const char *proc_cgroup, const char *mount);

/* out.c: makes a rename in the folder last, for `path`, which messages name. Some file systems cannot sync folders, and some folders
 * may be written but not read: then the rename stands unsynced. */
bool lt_sync_folder(lt_ctx *cx, const char *folder, const char *path);

/* pool.c */
int lt_pool_threads(const lt_pool *pool);

#endif
