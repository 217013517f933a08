/* Products with block-sparse weights against the reference, whose bits tables that fuse promise; against dense products of the same weights
 * (int8: the same bits; f32 and bf16: the same sums, cut elsewhere); weights packed and read back; and any panels of rows and columns alone. */
#ifndef LATHE_TESTS_CHECK_SPARSE_H
#define LATHE_TESTS_CHECK_SPARSE_H

#include "kernels/check_product.h"

static lt_product_id as_dense(lt_sparse_id id) { return id == LT_SPARSE_INT8 ? LT_PRODUCT_INT8 : LT_PRODUCT_BF16; }

/* Keeps a block in `percent` of hundred, and empties a row of blocks here and there. */
static void prune_blocks(float *w, int64_t n, int64_t k, int percent)
{
    for (int64_t j = 0; j < n; j += LT_SPARSE_BLOCK) {
        const bool none = between(0, 9) == 0;
        for (int64_t i = 0; i < k; i++) {
            const bool keep = !none && between(1, 100) <= percent;
            for (int64_t r = j; !keep && r < n && r < j + LT_SPARSE_BLOCK; r++) w[r * k + i] = between(0, 1) ? 0.0f : -0.0f;
        }
    }
}

static few thin_new(lt_sparse_id id, data_kind kind, int64_t most_rows)
{
    static const int percents[] = {0, 5, 20, 30, 50, 100};
    few f = few_new(LT_PRODUCT_INT8, kind); /* which draws all there is; f32 and bf16 read w in place of codes */
    buffer_free(&f.x), buffer_free(&f.residual);
    free(f.x16);
    f.x16 = NULL;
    f.m = odd_size(0, most_rows);
    f.x = buffer_random(f.m, f.k, between(0, 9), kind);
    if (id == LT_SPARSE_BF16) lt_round_to_bf16(f.m * f.x.stride, f.x.data, f.x.data); /* so that it does not matter whether a table does */
    f.residual = buffer_random(f.m, f.n, between(0, 9), PLAIN);
    if (f.e.residual) f.e.residual = f.residual.data, f.e.residual_stride = f.residual.stride;
    prune_blocks(f.w.data, f.n, f.k, percents[between(0, 5)]);
    if (id == LT_SPARSE_INT8) lt_quantize_int8(f.n, f.k, f.w.data, f.codes, f.scale);
    return f;
}

static void *thin_pack(const lt_kernels *kn, lt_sparse_id id, const few *f)
{
    const lt_sparse *s = kn->sparse[id];
    const void *w = id == LT_SPARSE_INT8 ? f->codes : (const void *)f->w.data;
    const size_t bytes = s->packed_bytes(f->n, f->k, w);
    void *packed = guarded(bytes);
    s->pack(f->n, f->k, w, f->scale, packed);
    expect_guard(kn, "sparse pack", packed, bytes);
    return packed;
}

/* Rows first … (a panel's first), columns from `column` on; turned one panel after another. */
static void thin_run(const lt_kernels *kn, lt_sparse_id id, const few *f, int64_t first, int64_t rows, int64_t column, int64_t cols, buffer *c)
{
    const lt_sparse *s = kn->sparse[id];
    coded x = {.rows = {.data = f->x.data, .stride = f->x.stride * 4}};
    if (id != LT_SPARSE_F32) x = coded_new(kn, as_dense(id), f->m, f->k, f->x.data, false, f->x.stride, &f->how);
    const size_t bytes = s->turned_bytes(f->m, f->k);
    x.rows.rows = f->m;
    x.rows.panels = guarded(bytes);
    for (int64_t r = 0; r < f->m; r += s->tokens) s->turn(r, f->m - r < s->tokens ? f->m - r : s->tokens, f->k, &x.rows);
    expect_guard(kn, "turn", x.rows.panels, bytes);
    void *packed = thin_pack(kn, id, f);
    lt_gemm_epilogue e = f->e;
    if (e.bias) e.bias = (const float *)e.bias + column;
    if (e.residual) e.residual = (const float *)e.residual + first * e.residual_stride + column;
    if (!e.to_bf16) {
        s->gemm(rows, cols, f->k, &x.rows, first, packed, column, c->data, c->stride, &e);
    } else {
        uint16_t *h = guarded((size_t)(rows * cols) * 2);
        s->gemm(rows, cols, f->k, &x.rows, first, packed, column, h, cols, &e);
        expect_guard(kn, "sparse product to bf16", h, (size_t)(rows * cols) * 2);
        for (int64_t r = 0; r < rows; r++) lt_bf16_to_f32(cols, h + r * cols, c->data + r * c->stride);
        free(h);
    }
    buffer_check(c, kn, "sparse product");
    free(x.rows.panels), free(packed), coded_free(&x);
}

/* The dense product of the same weights. */
static void thick_run(const lt_kernels *kn, lt_sparse_id id, const few *f, buffer *c)
{
    if (id != LT_SPARSE_F32) {
        few_run(kn, as_dense(id), f, 0, f->m, 0, f->n, c);
        return;
    }
    void *packed = guarded(lt_packed_bytes(kn, f->n, f->k));
    kn->pack(f->n, f->k, f->w.data, f->k, 1, packed);
    kn->gemm(f->m, f->n, f->k, f->x.data, f->x.stride, packed, c->data, c->stride, &f->e);
    free(packed);
}

static void expect_thin(const lt_kernels *kn, lt_sparse_id id, const few *f, const buffer *got, const buffer *want, bool exact)
{
    for (int64_t r = 0; r < f->m; r++)
        for (int64_t c = 0; c < f->n; c++) {
            const float x = got->data[r * got->stride + c], y = want->data[r * want->stride + c];
            if (f->e.to_bf16 && fabsf(y) <= 0x1p-126f && x == 0) continue; /* units may flush what is not normal before it is rounded */
            if (exact) expect_same(kn, "sparse product", x, y, r, c);
            else expect_near(kn, "sparse product", x, y, id == LT_SPARSE_INT8 ? 0.05 : 1e-5 * (double)(f->k + 1) / 16, f->e.to_bf16 ? 0.02 : 1e-5, r, c);
        }
}

static inline void test_sparse(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 300; round++) {
        const lt_sparse_id id = (lt_sparse_id)(round % LT_SPARSES);
        const data_kind kind = (data_kind)between(0, DATA_KINDS - 1);
        few f = thin_new(id, kind, round % 40 ? 40 : 400);
        f.e.act = between(0, 1) ? LT_ACT_RELU : LT_ACT_NONE;
        f.e.to_bf16 = between(0, 3) == 0;
        buffer got = buffer_new(f.m, f.n, between(0, 9)), want = buffer_new(f.m, f.n, 0);
        thin_run(kn, id, &f, 0, f.m, 0, f.n, &got);
        thin_run(reference(), id, &f, 0, f.m, 0, f.n, &want);
        const bool exact = fuses(kn) && id != LT_SPARSE_BF16; /* whose units round in their own way, and flush */
        if (exact || kind == PLAIN) expect_thin(kn, id, &f, &got, &want, exact);
        few_free(&f), buffer_free(&got), buffer_free(&want);
    }
}

static inline void test_sparse_as_dense(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 150; round++) {
        const lt_sparse_id id = (lt_sparse_id)(round % LT_SPARSES);
        /* int8 zeros meet outliers in both products, so that even infinities give the same. */
        few f = thin_new(id, id == LT_SPARSE_INT8 ? (data_kind)between(0, DATA_KINDS - 1) : PLAIN, 150);
        f.e.act = (lt_act)between(0, LT_ACT_COUNT - 1);
        f.e.to_bf16 = id != LT_SPARSE_F32 && between(0, 3) == 0;
        buffer got = buffer_new(f.m, f.n, between(0, 9)), want = buffer_new(f.m, f.n, 0);
        thin_run(kn, id, &f, 0, f.m, 0, f.n, &got);
        thick_run(kn, id, &f, &want);
        expect_thin(kn, id, &f, &got, &want, id == LT_SPARSE_INT8);
        few_free(&f), buffer_free(&got), buffer_free(&want);
    }
}

static inline void test_sparse_pack(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 100; round++) {
        const lt_sparse_id id = (lt_sparse_id)(round % LT_SPARSES);
        few f = thin_new(id, PLAIN, 1);
        void *packed = thin_pack(kn, id, &f);
        const size_t elem = id == LT_SPARSE_INT8 ? 1 : 4, bytes = (size_t)f.k * elem;
        char *row = guarded(bytes);
        for (int64_t j = 0; j < f.n; j++) {
            kn->sparse[id]->unpack_row(f.k, packed, j, row);
            expect_guard(kn, "sparse unpack_row", row, bytes);
            for (int64_t i = 0; i < f.k; i++)
                if (id == LT_SPARSE_INT8) assert_int_equal(row[i], ((int8_t *)f.codes)[j * f.k + i]);
                else if (((float *)(void *)row)[i] != (id == LT_SPARSE_BF16 ? bf16_of(f.w.data[j * f.k + i]) : f.w.data[j * f.k + i])) fail_msg("%s: row %d, %d (seed %llu)", kn->isa, (int)j, (int)i, (unsigned long long)seed);
        }
        free(row), free(packed), few_free(&f);
    }
}

/* Codes at their ends, all blocks there, and more of them than a chain of floats. */
static inline void test_sparse_ends(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 10; round++) {
        few f = thin_new((lt_sparse_id)(round % LT_SPARSES), PLAIN, 9);
        const lt_sparse_id id = (lt_sparse_id)(round % LT_SPARSES);
        f.e = (lt_gemm_epilogue){0};
        f.how = (lt_coding){0};
        buffer_free(&f.w), buffer_free(&f.x);
        free(f.codes);
        f.k = odd_size(1, 2000);
        f.w = buffer_random(1, f.n * f.k, 0, PLAIN);
        f.x = buffer_random(f.m, f.k, 3, PLAIN);
        if (id == LT_SPARSE_BF16) lt_round_to_bf16(f.m * f.x.stride, f.x.data, f.x.data);
        f.codes = malloc((size_t)(f.n * f.k));
        for (int64_t i = 0; i < f.n * f.k; i++) ((int8_t *)f.codes)[i] = between(0, 1) ? 127 : -127;
        for (int64_t r = 0; id == LT_SPARSE_INT8 && r < f.m; r++)
            for (int64_t i = 0; i < f.k; i++) f.x.data[r * f.x.stride + i] = between(0, 1) ? 255.0f : 0.0f;
        buffer got = buffer_new(f.m, f.n, 0), want = buffer_new(f.m, f.n, 0);
        thin_run(kn, id, &f, 0, f.m, 0, f.n, &got);
        thin_run(reference(), id, &f, 0, f.m, 0, f.n, &want);
        expect_thin(kn, id, &f, &got, &want, fuses(kn) && id != LT_SPARSE_BF16);
        few_free(&f), buffer_free(&got), buffer_free(&want);
    }
}

/* Any panels of rows, from any panel of columns on, give the whole's bits, and rows theirs in whatever company. */
static inline void test_sparse_parts(void **unused)
{
    EACH_TABLE(kn)
    for (int round = 0; round < 50; round++) {
        const lt_sparse_id id = (lt_sparse_id)(round % LT_SPARSES);
        const int64_t tokens = kn->sparse[id]->tokens;
        few f = thin_new(id, PLAIN, 200);
        f.e.act = (lt_act)between(0, LT_ACT_COUNT - 1);
        buffer whole = buffer_new(f.m, f.n, 0);
        thin_run(kn, id, &f, 0, f.m, 0, f.n, &whole);
        for (int part = 0; part < 3 && f.m > 0; part++) {
            const int64_t r = between(0, (f.m - 1) / tokens) * tokens, rows = between(0, 1) || f.m - r < tokens ? f.m - r : tokens;
            const int64_t column = between(0, (f.n - 1) / kn->nr) * kn->nr, cols = between(1, f.n - column);
            buffer some = buffer_new(rows, cols, 1);
            thin_run(kn, id, &f, r, rows, column, cols, &some);
            for (int64_t i = 0; i < rows; i++)
                for (int64_t c = 0; c < cols; c++)
                    expect_same(kn, "sparse product of a part", some.data[i * some.stride + c], whole.data[(r + i) * whole.stride + column + c], r + i, c);
            buffer_free(&some);
            few alone = f;
            const int64_t row = between(0, f.m - 1);
            alone.m = 1;
            alone.x.data += row * f.x.stride;
            if (f.e.residual) alone.e.residual = f.residual.data + row * f.residual.stride;
            buffer one = buffer_new(1, f.n, 0);
            thin_run(kn, id, &alone, 0, 1, 0, f.n, &one);
            for (int64_t c = 0; c < f.n; c++) expect_same(kn, "sparse product of a row", one.data[c], whole.data[row * whole.stride + c], row, c);
            buffer_free(&one);
        }
        few_free(&f), buffer_free(&whole);
    }
}

#endif
