/* What this machine multiplies at most in f32, measured: every thread multiplies matrices that stay in its cache, with the kernels of this context. The
 * roof over which no product gets (Williams et al. 2009, "Roofline"); what other programs take from the machine meanwhile lowers it. */
#include "tensor/tensor.h"

#include <string.h>

enum { ROWS = 128, COLS = 256, INNER = 256, JOBS = 8, ROUNDS = 6 };

typedef struct multiplying {
    const lt_kernels *kn;
    const void *a, *packed;
} multiplying;

static void multiply(void *arg, lt_ctx *cx, int64_t i)
{
    const multiplying *w = arg;
    void *c = lt_alloc_array(cx, ROWS * COLS, w->kn->elem);
    if (c) w->kn->gemm(ROWS, COLS, INNER, w->a, INNER, w->packed, c, COLS, NULL);
}

double lt_peak_flops(lt_ctx *cx)
{
    lt_scope scope = lt_open(cx, NULL);
    multiplying w = {.kn = lt_kernels_of(cx, LT_F32)};
    const int64_t jobs = (int64_t)JOBS * lt_threads(cx);
    void *a = lt_alloc_array(cx, ROWS * INNER, sizeof(float)), *b = lt_alloc_array(cx, COLS * INNER, sizeof(float));
    void *packed = w.kn ? lt_alloc(cx, lt_packed_bytes(w.kn, COLS, INNER)) : NULL;
    double best = 0;
    if (a && b && packed) {
        memset(a, 0, ROWS * INNER * sizeof(float));
        memset(b, 0, COLS * INNER * sizeof(float));
        w.kn->pack(COLS, INNER, b, INNER, 1, packed);
        w.a = a;
        w.packed = packed;
        for (int i = 0; i < ROUNDS; i++) {
            const double start = lt_now();
            if (!lt_parallel(cx, jobs, multiply, &w)) break;
            const double seconds = lt_now() - start, rate = 2.0 * ROWS * COLS * INNER * (double)jobs / seconds;
            if (seconds > 0 && rate > best) best = rate;
        }
    }
    lt_end(cx, scope);
    return best;
}
