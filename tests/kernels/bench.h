/* Times every operation of every table, best of many short runs in this thread's processor time (other work on the machine then
 * matters little), in GFLOP/s and as a share of what a loop of nothing but multiply-adds reaches with the same registers. */
#ifndef LATHE_TESTS_BENCH_H
#define LATHE_TESTS_BENCH_H

#include "kernels/check.h"

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the peak ---------------------------------------------------------------------------------------------------- */

/* Twelve independent chains: enough for two units of latency 5. Assembly, because this file is compiled for the baseline. */
#define TWELVE(a, b)                                                                                                               \
    a "0" b "\n" a "1" b "\n" a "2" b "\n" a "3" b "\n" a "4" b "\n" a "5" b "\n" a "6" b "\n" a "7" b "\n" a "8" b "\n" a "9" b   \
      "\n" a "10" b "\n" a "11" b "\n"
#if defined(__x86_64__)
#define CLOBBERS "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm13", "xmm14"
#elif defined(__aarch64__)
#define CLOBBERS "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v30", "v31"
#endif

static double peak_flops(const lt_kernels *kn, int64_t rounds) /* runs that many rounds; how many operations that was */
{
#if defined(__x86_64__)
    if (strncmp(kn->isa, "avx512", 6) == 0) {
        for (int64_t i = 0; i < rounds; i++) __asm__ volatile(TWELVE("vfmadd231ps %%zmm13, %%zmm14, %%zmm", "")::: CLOBBERS);
        return (double)rounds * 12 * 16 * 2;
    }
    if (strncmp(kn->isa, "avx", 3) == 0) {
        for (int64_t i = 0; i < rounds; i++) __asm__ volatile(TWELVE("vfmadd231ps %%ymm13, %%ymm14, %%ymm", "")::: CLOBBERS);
        return (double)rounds * 12 * 8 * 2;
    }
    for (int64_t i = 0; i < rounds; i++)
        __asm__ volatile(TWELVE("mulps %%xmm13, %%xmm", "") TWELVE("addps %%xmm13, %%xmm", "")::: CLOBBERS);
    return (double)rounds * 12 * 4 * 2;
#elif defined(__aarch64__)
    for (int64_t i = 0; i < rounds; i++) __asm__ volatile(TWELVE("fmla v", ".4s, v30.4s, v31.4s")::: CLOBBERS);
    return (double)rounds * 12 * 4 * 2;
#else
    return 0;
#endif
}

/* The same for what multiplies weights of fewer bits; 0 where that is f32 arithmetic. */
static double peak_few_ops(const char *unit, int64_t rounds)
{
#if defined(__x86_64__)
    if (strcmp(unit, "avx512-vnni") == 0) {
        for (int64_t i = 0; i < rounds; i++) __asm__ volatile(TWELVE("vpdpbusd %%zmm13, %%zmm14, %%zmm", "")::: CLOBBERS);
        return (double)rounds * 12 * 64 * 2;
    }
    if (strcmp(unit, "avx-vnni") == 0) {
        for (int64_t i = 0; i < rounds; i++) __asm__ volatile(TWELVE("%{vex%} vpdpbusd %%ymm13, %%ymm14, %%ymm", "")::: CLOBBERS);
        return (double)rounds * 12 * 32 * 2;
    }
    if (strcmp(unit, "avx512-bf16") == 0) {
        for (int64_t i = 0; i < rounds; i++) __asm__ volatile(TWELVE("vdpbf16ps %%zmm13, %%zmm14, %%zmm", "")::: CLOBBERS);
        return (double)rounds * 12 * 32 * 2;
    }
#endif
    return 0;
}

static double peak_few(const lt_product *p)
{
    double best = 0;
    for (int i = 0; i < 20; i++) {
        double t = cpu_seconds(), ops = peak_few_ops(p->name, 300000), rate = ops / (cpu_seconds() - t);
        if (rate > best) best = rate;
    }
    return best;
}

static double peak(const lt_kernels *kn)
{
    double best = 0;
#if defined(__x86_64__)
    __asm__ volatile("xorps %%xmm13, %%xmm13\nxorps %%xmm14, %%xmm14\n" ::: "xmm13", "xmm14");
#endif
    for (int i = 0; i < 20; i++) {
        double t = cpu_seconds(), flops = peak_flops(kn, 300000), rate = flops / (cpu_seconds() - t);
        if (rate > best) best = rate;
    }
    return best;
}

/* ---- timing ------------------------------------------------------------------------------------------------------ */

typedef struct timed { /* one thing to time */
    const lt_kernels *kn;
    int64_t m, n, k;
    lt_gemm_epilogue e;
    lt_attend_args attend;
    float *a, *b, *c;
    int op;
    const lt_product *few;
    lt_coded_rows rows;
    bool bf16;
} timed;

static double best_seconds(void (*run)(const timed *), const timed *t)
{
    double best = 1e9, total = 0;
    int64_t repeat = 1;
    for (;; repeat *= 2) { /* a run lasts 1 ms at least */
        double s = cpu_seconds();
        for (int64_t i = 0; i < repeat; i++) run(t);
        if (cpu_seconds() - s > 1e-3) break;
    }
    for (int i = 0; i < 200 && total < 0.15; i++) {
        double s = cpu_seconds();
        for (int64_t r = 0; r < repeat; r++) run(t);
        s = cpu_seconds() - s;
        total += s;
        if (s / (double)repeat < best) best = s / (double)repeat;
    }
    return best;
}

static float *numbers(int64_t n)
{
    float *p = aligned_alloc(64, (size_t)(n * 4 + 127) / 64 * 64);
    assert_non_null(p);
    for (int64_t i = 0; i < n; i++) p[i] = uniform();
    return p;
}

static void run_few(const timed *t) { t->few->gemm(t->m, t->n, t->k, &t->rows, 0, t->b, t->c, t->n, &t->e); }
static void run_coding(const timed *t)
{
    lt_coded_rows to = t->rows;
    t->few->encode(t->m, t->k, t->a, t->bf16, t->k, &(lt_coding){.threshold = 6}, &to);
}

static void bench_product(const lt_kernels *kn, lt_product_id id, double f32_top)
{
    static const char *const names[] = {"bf16", "int8", "int4"};
    static const int64_t shapes[][2] = {{384, 384}, {1536, 384}, {384, 1536}, {768, 768}, {3072, 768}, {1024, 1024}};
    static const int64_t rows[] = {1, 2, 4, 8, 12, 16, 32, 64, 128, 512};
    const lt_product *few = kn->product[id];
    const double own = peak_few(few), top = own ? own : f32_top;
    printf("%s (%s): peak %.1f GOP/s\n%12s", names[id], few->name, top * 1e-9, "n, k \\ m");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) printf("%12lld", (long long)rows[i]);
    printf("  coding of 128 rows, elements/ns\n");
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int64_t n = shapes[s][0], k = shapes[s][1];
        float *w = numbers(n * k), *a = numbers(512 * k), *c = numbers(512 * n), *scale = numbers(n * k);
        void *codes = numbers(n * k), *p = numbers((int64_t)lt_product_bytes(kn, id, n, k) / 4);
        if (id == LT_PRODUCT_INT8) lt_quantize_int8(n, k, w, codes, scale);
        if (id == LT_PRODUCT_INT4) lt_quantize_int4(n, k, w, codes, scale);
        few->pack(n, k, id == LT_PRODUCT_BF16 ? w : codes, scale, p);
        timed t = {.kn = kn, .few = few, .m = 512, .n = n, .k = k, .a = a, .b = p, .c = c, .rows = {.data = a, .stride = k * 4}};
        if (few->row_bytes) {
            t.rows = (lt_coded_rows){.data = numbers(512 * few->row_bytes(k) / 4), .stride = few->row_bytes(k), .code = (lt_code *)numbers(512 * 8),
                               .outlier = (lt_outlier *)numbers(512 * k * 2)};
            run_coding(&t);
        }
        printf("%6lld,%5lld", (long long)n, (long long)k);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            t.m = rows[i];
            double rate = 2.0 * (double)(rows[i] * n * k) / best_seconds(run_few, &t);
            printf("%7.1f %3.0f%%", rate * 1e-9, 100 * rate / top);
            fflush(stdout);
        }
        if (few->row_bytes) {
            t.m = 128;
            printf("  %.2f", 128e-9 * (double)k / best_seconds(run_coding, &t));
            t.bf16 = true;
            printf(", of bf16 %.2f", 128e-9 * (double)k / best_seconds(run_coding, &t));
            free(t.rows.data), free(t.rows.code), free(t.rows.outlier);
        }
        printf("\n");
        free(w), free(p), free(a), free(c), free(codes), free(scale);
    }
}

static void run_gemm(const timed *t) { t->kn->gemm(t->m, t->n, t->k, t->a, t->k, t->b, t->c, t->n, &t->e); }

static void bench_gemm(const lt_kernels *kn, double top)
{
    static const int64_t shapes[][2] = {{384, 384}, {1536, 384}, {384, 1536}, {768, 768}, {3072, 768}, {768, 3072}, {1024, 1024}};
    static const int64_t rows[] = {1, 2, 4, 8, 12, 16, 32, 64, 128, 512};
    printf("gemm: GFLOP/s (%% of peak)\n%12s", "n, k \\ m");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) printf("%12lld", (long long)rows[i]);
    printf("\n");
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int64_t n = shapes[s][0], k = shapes[s][1];
        float *w = numbers(n * k), *p = numbers((int64_t)lt_packed_bytes(kn, n, k) / 4), *a = numbers(512 * k),
              *c = numbers(512 * n);
        kn->pack(n, k, w, k, 1, p);
        printf("%6lld,%5lld", (long long)n, (long long)k);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            timed t = {.kn = kn, .m = rows[i], .n = n, .k = k, .a = a, .b = p, .c = c};
            double rate = 2.0 * (double)(rows[i] * n * k) / best_seconds(run_gemm, &t);
            printf("%7.1f %3.0f%%", rate * 1e-9, 100 * rate / top);
            fflush(stdout);
        }
        printf("\n");
        free(w), free(p), free(a), free(c);
    }
}

static void bench_epilogue(const lt_kernels *kn, double top)
{
    const int64_t m = 128, n = 1536, k = 384;
    float *p = numbers((int64_t)lt_packed_bytes(kn, n, k) / 4), *a = numbers(m * k), *c = numbers(m * n);
    timed t = {.kn = kn, .m = m, .n = n, .k = k, .a = a, .b = p, .c = c};
    t.e.bias = a;
    printf("gemm 128 x 1536 x 384 with bias and activation 0 … %d:", LT_ACT_COUNT - 1);
    for (int act = 0; act < LT_ACT_COUNT; act++) {
        t.e.act = (lt_act)act;
        printf(" %.0f%%", 100 * 2.0 * (double)(m * n * k) / best_seconds(run_gemm, &t) / top);
    }
    printf("\n");
    free(p), free(a), free(c);
}

static void run_attend(const timed *t)
{
    for (int64_t q = 0; q < t->m; q += t->kn->attend_block)
        (t->bf16 ? t->kn->attend_bf16 : t->kn->attend)(&t->attend, q, t->m - q < t->kn->attend_block ? t->m - q : t->kn->attend_block, t->c);
}

/* Heads as they lie in a [tokens, 3 · 384] projection. */
static void bench_attend(const lt_kernels *kn, double top, bool bf16)
{
    static const int64_t dims[] = {32, 64, 80, 128}, lengths[] = {16, 32, 64, 128, 256, 512, 2048};
    printf("attention of one head in %s: GFLOP/s (%% of peak)\n%12s", bf16 ? "bf16" : "f32", "dim \\ n");
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) printf("%12lld", (long long)lengths[i]);
    printf("%20s\n", "512 causal");
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        printf("%12lld", (long long)dims[d]);
        for (size_t i = 0; i <= sizeof lengths / sizeof *lengths; i++) {
            const bool causal = i == sizeof lengths / sizeof *lengths;
            const int64_t n = causal ? 512 : lengths[i], stride = 1152, dim = dims[d];
            float *qkv = numbers(n * stride), *out = numbers(n * 384);
            float *scratch = numbers((int64_t)(bf16 ? kn->attend_bf16_scratch : kn->attend_scratch)(n, dim, dim) / 4 + 1);
            timed t = {.kn = kn, .m = n, .c = scratch, .bf16 = bf16};
            if (bf16) lt_f32_to_bf16(n * stride, qkv, qkv);
            const size_t elem = bf16 ? 2 : 4;
            t.attend = (lt_attend_args){.q = qkv,
                                        .k = (char *)qkv + 384 * elem,
                                        .v = (char *)qkv + 768 * elem,
                                        .out = out,
                                        .q_stride = stride,
                                        .k_stride = stride,
                                        .v_stride = stride,
                                        .out_stride = 384,
                                        .nk = n,
                                        .dim = dim,
                                        .value_dim = dim,
                                        .scale = 0.1,
                                        .nq_total = n,
                                        .causal = causal};
            double rate = 4.0 * (double)(n * n * dim) / best_seconds(run_attend, &t) / (causal ? 2 : 1);
            printf(causal ? "%15.1f %3.0f%%\n" : "%7.1f %3.0f%%", rate * 1e-9, 100 * rate / top);
            free(qkv), free(out), free(scratch);
        }
    }
}

enum { B_ADD, B_MUL, B_SCALE, B_ADD_ROW, B_LAYER_NORM, B_RMS_NORM, B_SOFTMAX, B_L2, B_COL_SUM, B_COL_MAX, B_PACK, B_ACTS };

static void run_rows_op(const timed *t)
{
    const lt_kernels *kn = t->kn;
    const int64_t m = t->m, n = t->n;
    switch (t->op) {
    case B_ADD:
        kn->add(m * n, t->a, t->b, t->c);
        break;
    case B_MUL:
        kn->mul(m * n, t->a, t->b, t->c);
        break;
    case B_SCALE:
        kn->scale(m * n, 0.5, t->a, t->c);
        break;
    case B_ADD_ROW:
        kn->add_row(m, n, t->a, t->b, t->c);
        break;
    case B_LAYER_NORM:
        kn->layer_norm(m, n, t->a, t->b, t->b, 1e-12, t->c);
        break;
    case B_RMS_NORM:
        kn->rms_norm(m, n, t->a, t->b, 1e-12, t->c);
        break;
    case B_SOFTMAX:
        kn->softmax(m, n, t->a, t->c);
        break;
    case B_L2:
        kn->l2_normalize(m, n, t->a, 1e-12, t->c);
        break;
    case B_COL_SUM:
        kn->col_sum(m, n, t->a, n, t->c);
        break;
    case B_COL_MAX:
        kn->col_max(m, n, t->a, n, t->c);
        break;
    case B_PACK:
        kn->pack(n, m, t->a, m, 1, t->c);
        break;
    default:
        kn->act((lt_act)(t->op - B_ACTS), m * n, t->a, t->c);
    }
}

static void bench_rows(const lt_kernels *kn)
{
    static const char *const name[] = {"add",          "mul",        "scale",   "add_row", "layer_norm", "rms_norm", "softmax",
                                       "l2_normalize", "col_sum",    "col_max", "pack",    "none",       "relu",     "gelu",
                                       "gelu_tanh",    "quick_gelu", "silu",    "mish",    "tanh",       "sigmoid",  "relu2"};
    const int64_t m = 16, n = 384;
    float *a = numbers(m * n), *b = numbers(m * n), *c = numbers(2 * m * n);
    printf("16 x 384 elements in cache, elements/ns:");
    for (int op = 0; op < B_ACTS + LT_ACT_COUNT; op++) {
        timed t = {.kn = kn, .m = m, .n = n, .a = a, .b = b, .c = c, .op = op};
        printf("%s %s %.2f", op % 7 ? "," : "\n ", name[op], (double)(m * n) / best_seconds(run_rows_op, &t) * 1e-9);
    }
    printf("\n");
    free(a), free(b), free(c);
}

/* `only`: the table to time; NULL: all but the reference. */
static int bench(const char *only)
{
    for (int i = 0; i < lt_kernels_count(); i++) {
        const lt_kernels *kn = lt_kernels_at(i);
        if (only ? strcmp(kn->isa, only) != 0 : i == 0) continue;
        const double top = peak(kn);
        printf("== %s: peak %.1f GFLOP/s, %d columns a panel\n", kn->isa, top * 1e-9, kn->nr);
        bench_gemm(kn, top);
        bench_epilogue(kn, top);
        for (int id = 0; id < LT_PRODUCTS; id++) bench_product(kn, (lt_product_id)id, top);
        bench_attend(kn, top, false);
        if (kn->attend_bf16) bench_attend(kn, peak_few(kn->product[LT_PRODUCT_BF16]), true);
        bench_rows(kn);
    }
    return 0;
}

#endif
