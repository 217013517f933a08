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
    int64_t m, n, k, bytes, copies; /* bytes: of packed weights, of which there are some copies */
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

/* Weights packed, `copies` times, `rows` rows of inputs, coded where the product reads codes, and room for results. id LT_PRODUCTS: f32. */
static timed operands_new(const lt_kernels *kn, int id, int64_t n, int64_t k, int64_t rows, int64_t copies)
{
    const lt_product *few = id < LT_PRODUCTS ? kn->product[id] : NULL;
    const size_t bytes = few ? lt_product_bytes(kn, (lt_product_id)id, n, k) : lt_packed_bytes(kn, n, k);
    float *w = numbers(n * k), *scale = numbers(n * k), *p = numbers((int64_t)bytes / 4 * copies);
    void *codes = numbers(n * k);
    if (id == LT_PRODUCT_INT8) lt_quantize_int8(n, k, w, codes, scale);
    if (id == LT_PRODUCT_INT4) lt_quantize_int4(n, k, w, codes, scale);
    if (few)
        few->pack(n, k, id == LT_PRODUCT_BF16 ? w : codes, scale, p);
    else
        kn->pack(n, k, w, k, 1, p);
    for (int64_t i = 1; i < copies; i++) memcpy((char *)p + (size_t)i * bytes, p, bytes);
    timed t = {.kn = kn, .few = few, .bytes = (int64_t)bytes, .copies = copies, .m = rows, .n = n, .k = k, .a = numbers(rows * k), .b = p, .c = numbers(rows * n)};
    t.rows = (lt_coded_rows){.data = t.a, .stride = k * 4};
    if (few && few->row_bytes) {
        t.rows = (lt_coded_rows){.data = numbers(rows * few->row_bytes(k) / 4), .stride = few->row_bytes(k), .code = (lt_code *)numbers(rows * 8),
                                   .outlier = (lt_outlier *)numbers(rows * k * 2)};
        run_coding(&t);
    }
    free(w), free(codes), free(scale);
    return t;
}

static void operands_free(timed *t)
{
    if (t->rows.data != t->a) free(t->rows.data), free(t->rows.code), free(t->rows.outlier);
    free(t->a), free(t->b), free(t->c);
}

/* Row counts across. */
static const int64_t row_counts[] = {1, 2, 4, 8, 12, 16, 32, 64, 128, 512};

static void print_row_counts(void)
{
    printf("%12s", "n, k \\ m");
    for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) printf("%12lld", (long long)row_counts[i]);
}

static void print_rates(void (*run)(const timed *), timed t, double top)
{
    printf("%6lld,%5lld", (long long)t.n, (long long)t.k);
    for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
        t.m = row_counts[i];
        double rate = 2.0 * (double)(t.m * t.n * t.k) / best_seconds(run, &t);
        printf("%7.1f %3.0f%%", rate * 1e-9, 100 * rate / top);
        fflush(stdout);
    }
}

static void bench_product(const lt_kernels *kn, lt_product_id id, double f32_top)
{
    static const char *const names[] = {"bf16", "int8", "int4"};
    static const int64_t shapes[][2] = {{384, 384}, {1536, 384}, {384, 1536}, {768, 768}, {3072, 768}, {1024, 1024}};
    const lt_product *few = kn->product[id];
    const double own = peak_few(few), top = own ? own : f32_top;
    printf("%s (%s): peak %.1f GOP/s\n", names[id], few->name, top * 1e-9);
    print_row_counts();
    printf("  coding of 128 rows, elements/ns\n");
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        timed t = operands_new(kn, id, shapes[s][0], shapes[s][1], 512, 1);
        print_rates(run_few, t, top);
        t.m = 128;
        if (few->row_bytes) printf("  %.2f", 128e-9 * (double)t.k / best_seconds(run_coding, &t));
        t.bf16 = true;
        if (few->row_bytes) printf(", of bf16 %.2f", 128e-9 * (double)t.k / best_seconds(run_coding, &t));
        printf("\n");
        operands_free(&t);
    }
}

static void run_gemm(const timed *t) { t->kn->gemm(t->m, t->n, t->k, t->a, t->k, t->b, t->c, t->n, &t->e); }

static void bench_gemm(const lt_kernels *kn, double top)
{
    static const int64_t shapes[][2] = {{384, 384}, {1536, 384}, {384, 1536}, {768, 768}, {3072, 768}, {768, 3072}, {1024, 1024}};
    printf("gemm: GFLOP/s (%% of peak)\n");
    print_row_counts();
    printf("\n");
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        timed t = operands_new(kn, LT_PRODUCTS, shapes[s][0], shapes[s][1], 512, 1);
        print_rates(run_gemm, t, top);
        printf("\n");
        operands_free(&t);
    }
}

/* ---- few rows ----------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define EIGHT_LOADS(op, size, reg)                                                                                                 \
    op " 0*" size "(%0), " reg "0\n" op " 1*" size "(%0), " reg "1\n" op " 2*" size "(%0), " reg "2\n" op " 3*" size               \
       "(%0), " reg "3\n" op " 4*" size "(%0), " reg "4\n" op " 5*" size "(%0), " reg "5\n" op " 6*" size "(%0), " reg             \
       "6\n" op " 7*" size "(%0), " reg "7\n"
#endif

/* Loads 512 bytes, as wide as the table does. */
static inline void read_512(const lt_kernels *kn, const char *p)
{
#if defined(__x86_64__)
    if (strncmp(kn->isa, "avx512", 6) == 0 || strcmp(kn->isa, "amx") == 0)
        __asm__ volatile(EIGHT_LOADS("vmovups", "64", "%%zmm") ::"r"(p) : CLOBBERS);
    else if (strncmp(kn->isa, "avx", 3) == 0)
        for (int i = 0; i < 512; i += 256) __asm__ volatile(EIGHT_LOADS("vmovups", "32", "%%ymm") ::"r"(p + i) : CLOBBERS);
    else
        for (int i = 0; i < 512; i += 128) __asm__ volatile(EIGHT_LOADS("movups", "16", "%%xmm") ::"r"(p + i) : CLOBBERS);
#elif defined(__aarch64__)
    for (int i = 0; i < 512; i += 64) __asm__ volatile("ld1 {v0.4s-v3.4s}, [%0]" ::"r"(p + i) : CLOBBERS);
#else
    for (int i = 0; i < 512; i += 8) (void)*(const volatile double *)(p + i);
#endif
}

/* Reads all weights as t->op says: as one stream, as four, or as one that is asked for a page before. */
enum { READ_PLAIN, READ_FOUR, READ_AHEAD, READS };
static void run_read(const timed *t)
{
    const int64_t quarter = t->bytes * t->copies / 2048 * 512;
    const char *p = (const char *)t->b;
    for (int64_t i = 0; i < 4 * quarter; i += 512) {
        for (int l = 0; t->op == READ_AHEAD && l < 512; l += 64) __builtin_prefetch(p + i + 4096 + l, 0, 2);
        read_512(t->kn, t->op == READ_FOUR ? p + i / 512 % 4 * quarter + i / 2048 * 512 : p + i);
    }
}

static void run_copies(const timed *t)
{
    timed one = *t;
    for (int64_t i = 0; i < t->copies; i++, one.b = (float *)((char *)t->b + (size_t)i * (size_t)t->bytes)) t->few ? run_few(&one) : run_gemm(&one);
}

/* Products of few rows read weights and do little else: bytes of weights a nanosecond, and the share of what the best of three loops
 * that only read them reaches. The largest shape is there so many times that no cache holds them. */
static void bench_few_rows(const lt_kernels *kn)
{
    enum { COLD_BYTES = 192 << 20 };
    static const char *const names[] = {"bf16", "int8", "int4", "f32"};
    static const int64_t shapes[][2] = {{384, 1536}, {768, 3072}, {4096, 4096}}, rows[] = {1, 2, 4};
    printf("few rows: GB/s of weights (%% of reading them alone)\n");
    for (int id = LT_PRODUCTS; id >= 0; id--)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            const int64_t n = shapes[s][0], k = shapes[s][1], one = id < LT_PRODUCTS ? (int64_t)lt_product_bytes(kn, (lt_product_id)id, n, k) : n * k * 4;
            timed t = operands_new(kn, id, n, k, 4, s == 2 ? COLD_BYTES / one + 1 : 1);
            const double bytes = (double)(t.bytes * t.copies);
            double least = 1e9;
            for (t.op = 0; t.op < READS; t.op++) {
                double took = best_seconds(run_read, &t);
                if (took < least) least = took;
            }
            printf("%6s %5lld,%5lld: reading %6.1f", names[id], (long long)n, (long long)k, bytes / least * 1e-9);
            for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                t.m = rows[i];
                double took = best_seconds(run_copies, &t);
                printf("   m = %lld: %6.1f %3.0f%%", (long long)rows[i], bytes / took * 1e-9, 100 * least / took);
                fflush(stdout);
            }
            printf("\n");
            operands_free(&t);
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
        bench_few_rows(kn);
        bench_epilogue(kn, top);
        for (int id = 0; id < LT_PRODUCTS; id++) bench_product(kn, (lt_product_id)id, top);
        bench_attend(kn, top, false);
        if (kn->attend_bf16) bench_attend(kn, peak_few(kn->product[LT_PRODUCT_BF16]), true);
        bench_rows(kn);
    }
    return 0;
}

#endif
