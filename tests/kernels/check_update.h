/* What a step does to weights, on every table, against the reference, with every detail: decay, corrections, epsilon inside and outside the root. */
#ifndef LATHE_TESTS_CHECK_UPDATE_H
#define LATHE_TESTS_CHECK_UPDATE_H

#include "kernels/check.h"

typedef enum { ADAM, ADAM_DIRECTION, LION, UPDATES } update_op;

static void run_update(const lt_kernels *kn, update_op op, int64_t n, const lt_adam *h, buffer *b) /* weights, gradient, moments */
{
    if (op == ADAM) kn->adam(n, h, b[0].data, b[1].data, b[2].data, b[3].data);
    if (op == ADAM_DIRECTION) kn->adam_direction(n, h, b[0].data, b[1].data, b[2].data, b[3].data);
    if (op == LION) kn->lion(n, h, b[0].data, b[1].data, b[2].data);
}

/* Each element takes some ten roundings. A direction is a quotient of numbers of about the same size. Where Lion's mean is within rounding of
 * zero its sign is anyone's: such gradients are drawn anew. */
static void test_updates(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 300; round++) {
        const update_op op = (update_op)(round % UPDATES);
        const char *name = (const char *[]){"adam", "adam_direction", "lion"}[op];
        const int64_t n = odd_size(0, 200);
        const lt_adam h = {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.99, .eps = between(0, 1) ? 1e-3 : 0, .inside = 1e-4, .decay = between(0, 1) ? 0.3 : 0,
                           .correct1 = between(0, 1) ? 1 : 0.19, .correct2 = between(0, 1) ? 1 : 0.02, .scale = between(0, 1) ? 1 : 0.5};
        buffer got[4], want[4];
        for (int k = 0; k < 4; k++) got[k] = buffer_random(1, n, 0, PLAIN), want[k] = buffer_new(1, n, 0);
        for (int64_t i = 0; i < n; i++) {
            got[3].data[i] = fabsf(got[3].data[i]);
            if (fabsf(0.9f * got[2].data[i] + 0.1f * (float)h.scale * got[1].data[i]) < 1e-5f) got[1].data[i] = 1, got[2].data[i] = 1;
        }
        for (int k = 0; k < 4; k++) memcpy(want[k].data, got[k].data, (size_t)n * sizeof(float));
        run_update(kn, op, n, &h, got);
        run_update(reference(), op, n, &h, want);
        for (int k = 0; k < 4; k++) {
            buffer_check(&got[k], kn, name);
            expect_buffers_near(kn, name, &got[k], &want[k], 2e-6, 2e-6);
            buffer_free(&got[k]), buffer_free(&want[k]);
        }
    }
}

#endif
