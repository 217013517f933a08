/* One process alone, or the filling that carries sums between several, loaded when it is asked for: who does not use MPI neither needs nor loads it.
 * Errors are agreed on, so that no worker waits for one that has given up. */
#include "train/dist/dist.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/ctx.h"
#include "base/hash.h"

static const char library_name[] = "liblathe-mpi.so";

/* In the folder of the program or library that this code is in, in lib beside it, or where the system looks. */
static void *load(lt_ctx *cx)
{
    Dl_info self;
    const char *slash = dladdr(library_name, &self) && self.dli_fname ? strrchr(self.dli_fname, '/') : NULL;
    const int folder = slash ? (int)(slash - self.dli_fname) : 0;
    const char *const places[] = {"/", "/../lib/"};
    for (int i = 0; slash && i < 2; i++) {
        const char *path = lt_sprintf(cx, "%.*s%s%s", folder, self.dli_fname, places[i], library_name);
        if (path && lt_is_file(path)) return dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    }
    return dlopen(library_name, RTLD_NOW | RTLD_GLOBAL);
}

static bool failed(lt_ctx *cx, lt_dist *d, const char *why)
{
    if (!why) return true;
    d->broken = true;
    return lt_fail_if(cx, true, LT_ERR_IO, "dist: %s", why);
}

bool lt_dist_open(lt_ctx *cx, lt_dist *d, const char *name)
{
    *d = (lt_dist){.size = 1};
    if (!name || strcmp(name, "none") == 0) return true;
    if (strcmp(name, "mpi") != 0) return lt_fail_if(cx, true, LT_ERR_USAGE, "dist \"%s\" is not known: none and mpi are", name);
    d->library = load(cx);
    const lt_dist_calls *calls = d->library ? dlsym(d->library, "lt_dist_mpi") : NULL;
    if (!calls)
        return lt_fail_if(cx, true, LT_ERR_UNSUPPORTED, "dist mpi: this lathe was built without MPI (%s): install Open MPI (Debian: libopenmpi-dev openmpi-bin), then make again",
                          d->library ? library_name : dlerror());
    const char *why = calls->open(&d->state, &d->rank, &d->size);
    if (why) return lt_fail_if(cx, true, LT_ERR_IO, "dist mpi: %s", why);
    d->calls = calls;
    return true;
}

/* The library stays loaded: MPI leaves threads and handlers behind. */
void lt_dist_close(lt_dist *d)
{
    if (d->calls && !d->broken) d->calls->close(d->state);
    d->calls = NULL;
}

bool lt_dist_sum(lt_ctx *cx, lt_dist *d, double *x, int n) { return d->size == 1 || (!d->broken && failed(cx, d, d->calls->sum(d->state, x, n))); }

typedef struct trouble {
    int32_t status;
    char text[LT_MESSAGE];
} trouble;

bool lt_dist_agree(lt_ctx *cx, lt_dist *d, bool good)
{
    good = good && lt_ok(cx);
    if (d->size == 1 || d->broken) return good;
    int64_t first = good ? d->size : d->rank;
    if (!failed(cx, d, d->calls->least(d->state, &first, 1))) return false;
    if (first == d->size) return true;
    trouble t = {.status = (int32_t)lt_ctx_status(cx)};
    snprintf(t.text, sizeof t.text, "%s", lt_ctx_error(cx));
    if (!failed(cx, d, d->calls->share(d->state, (int)first, &t, sizeof t))) return false;
    t.text[sizeof t.text - 1] = 0;
    if (!lt_ctx_status(cx)) lt_fail(cx, (lt_status)t.status, "worker %d: %s", (int)first, t.text);
    return false;
}

bool lt_dist_same(lt_ctx *cx, lt_dist *d, int64_t x, const char *what)
{
    int64_t range[2] = {x, -x};
    if (d->size == 1) return true;
    if (d->broken || !failed(cx, d, d->calls->least(d->state, range, 2))) return false;
    return lt_fail_if(cx, range[0] != -range[1], LT_ERR_IO, "dist: workers differ in %s", what);
}

bool lt_dist_same_weights(lt_ctx *cx, lt_run *r)
{
    if (r->dist->size == 1) return true;
    uint64_t hash = LT_HASH_BEGIN;
    for (int i = 0; i < r->params; i++) {
        const uint32_t *word = r->param[i].param->value.data;
        for (int64_t k = 0; k < r->param[i].count; k++) hash = (hash ^ word[k]) * 0x100000001B3u; /* FNV-1a over words */
    }
    return lt_dist_same(cx, r->dist, (int64_t)(hash >> 2), "weights");
}
