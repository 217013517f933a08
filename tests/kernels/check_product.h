/* Products with weights of fewer bits, and attention in bf16. int8 promises the reference's bits, codes and results (on tables that fuse);
 * bf16 and int4 are held against sums in double of exactly the operands that they read. */
#ifndef LATHE_TESTS_CHECK_PRODUCT_H
#define LATHE_TESTS_CHECK_PRODUCT_H

#include "kernels/check_attend.h"

typedef struct coded { /* rows in a product's form, between guards */
    lt_coded_rows rows;
    unsigned char *block;
    size_t size;
} coded;

static void *guarded(size_t size)
{
    unsigned char *p = aligned_alloc(64, (size + 191) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xa5, (size + 191) / 64 * 64);
    return p;
}

static void expect_guard(const lt_kernels *kn, const char *op, const void *p, size_t size)
{
    for (const unsigned char *end = (const unsigned char *)p + size, *q = end; q < end + 64; q++)
        if (*q != 0xa5) fail_msg("%s %s: wrote past its end (seed %llu)", kn->isa, op, (unsigned long long)seed);
}

static coded coded_new(const lt_kernels *kn, lt_product_id id, int64_t rows, int64_t k, const void *x, bool bf16, int64_t stride, const lt_coding *how)
{
    const lt_product *p = kn->product[id];
    coded c = {.rows = {.data = (void *)x, .stride = stride * 4}};
    if (!p->row_bytes) return c;
    assert_true(p->row_bytes(k) % 64 == 0);
    c.rows.stride = p->row_bytes(k);
    c.size = (size_t)(rows * c.rows.stride);
    c.rows.data = c.block = guarded(c.size);
    c.rows.code = guarded((size_t)rows * sizeof *c.rows.code);
    c.rows.outlier = guarded((size_t)(rows * k) * sizeof *c.rows.outlier);
    p->encode(rows, k, x, bf16, stride, how, &c.rows);
    expect_guard(kn, "encode", c.block, c.size);
    expect_guard(kn, "encode", c.rows.code, (size_t)rows * sizeof *c.rows.code);
    expect_guard(kn, "encode", c.rows.outlier, (size_t)(rows * k) * sizeof *c.rows.outlier);
    return c;
}

static void coded_free(coded *c)
{
    if (c->block) free(c->rows.outlier), free(c->rows.code), free(c->block);
}

/* What stands turned gives the same bytes. */
static void check_turned(const lt_kernels *kn, const lt_product *p, int64_t rows, int64_t k, const buffer *x)
{
    static const lt_coding plain;
    const int64_t stride = rows + between(0, 9);
    const size_t size = (size_t)(rows * p->row_bytes(k)), bytes = lt_product_bytes(kn, LT_PRODUCT_BF16, rows, k);
    float *turned = calloc((size_t)(stride * k + 1), sizeof *turned), *packable = calloc((size_t)(rows * k + 1), sizeof *packable);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < k; i++) turned[i * stride + r] = packable[r * k + i] = x->data[r * x->stride + i];
    lt_coded_rows want = {.data = guarded(size), .stride = p->row_bytes(k)}, got = {.data = guarded(size), .stride = p->row_bytes(k)};
    char *packed = guarded(bytes), *packed_turned = guarded(bytes);
    p->encode(rows, k, x->data, false, x->stride, &plain, &want);
    p->encode_turned(rows, k, turned, stride, &got);
    p->pack(rows, k, packable, NULL, packed);
    p->pack_turned(rows, k, turned, stride, packed_turned);
    expect_guard(kn, "encode_turned", got.data, size);
    expect_guard(kn, "pack_turned", packed_turned, bytes);
    assert_memory_equal(got.data, want.data, size);
    assert_memory_equal(packed_turned, packed, bytes);
    free(turned), free(packable), free(want.data), free(got.data), free(packed), free(packed_turned);
}

typedef struct few { /* a problem: weights as codes, inputs, what follows */
    int64_t m, n, k;
    buffer w, x, bias, residual;
    uint16_t *x16; /* the inputs in bf16, rows x.stride apart; NULL: they are f32 */
    void *codes;
    float *scale;
    float *multiply;
    lt_coding how;
    lt_gemm_epilogue e;
} few;

static float bf16_of(float x)
{
    uint16_t h;
    float y;
    lt_f32_to_bf16(1, &x, &h);
    lt_bf16_to_f32(1, &h, &y);
    return y;
}

static few few_new(lt_product_id id, data_kind kind)
{
    few f = {.m = odd_size(0, 40), .n = odd_size(1, 140), .k = odd_size(1, 300)};
    f.w = buffer_random(1, f.n * f.k, 0, PLAIN);
    f.x = buffer_random(f.m, f.k, between(0, 9), kind);
    f.bias = buffer_random(1, f.n, 0, PLAIN);
    f.residual = buffer_random(f.m, f.n, between(0, 9), PLAIN);
    f.codes = calloc((size_t)(f.n * f.k), 1);
    f.scale = calloc((size_t)(f.n * f.k), sizeof *f.scale);
    if (id == LT_PRODUCT_INT8) lt_quantize_int8(f.n, f.k, f.w.data, f.codes, f.scale);
    if (id == LT_PRODUCT_INT4) lt_quantize_int4(f.n, f.k, f.w.data, f.codes, f.scale);
    if (between(0, 1)) {
        f.x16 = calloc((size_t)(f.x.size), sizeof *f.x16);
        for (int64_t i = 0; i < f.m * f.x.stride; i++) lt_f32_to_bf16(1, f.x.data + i, f.x16 + i);
        lt_bf16_to_f32(f.m * f.x.stride, f.x16, f.x.data); /* so that both hold the same numbers */
    }
    if (id == LT_PRODUCT_INT8) {
        static const float thresholds[] = {0, 0, 0.9f, 0.5f, 1e-30f, 3e38f};
        f.how = (lt_coding){.threshold = thresholds[between(0, 5)], .symmetric = between(0, 1)};
        f.multiply = calloc((size_t)f.k, sizeof *f.multiply);
        for (int64_t i = 0; i < f.k; i++) f.multiply[i] = 1.0f + uniform() / 2;
        if (between(0, 1)) f.how.multiply = f.multiply;
    }
    if (between(0, 1)) f.e.bias = f.bias.data;
    if (between(0, 1)) f.e.residual = f.residual.data, f.e.residual_stride = f.residual.stride;
    return f;
}

static void few_free(few *f)
{
    buffer_free(&f->w), buffer_free(&f->x), buffer_free(&f->bias), buffer_free(&f->residual);
    free(f->x16), free(f->codes), free(f->scale), free(f->multiply);
}

/* Rows first … of the result, columns from panel `panel` on. */
static void few_run(const lt_kernels *kn, lt_product_id id, const few *f, int64_t first, int64_t rows, int64_t panel, int64_t cols, buffer *c)
{
    const lt_product *p = kn->product[id];
    const int64_t j = panel * kn->nr;
    const bool plain = !p->row_bytes; /* reads f32 alone */
    coded x = coded_new(kn, id, f->m, f->k, f->x16 && !plain ? (void *)f->x16 : f->x.data, f->x16 && !plain, f->x.stride, &f->how);
    size_t bytes = lt_product_bytes(kn, id, f->n, f->k);
    char *packed = guarded(bytes);
    p->pack(f->n, f->k, id == LT_PRODUCT_BF16 ? f->w.data : f->codes, f->scale, packed);
    expect_guard(kn, "pack", packed, bytes);
    lt_gemm_epilogue e = f->e;
    if (e.bias) e.bias = (const float *)e.bias + j;
    if (e.residual) e.residual = (const float *)e.residual + first * e.residual_stride + j;
    if (!e.to_bf16) {
        p->gemm(rows, cols, f->k, &x.rows, first, packed + (size_t)panel * p->panel_bytes(f->k), c->data, c->stride, &e);
    } else { /* bf16 results, shown as floats */
        uint16_t *h = guarded((size_t)(rows * cols) * 2);
        p->gemm(rows, cols, f->k, &x.rows, first, packed + (size_t)panel * p->panel_bytes(f->k), h, cols, &e);
        expect_guard(kn, "gemm to bf16", h, (size_t)(rows * cols) * 2);
        for (int64_t r = 0; r < rows; r++) lt_bf16_to_f32(cols, h + r * cols, c->data + r * c->stride);
        free(h);
    }
    buffer_check(c, kn, "product");
    coded_free(&x);
    free(packed);
}

static inline void test_product_int8(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 400; round++) {
        data_kind kind = (data_kind)between(0, DATA_KINDS - 1);
        few f = few_new(LT_PRODUCT_INT8, kind);
        f.e.act = between(0, 1) ? LT_ACT_RELU : LT_ACT_NONE; /* exact in every table */
        f.e.to_bf16 = between(0, 3) == 0;
        buffer got = buffer_new(f.m, f.n, between(0, 9)), want = buffer_new(f.m, f.n, 0);
        few_run(kn, LT_PRODUCT_INT8, &f, 0, f.m, 0, f.n, &got);
        few_run(reference(), LT_PRODUCT_INT8, &f, 0, f.m, 0, f.n, &want);
        for (int64_t r = 0; r < f.m; r++)
            for (int64_t c = 0; c < f.n; c++) {
                float x = got.data[r * got.stride + c], y = want.data[r * want.stride + c];
                /* Units that flush denormal results of conversions to zero may. */
                if (f.e.to_bf16 && fabsf(y) < 0x1p-126f && x == 0) continue;
                if (fuses(kn)) expect_same(kn, "int8 product", x, y, r, c);
                else if (kind == PLAIN) /* a code may be off by one of 255 steps here and there */
                    expect_near(kn, "int8 product", x, y, 0.05, 0.02, r, c);
            }
        few_free(&f), buffer_free(&got), buffer_free(&want);
    }
}

/* All codes at their ends: sums of 16 bits, were there any, would overflow. */
static inline void test_product_int8_ends(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 20; round++) {
        const int64_t k = odd_size(1, 2000), n = 40, m = 9;
        int8_t *codes = malloc((size_t)(n * k));
        float *scale = malloc((size_t)n * sizeof *scale);
        buffer x = buffer_new(m, k, 0), c = buffer_new(m, n, 0);
        for (int64_t i = 0; i < n * k; i++) codes[i] = round % 3 == 0 ? 127 : round % 3 == 1 ? -127 : between(0, 1) ? 127 : -127;
        for (int64_t j = 0; j < n; j++) scale[j] = 1;
        for (int64_t i = 0; i < m * k; i++) x.data[i] = between(0, 1) ? 255.0f : 0.0f;
        x.data[0] = 255.0f;
        for (int64_t r = 0; r < m; r++) x.data[r * k] = 255.0f; /* scale 1, zero 0: inputs are the codes */
        const lt_product *p = kn->product[LT_PRODUCT_INT8];
        char *packed = guarded(lt_product_bytes(kn, LT_PRODUCT_INT8, n, k));
        p->pack(n, k, codes, scale, packed);
        coded rows = coded_new(kn, LT_PRODUCT_INT8, m, k, x.data, false, k, &(lt_coding){0});
        p->gemm(m, n, k, &rows.rows, 0, packed, c.data, n, NULL);
        for (int64_t r = 0; r < m; r++)
            for (int64_t j = 0; j < n; j++) {
                int64_t sum = 0;
                for (int64_t i = 0; i < k; i++) sum += (int64_t)x.data[r * k + i] * codes[j * k + i];
                expect_same(kn, "int8 product of ends", c.data[r * n + j], (float)sum, r, j);
            }
        coded_free(&rows), free(packed), free(codes), free(scale), buffer_free(&x), buffer_free(&c);
    }
}

/* What the codes of a row stand for lies within half a step of the row, and outliers are exact. */
static inline void test_coding(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 200; round++) {
        const int64_t k = odd_size(1, 300);
        buffer x = buffer_random(1, k, 0, PLAIN);
        const lt_coding how = {.threshold = round % 2 ? 0.8f : 0, .symmetric = round % 4 / 2};
        coded c = coded_new(kn, LT_PRODUCT_INT8, 1, k, x.data, false, k, &how);
        /* Elsewhere codes are of 16 bits with the zero taken off. */
        const lt_code *code = c.rows.code;
        const bool bytes = kn->product[LT_PRODUCT_INT8]->row_bytes(k) == (k + 63) / 64 * 64 && (strstr(kn->product[LT_PRODUCT_INT8]->name, "vnni") || kn == reference());
        for (int64_t i = 0, o = 0; i < k; i++) {
            int q = bytes ? ((uint8_t *)c.rows.data)[i] : ((int16_t *)c.rows.data)[i];
            if (o < code->outliers && c.rows.outlier[code->outlier + o].at == i) {
                expect_same(kn, "outlier", c.rows.outlier[code->outlier + o++].value, x.data[i], 0, i);
                assert_true(how.threshold > 0 && fabsf(x.data[i]) >= how.threshold);
                assert_int_equal(q, code->zero);
                continue;
            }
            assert_false(how.threshold > 0 && fabsf(x.data[i]) >= how.threshold);
            expect_near(kn, "code", code->scale * (float)(q - code->zero), x.data[i], code->scale * 0.5001 + (how.symmetric ? 0 : code->scale * 0.5), 0, 0, i);
        }
        coded_free(&c), buffer_free(&x);
    }
}

/* bf16 and int4 against sums in double of what they read, each step of k rounded once or, in bf16 units, twice. */
static void product_near(const lt_kernels *kn, lt_product_id id)
{
    few f = few_new(id, between(0, 2) ? PLAIN : LARGE);
    f.e.to_bf16 = between(0, 3) == 0;
    buffer got = buffer_new(f.m, f.n, between(0, 9));
    few_run(kn, id, &f, 0, f.m, 0, f.n, &got);
    const int64_t groups = (f.k + LT_INT4_GROUP - 1) / LT_INT4_GROUP;
    for (int64_t r = 0; r < f.m; r++)
        for (int64_t c = 0; c < f.n; c++) {
            double sum = 0, size = 0;
            for (int64_t i = 0; i < f.k; i++) {
                float w = id == LT_PRODUCT_BF16 ? bf16_of(f.w.data[c * f.k + i])
                                                : (float)(((uint8_t *)f.codes)[c * f.k + i] - 8) * f.scale[c * groups + i / LT_INT4_GROUP];
                float x = f.x.data[r * f.x.stride + i];
                if (kn->product[id]->row_bytes) x = bf16_of(x);
                sum += (double)w * x;
                size += fabs((double)w * x);
            }
            if (f.e.bias) sum += f.bias.data[c];
            if (f.e.residual) sum += f.residual.data[r * f.residual.stride + c];
            expect_near(kn, id == LT_PRODUCT_BF16 ? "bf16 product" : "int4 product", got.data[r * got.stride + c], (float)sum,
                        (double)(f.k + 4) * FLT_EPSILON * (size + 2), f.e.to_bf16 ? 0x1p-8 : 1e-6, r, c);
        }
    if (kn->product[id]->encode_turned) check_turned(kn, kn->product[id], f.m, f.k, &f.x);
    few_free(&f), buffer_free(&got);
}

static inline void test_product_bf16(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 200; round++) product_near(kn, LT_PRODUCT_BF16);
}

static inline void test_product_int4(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 200; round++) product_near(kn, LT_PRODUCT_INT4);
}

/* Any rows, from any panel on, give the whole's bits; activations are the table's own. */
static inline void test_product_parts(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 150; round++) {
        lt_product_id id = (lt_product_id)(round % LT_PRODUCTS);
        few f = few_new(id, PLAIN);
        f.e.act = (lt_act)between(0, LT_ACT_COUNT - 1);
        buffer whole = buffer_new(f.m, f.n, 0);
        few_run(kn, id, &f, 0, f.m, 0, f.n, &whole);
        few bare = f;
        bare.e = (lt_gemm_epilogue){.bias = f.e.bias};
        buffer want = buffer_new(f.m, f.n, 0);
        few_run(kn, id, &bare, 0, f.m, 0, f.n, &want);
        for (int64_t r = 0; r < f.m; r++) {
            float *y = want.data + r * want.stride;
            kn->act(f.e.act, f.n, y, y);
            if (f.e.residual) kn->add(f.n, y, f.residual.data + r * f.residual.stride, y);
        }
        expect_buffers_same(kn, "product's epilogue", &whole, &want);
        for (int part = 0; part < 3 && f.m > 0; part++) {
            int64_t r = between(0, f.m - 1), rows = between(1, f.m - r), panel = between(0, (f.n - 1) / kn->nr), cols = between(1, f.n - panel * kn->nr);
            buffer some = buffer_new(rows, cols, 1);
            few_run(kn, id, &f, r, rows, panel, cols, &some);
            for (int64_t i = 0; i < rows; i++)
                for (int64_t c = 0; c < cols; c++)
                    expect_same(kn, "product of a part", some.data[i * some.stride + c], whole.data[(r + i) * whole.stride + panel * kn->nr + c], r + i, c);
            buffer_free(&some);
        }
        few_free(&f), buffer_free(&whole), buffer_free(&want);
    }
}

static inline void test_to_bf16(void **unused)
{
    for (int round = 0; round < 20000; round++) {
        float x = draw((data_kind)between(0, DATA_KINDS - 1)), y = bf16_of(x);
        if (isnan(x)) assert_true(isnan(y));
        else if (isfinite(y) && isfinite(x)) assert_true(fabs((double)y - x) <= fabs((double)x) * 0x1p-8 + 1e-40);
    }
}

/* One head of bf16 numbers against the f32 reference on the same numbers: exponentials and results are rounded to 8 bits. */
static inline void test_attend_bf16(void **unused)
{
    EACH_TABLE(kn)
    {
        if (!kn->attend_bf16) continue;
        for (int round = 0; round < 200; round++) {
            int64_t nk = round % 10 ? odd_size(1, 130) : between(500, 1100), nq = round % 3 ? nk : odd_size(1, 200);
            int64_t dim = 2 * odd_size(1, 64), value_dim = 2 * odd_size(1, 64);
            attention t = attention_new(nq, nk, dim, value_dim);
            buffer *all[] = {&t.q, &t.k, &t.v};
            uint16_t *half[3], *out = guarded((size_t)(nq * value_dim) * 2);
            for (int i = 0; i < 3; i++) {
                half[i] = malloc((size_t)(all[i]->rows * all[i]->cols + 1) * 2);
                for (int64_t r = 0; r < all[i]->rows; r++)
                    for (int64_t c = 0; c < all[i]->cols; c++) {
                        float *x = &all[i]->data[r * all[i]->stride + c];
                        lt_f32_to_bf16(1, x, &half[i][r * all[i]->cols + c]);
                        *x = bf16_of(*x);
                    }
            }
            const int64_t hidden[2] = {between(0, 8), between(-1, nq)};
            t.args.causal = between(0, 1);
            if (between(0, 1)) t.args.bias = add_bias, t.args.bias_arg = hidden;
            lt_attend_args a = t.args;
            a.q = half[0], a.k = half[1], a.v = half[2], a.out = out;
            a.q_stride = a.k_stride = dim, a.v_stride = a.out_stride = value_dim;
            size_t bytes = kn->attend_bf16_scratch(nk, dim, value_dim);
            void *scratch = guarded(bytes);
            for (int64_t q = 0, step; q < nq; q += step) {
                step = between(1, nq - q);
                kn->attend_bf16(&a, q, step, scratch);
            }
            expect_guard(kn, "attend_bf16 scratch", scratch, bytes);
            expect_guard(kn, "attend_bf16", out, (size_t)(nq * value_dim) * 2);
            attention_run(reference(), &t, 0, nq, &t.out);
            for (int64_t r = 0; r < nq; r++)
                for (int64_t c = 0; c < value_dim; c++) {
                    float y;
                    lt_bf16_to_f32(1, &out[r * value_dim + c], &y);
                    expect_near(kn, "attend_bf16", y, t.out.data[r * t.out.stride + c], 5e-3, 0, r, c);
                }
            free(scratch), free(out), attention_free(&t);
            for (int i = 0; i < 3; i++) free(half[i]);
        }
    }
}

#endif
