/* Cutting texts into batches of some hundred tokens; an input that is longer is a batch of its own. */
#include "compress/batches.h"

enum { BATCH_TOKENS = 512 };

static bool run_batch(lt_ctx *cx, const int32_t *ids, const int64_t *begin, int64_t first, int64_t n, lt_batch_fn *fn, void *arg)
{
    lt_scope scope = lt_open(cx, NULL);
    int32_t *length = lt_alloc_array(cx, n, sizeof *length);
    for (int64_t i = 0; length && i < n; i++) length[i] = (int32_t)(begin[first + i + 1] - begin[first + i]);
    lt_seqs *s = length ? lt_seqs_new(cx, (int32_t)n, length) : NULL;
    const bool good = s && fn(arg, cx, &(lt_batch){.seqs = s, .ids = ids + begin[first]}, first);
    lt_end(cx, scope);
    return good;
}

bool lt_each_batch(lt_ctx *cx, const char *what, const int32_t *ids, const int64_t *begin, int64_t n, lt_batch_fn *fn, void *arg)
{
    bool good = true;
    lt_progress_begin(cx, what, "inputs", n);
    for (int64_t i = 0, end; good && i < n; i = end) {
        for (end = i + 1; end < n && begin[end + 1] - begin[i] <= BATCH_TOKENS; end++) continue;
        good = lt_ok(cx) && run_batch(cx, ids, begin, i, end - i, fn, arg);
        lt_progress_step(cx, end);
    }
    lt_progress_end(cx);
    return good;
}
