/* What a step does to weights: one pass over weights, gradients and moments, a vector of each at a time. Adam is Kingma & Ba's (2015), its decay Loshchilov &
 * Hutter's (2019); Lion is Chen et al.'s (2023). The constants that are the same for all elements are made once, in double. */
#ifndef LATHE_KERNELS_UPDATE_H
#define LATHE_KERNELS_UPDATE_H

#include "kernels/cpu/back.h"

typedef struct adam_constants {
    vf b1, b2, c2, root, eps, inside, scale;
} adam_constants;

LT_INLINE adam_constants adam_begin(const lt_adam *h)
{
    return (adam_constants){.b1 = v_set((float)(1 - h->beta1)),
                            .b2 = v_set((float)h->beta2),
                            .c2 = v_set((float)(1 - h->beta2)),
                            .root = v_set((float)(1 / __builtin_sqrt(h->correct2))),
                            .eps = v_set((float)h->eps),
                            .inside = v_set((float)h->inside),
                            .scale = v_set((float)h->scale)};
}

/* Moves both moments; m over (sqrt(v + inside) · root + eps): Adam's direction but for the correction of m. */
LT_INLINE vf adam_ratio(const adam_constants *k, int64_t left, const float *g, float *m, float *v)
{
    const vf d = row_load(g, left) * k->scale, was = row_load(m, left), a = v_fma(d - was, k->b1, was), b = v_fma(d * d, k->c2, row_load(v, left) * k->b2);
    row_store(m, left, a);
    row_store(v, left, b);
    return a / v_fma(v_sqrt(b + k->inside), k->root, k->eps);
}

static void adam(int64_t n, const lt_adam *h, void *w, const void *g, void *m, void *v)
{
    const adam_constants k = adam_begin(h);
    const vf keep = v_set((float)(1 - h->lr * h->decay)), step = v_set((float)(-h->lr / h->correct1));
    for (int64_t i = 0; i < n; i += LT_LANES) {
        const int64_t left = n - i;
        const vf u = adam_ratio(&k, left, (const float *)g + i, (float *)m + i, (float *)v + i);
        row_store((float *)w + i, left, v_fma(u, step, row_load((float *)w + i, left) * keep));
    }
}

static void adam_direction(int64_t n, const lt_adam *h, const void *w, void *g, void *m, void *v)
{
    const adam_constants k = adam_begin(h);
    const vf decay = v_set((float)h->decay), correct = v_set((float)(1 / h->correct1));
    for (int64_t i = 0; i < n; i += LT_LANES) {
        const int64_t left = n - i;
        const vf u = adam_ratio(&k, left, (const float *)g + i, (float *)m + i, (float *)v + i);
        row_store((float *)g + i, left, v_fma(row_load((const float *)w + i, left), decay, u * correct));
    }
}

static void lion(int64_t n, const lt_adam *h, void *w, const void *g, void *m)
{
    const vf keep = v_set((float)(1 - h->lr * h->decay)), up = v_set((float)h->lr), c1 = v_set((float)(1 - h->beta1)), c2 = v_set((float)(1 - h->beta2));
    const vf scale = v_set((float)h->scale), zero = v_set(0.0f);
    for (int64_t i = 0; i < n; i += LT_LANES) {
        const int64_t left = n - i;
        const vf a = row_load((float *)m + i, left), apart = row_load((const float *)g + i, left) * scale - a, mean = v_fma(apart, c1, a);
        const vf move = v_select(mean > zero, up, v_select(mean < zero, -up, mean)); /* zero stays, and NaN is seen */
        row_store((float *)w + i, left, row_load((float *)w + i, left) * keep - move);
        row_store((float *)m + i, left, v_fma(apart, c2, a));
    }
}

#endif
