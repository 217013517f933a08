/* Contexts, scopes, errors, threads, files, random numbers and progress: what every other room stands on.
 *
 * A context (lt_ctx) belongs to one user thread. It holds scoped memory, a sticky error and a share of a thread pool.
 * Nothing in the library prints, exits or aborts: a call that fails returns NULL or false and leaves one message in
 * the context; calls that are handed NULL because an earlier call failed return NULL too, so a caller checks once. */
#ifndef LATHE_BASE_H
#define LATHE_BASE_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LT_VERSION "0.1.0"

#if defined(__GNUC__)
#define LT_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define LT_PRINTF(f, a)
#endif

typedef struct lt_ctx lt_ctx;
typedef struct lt_pool lt_pool;

/* ---- errors ---------------------------------------------------------------------------------------------------- */

typedef enum {
    LT_OK,
    LT_ERR_USAGE,       /* the caller asked for something that cannot be (a wrong option, mismatched shapes) */
    LT_ERR_INPUT,       /* data read from outside is not what it should be; the message names file and place */
    LT_ERR_UNSUPPORTED, /* well-formed, but this build does not do it; the message names what */
    LT_ERR_MEMORY,      /* no memory, or the context's memory limit was reached */
    LT_ERR_IO,          /* the operating system refused; the message names the file and the reason */
    LT_ERR_CANCELLED    /* the caller's cancel flag was set */
} lt_status;

/* Records an error (only the first one sticks) with the names of the open scopes in front; returns NULL always,
 * so that `return lt_fail(…)` serves any function that returns a pointer. */
void *lt_fail(lt_ctx *cx, lt_status status, const char *format, ...) LT_PRINTF(3, 4);
/* The same for functions that return bool. */
bool lt_fail_if(lt_ctx *cx, bool failed, lt_status status, const char *format, ...) LT_PRINTF(4, 5); /* returns !failed */

lt_status lt_ctx_status(const lt_ctx *cx);
const char *lt_ctx_error(const lt_ctx *cx); /* "" when there is none; owned by the context, until cleared */
void lt_ctx_clear(lt_ctx *cx);              /* forget the error */
bool lt_ok(lt_ctx *cx);                     /* no error, and not cancelled (a set cancel flag becomes an error here) */

/* ---- contexts -------------------------------------------------------------------------------------------------- */

typedef struct lt_progress {
    const char *what; /* "embedding", "indexing", … */
    const char *unit; /* "lines", "tokens", … */
    int64_t done;
    int64_t total;    /* 0: unknown */
    double seconds;   /* since the start */
    double rate;      /* units a second */
    double eta;       /* seconds to go; < 0: unknown */
    bool last;        /* the work has ended */
} lt_progress;
typedef void lt_progress_fn(void *arg, const lt_progress *p); /* called on the context's own thread, ~10 times a second */

typedef struct lt_options {
    int threads;              /* 0: all processors that this process may use */
    lt_pool *pool;            /* not NULL: share this pool instead (then `threads` is ignored) */
    size_t memory_limit;      /* bytes of scoped memory; 0: no limit but the machine's */
    const char *isa;          /* "ref", "base", "avx2", "avx512", …; NULL: the best this machine has */
    lt_progress_fn *progress; /* NULL: silent */
    void *progress_arg;
    const volatile sig_atomic_t *cancel; /* set it to non-zero to stop long work soon; NULL: cannot be stopped */
} lt_options;

lt_ctx *lt_ctx_new(const lt_options *options); /* NULL options: defaults. NULL result: no memory */
void lt_ctx_free(lt_ctx *cx);
/* The i-th child (0 <= i < lt_threads): own scopes and error, same options; kept and reused by its parent, which frees it.
 * A child runs lt_parallel inline. */
lt_ctx *lt_ctx_child(lt_ctx *cx, int i);
const char *lt_ctx_isa(const lt_ctx *cx); /* what options.isa asked for; NULL: best */

/* ---- scoped memory --------------------------------------------------------------------------------------------- */

/* Memory is taken from the context's innermost scope and vanishes when that closes. Addresses never move. */
typedef struct lt_scope {
    size_t mark;
    int depth;
} lt_scope;

lt_scope lt_open(lt_ctx *cx, const char *name); /* the name (kept by reference; NULL: none) stands in error messages */
void lt_end(lt_ctx *cx, lt_scope scope);        /* frees all that was taken since lt_open (and closes inner scopes left open) */
void *lt_alloc(lt_ctx *cx, size_t bytes);       /* 64-byte aligned, not cleared; NULL + error when there is no memory */
void *lt_alloc_array(lt_ctx *cx, int64_t count, size_t size); /* the same, with the product checked for overflow */
char *lt_sprintf(lt_ctx *cx, const char *format, ...) LT_PRINTF(2, 3); /* scoped string */
/* Ends `scope` but keeps `bytes` at `p` (memory of that scope), moved down to where the scope began; returns the new place. */
void *lt_end_keep(lt_ctx *cx, lt_scope scope, const void *p, size_t bytes);
size_t lt_memory_used(const lt_ctx *cx);
size_t lt_memory_peak(const lt_ctx *cx);

/* Owned memory, for what outlives scopes: cleared; release with lt_free. */
void *lt_new(lt_ctx *cx, int64_t count, size_t size);
void *lt_resize(lt_ctx *cx, void *p, int64_t count, size_t size); /* NULL + error and p unchanged when there is no memory */
char *lt_strdup(lt_ctx *cx, const char *s);
void lt_free(void *p);

/* ---- threads --------------------------------------------------------------------------------------------------- */

/* One small pool serves any number of contexts. The caller of lt_parallel works too; calls from inside a job, or from a
 * child context, run inline. Cut work by problem size, never by thread count: then results do not depend on it. */
lt_pool *lt_pool_new(int threads); /* 0: all processors this process may use; NULL: no memory or threads */
void lt_pool_free(lt_pool *pool);  /* after the contexts that use it */
int lt_threads(const lt_ctx *cx);

/* Calls job(arg, child, i) once for each i in 0 … n-1, in order of taking, on any thread; `child` is that thread's
 * child context of cx. Ends when all are done. Errors of children end the loop early; the one with the lowest i
 * becomes the error of cx. */
typedef void lt_job(void *arg, lt_ctx *child, int64_t i);
bool lt_parallel(lt_ctx *cx, int64_t n, lt_job *job, void *arg);

/* ---- strings --------------------------------------------------------------------------------------------------- */

/* A growable byte string; {0} is empty. `failed` is set (and stays) when memory ran out. data is NUL-terminated. */
typedef struct lt_str {
    char *data;
    size_t size, capacity;
    bool failed;
} lt_str;
void lt_str_add(lt_str *s, const void *bytes, size_t n);
void lt_str_puts(lt_str *s, const char *text);
void lt_str_printf(lt_str *s, const char *format, ...) LT_PRINTF(2, 3);
void lt_str_clear(lt_str *s); /* size 0, memory kept */
void lt_str_free(lt_str *s);

/* Decodes one code point at p < end. Ill-formed input yields U+FFFD per maximal subpart (Unicode 15, section 3.9,
 * as Python's errors="replace" and the WHATWG decoder do). Returns the number of bytes consumed, at least 1. */
int lt_utf8_next(const char *p, const char *end, uint32_t *code_point);
int lt_utf8_put(uint32_t code_point, char out[4]); /* number of bytes */
/* The word of `words` nearest to `word` by edit distance, for "did you mean"; NULL when none is near. */
const char *lt_nearest(const char *word, const char *const *words, int n);

/* ---- files ----------------------------------------------------------------------------------------------------- */

typedef struct lt_map { /* a file mapped read-only; an empty file has data "" and size 0 */
    const uint8_t *data;
    size_t size;
    char *path; /* owned */
} lt_map;
bool lt_map_open(lt_ctx *cx, lt_map *map, const char *path); /* also takes pipes and devices: those are read into memory */
void lt_map_close(lt_map *map);                              /* {0} is fine */

bool lt_is_dir(const char *path);
bool lt_is_file(const char *path);
char *lt_path_join(lt_ctx *cx, const char *dir, const char *name); /* scoped */

/* Writes to a temporary name in the target's folder; commit syncs and renames. Whatever is not committed leaves nothing. */
typedef struct lt_out lt_out;
lt_out *lt_out_open(lt_ctx *cx, const char *path);
bool lt_out_write(lt_out *out, const void *bytes, size_t n); /* errors stick in the context given at open */
bool lt_out_patch(lt_out *out, uint64_t offset, const void *bytes, size_t n); /* overwrites what was written; not on pipes */
bool lt_out_commit(lt_out *out); /* frees out */
void lt_out_abort(lt_out *out);  /* frees out; NULL is fine */

/* The same for a folder of files: fill the folder at lt_outdir_path, then commit puts it in the place of `path`, with what was there
 * before removed. An existing `path` is taken over only if it is a folder that holds the file `proof` ("config.json"). */
typedef struct lt_outdir lt_outdir;
lt_outdir *lt_outdir_open(lt_ctx *cx, const char *path, const char *proof);
const char *lt_outdir_path(const lt_outdir *f);
bool lt_outdir_commit(lt_outdir *f); /* frees f */
void lt_outdir_abort(lt_outdir *f);  /* frees f; NULL is fine */
bool lt_file_copy(lt_ctx *cx, const char *from, const char *to); /* byte for byte; the copy is committed */

/* ---- random numbers -------------------------------------------------------------------------------------------- */

/* Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a pure function of counter and
 * key, so threads, packing and recomputation change nothing. */
void lt_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
float lt_uniform(uint32_t bits); /* [0, 1), 24 bits */

/* ---- progress and time ----------------------------------------------------------------------------------------- */

double lt_now(void); /* seconds, monotonic */
void lt_progress_begin(lt_ctx *cx, const char *what, const char *unit, int64_t total); /* total 0: unknown */
void lt_progress_step(lt_ctx *cx, int64_t done); /* `done` so far, absolute; cheap: may be called for every item */
void lt_progress_end(lt_ctx *cx);

/* ---- kinds ----------------------------------------------------------------------------------------------------- */

/* Every filling of every slot, family, verb and format begins with this: what `lathe list`, the help and the docs print. */
typedef struct lt_kind {
    const char *slot;    /* "linear", "mixer", "norm", "family", "tokenizer", "metric", … */
    const char *name;    /* "dense", "attention", … */
    const char *summary; /* one line */
    const char *source;  /* paper or standard; "" where it is ours */
} lt_kind;

#ifdef __cplusplus
}
#endif
#endif
