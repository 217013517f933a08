/* Times products with block-sparse weights against the dense product of the same type, one after the other, inputs coded and, for the sparse
 * ones, turned beforehand (a model does that once for all that read them); what turning costs is told apart. */
#ifndef LATHE_TESTS_BENCH_SPARSE_H
#define LATHE_TESTS_BENCH_SPARSE_H

#include "kernels/bench.h"

typedef struct thin_timed {
    timed t; /* the dense product; first, so that one is the other */
    const lt_sparse *sparse;
    const void *packed;
} thin_timed;

static void run_thin(const timed *t)
{
    const thin_timed *s = (const thin_timed *)(const void *)t;
    s->sparse->gemm(t->m, t->n, t->k, &t->rows, 0, s->packed, 0, t->c, t->n, &t->e);
}

static void run_turn(const timed *t) { ((const thin_timed *)(const void *)t)->sparse->turn(0, t->m, t->k, &t->rows); }

static void empty_blocks(float *w, int64_t n, int64_t k, int percent)
{
    for (int64_t j = 0; j < n; j += LT_SPARSE_BLOCK)
        for (int64_t i = 0; i < k; i++)
            for (int64_t r = between(1, 100) <= percent ? 0 : LT_SPARSE_BLOCK; r < LT_SPARSE_BLOCK; r++) w[(j + r) * k + i] = 0.0f;
}

static void bench_sparse_shape(const lt_kernels *kn, lt_sparse_id id, int64_t n, int64_t k, int64_t m)
{
    static const int percents[] = {0, 50, 70, 80, 90};
    static const char *const names[] = {"f32", "int8", "bf16"};
    static const lt_product_id dense_id[] = {LT_PRODUCTS, LT_PRODUCT_INT8, LT_PRODUCT_BF16};
    const bool codes = id == LT_SPARSE_INT8;
    thin_timed s = {.t = operands_new(kn, dense_id[id], n, k, m, 1), .sparse = kn->sparse[id]};
    s.t.rows.rows = m;
    s.t.rows.panels = numbers((int64_t)s.sparse->turned_bytes(m, k) / 4);
    const double turning = best_seconds(run_turn, &s.t);
    run_turn(&s.t);
    float *w = numbers(n * k), *scale = numbers(n);
    int8_t *q = (int8_t *)numbers(n * k);
    printf("%5s %4lldx%4lldx%3lld, turning %5.1f us:", names[id], (long long)n, (long long)k, (long long)m, turning * 1e6);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        for (int64_t j = 0; j < n * k; j++) w[j] = uniform();
        empty_blocks(w, n, k, percents[i]);
        if (codes) lt_quantize_int8(n, k, w, q, scale);
        const void *from = codes ? (const void *)q : w;
        void *packed = aligned_alloc(64, (s.sparse->packed_bytes(n, k, from) + 63) / 64 * 64);
        assert_non_null(packed);
        s.sparse->pack(n, k, from, scale, packed);
        s.packed = packed;
        const double dense = best_seconds(id == LT_SPARSE_F32 ? run_gemm : run_few, &s.t), sparse = best_seconds(run_thin, &s.t);
        printf("  %d%%: %.1f us, x %.2f", percents[i], sparse * 1e6, dense / sparse);
        fflush(stdout);
        free(packed);
    }
    printf("\n");
    free(w), free(scale), free(q), free(s.t.rows.panels), operands_free(&s.t);
}

static void bench_sparse_of(const lt_kernels *kn)
{
    static const int64_t shapes[][3] = {{768, 768, 128}, {768, 3072, 128}, {3072, 768, 384}, {768, 768, 16}};
    printf("== %s: block-sparse products, outputs x inputs x tokens, and how many times faster than dense\n", kn->isa);
    for (int id = 0; id < LT_SPARSES; id++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) bench_sparse_shape(kn, (lt_sparse_id)id, shapes[i][0], shapes[i][1], shapes[i][2]);
}

static int bench_sparse(const char *only)
{
    for (int i = 0; i < lt_kernels_count(); i++)
        if (only ? strcmp(lt_kernels_at(i)->isa, only) == 0 : i > 0) bench_sparse_of(lt_kernels_at(i));
    return 0;
}

#endif
