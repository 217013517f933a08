/* Tiles of 16 rows × 64 bytes (AMX): the same panels and rows as the vector products read, 32 rows and one panel of 32 columns at a
 * time. A sixteenth word's tail is filled up with zeros in buffers, since tiles cannot change their shape while they hold sums. Few rows
 * are left to vectors, which then are as fast.
 * LT_AMX_EMULATE replaces the instructions by plain loops of the same meaning, so that all but them is tested on any machine. */
#ifndef LATHE_KERNELS_AMX_H
#define LATHE_KERNELS_AMX_H

#include "kernels/cpu/product.h"

#if LT_HAS_BF16 /* every machine with AMX has it */

enum { AMX_ROWS = 16, AMX_WORDS = 16, AMX_BLOCK = 2 * AMX_ROWS, AMX_FEW = 8 };

typedef struct amx_config { /* what LDTILECFG reads */
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} amx_config;

#ifdef LT_AMX_EMULATE
#include "kernels/amx_emulated.h"
#else
/* Whole structures are operands: GCC's intrinsic tells the compiler of their first eight bytes only. */
LT_INLINE void amx_configure(const amx_config *c) { __asm__ volatile("ldtilecfg %0" ::"m"(*c)); }
LT_INLINE void amx_release(void) { __asm__ volatile("tilerelease"); }
#define amx_zero(T) __asm__ volatile("tilezero %%tmm" #T::)
#define amx_load(T, p, stride) __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #T ::"r"(p), "r"((int64_t)(stride)) : "memory")
#define amx_store(T, p, stride) __asm__ volatile("tilestored %%tmm" #T ", (%0,%1,1)" ::"r"(p), "r"((int64_t)(stride)) : "memory")
#define amx_dot_bytes(C, A, B) __asm__ volatile("tdpbusd %%tmm" #B ", %%tmm" #A ", %%tmm" #C::)
#define amx_dot_bf16(C, A, B) __asm__ volatile("tdpbf16ps %%tmm" #B ", %%tmm" #A ", %%tmm" #C::)
#endif

/* Tiles 0 … 3 are sums, 4 and 5 rows of inputs, 6 and 7 the panel's halves. */
LT_INLINE amx_config amx_shape(int rows)
{
    amx_config c = {.palette = 1};
    const int upper = rows < AMX_ROWS ? rows : AMX_ROWS, lower = rows - upper;
    const uint8_t count[8] = {(uint8_t)upper, (uint8_t)upper, (uint8_t)lower, (uint8_t)lower, (uint8_t)upper, (uint8_t)lower, AMX_WORDS, AMX_WORDS};
    for (int t = 0; t < 8; t++) {
        c.rows[t] = count[t];
        c.row_bytes[t] = count[t] ? 64 : 0;
    }
    return c;
}

#define AMX_DOT(KIND, C, A, B)                                                                                                     \
    do {                                                                                                                           \
        if (KIND == LT_WORD_INT8)                                                                                                  \
            amx_dot_bytes(C, A, B);                                                                                                \
        else                                                                                                                       \
            amx_dot_bf16(C, A, B);                                                                                                 \
    } while (0)

/* One step of 16 words; both rows of tiles, or the upper one alone. */
LT_INLINE void amx_step(const lt_word KIND, const bool BOTH, const char *a, int64_t a_stride, const float *b)
{
    amx_load(6, b, LT_NR * 4);
    amx_load(7, b + AMX_WORDS, LT_NR * 4);
    amx_load(4, a, a_stride);
    AMX_DOT(KIND, 0, 4, 6);
    AMX_DOT(KIND, 1, 4, 7);
    if (!BOTH) return;
    amx_load(5, a + AMX_ROWS * a_stride, a_stride);
    AMX_DOT(KIND, 2, 5, 6);
    AMX_DOT(KIND, 3, 5, 7);
}

LT_INLINE void amx_zero_sums(const bool BOTH)
{
    amx_zero(0);
    amx_zero(1);
    if (!BOTH) return;
    amx_zero(2);
    amx_zero(3);
}

typedef struct amx_tail { /* the words past the last sixteenth, filled up with zeros */
    int64_t words;
    float b[AMX_WORDS * LT_NR] __attribute__((aligned(64)));
    float a[AMX_BLOCK * AMX_WORDS] __attribute__((aligned(64)));
} amx_tail;

LT_INLINE void amx_block(const lt_word KIND, const bool BOTH, int rows, int64_t words, const char *a, int64_t a_stride, const float *b, amx_tail *tail,
                         float *out)
{
    amx_zero_sums(BOTH);
    const int64_t whole = words - tail->words;
    for (int64_t i = 0; i < whole; i += AMX_WORDS) amx_step(KIND, BOTH, a + 4 * i, a_stride, b + i * LT_NR);
    if (tail->words) {
        for (int r = 0; r < rows; r++) memcpy(tail->a + r * AMX_WORDS, a + r * a_stride + 4 * whole, (size_t)tail->words * 4);
        amx_step(KIND, BOTH, (const char *)tail->a, AMX_WORDS * 4, tail->b);
    }
    amx_store(0, out, LT_NR * 4);
    amx_store(1, out + AMX_WORDS, LT_NR * 4);
    if (!BOTH) return;
    amx_store(2, out + AMX_ROWS * LT_NR, LT_NR * 4);
    amx_store(3, out + AMX_ROWS * LT_NR + AMX_WORDS, LT_NR * 4);
}

/* Rows r0 … r1-1 in blocks of `block`, which divides them evenly: one configuration of the tiles serves all. */
LT_INLINE void amx_rows(const lt_word KIND, const bool BOTH, int64_t r0, int64_t r1, int block, int64_t n, int64_t words, int64_t head, const lt_coded_rows *a,
                        int64_t first, const float *packed, void *c, int64_t c_stride, const lt_gemm_epilogue *e)
{
    float out[AMX_BLOCK * LT_NR] __attribute__((aligned(64)));
    amx_tail tail = {.words = words % AMX_WORDS};
    const amx_config shape = amx_shape(block);
    const int64_t panel = (words + head) * LT_NR;
    amx_configure(&shape);
    for (int64_t j = 0; j < n; j += LT_NR) {
        const float *columns = packed + j / LT_NR * panel, *b = columns + head * LT_NR;
        if (tail.words) memcpy(tail.b, b + (words - tail.words) * LT_NR, (size_t)(tail.words * LT_NR) * 4);
        for (int64_t r = r0; r < r1; r += block) {
            amx_block(KIND, BOTH, block, words, (const char *)a->data + (first + r) * a->stride, a->stride, b, &tail, out);
            sums s = {.tile = out, .tile_stride = LT_NR};
            sums_place(&s, r, j, n - j < LT_NR ? n - j : LT_NR, c, c_stride, e);
            if (KIND == LT_WORD_INT8) {
                s.code = a->code + first + r;
                s.outlier = a->outlier;
                s.scale = columns;
                s.words = b;
                finish_codes(e, block, &s);
            } else
                finish_floats(e, block, &s);
        }
    }
    amx_release();
}

LT_INLINE void amx_gemm(const lt_word KIND, int64_t m, int64_t n, int64_t words, int64_t head, const lt_coded_rows *a, int64_t first, const float *packed, void *c,
                        int64_t c_stride, const lt_gemm_epilogue *e)
{
    const int64_t even = m / AMX_BLOCK * AMX_BLOCK, left = m - even;
    if (even) amx_rows(KIND, true, 0, even, AMX_BLOCK, n, words, head, a, first, packed, c, c_stride, e);
    if (left > AMX_ROWS)
        amx_rows(KIND, true, even, m, (int)left, n, words, head, a, first, packed, c, c_stride, e);
    else if (left)
        amx_rows(KIND, false, even, m, (int)left, n, words, head, a, first, packed, c, c_stride, e);
}

static void amx_int8_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, void *c, int64_t c_stride,
                          const lt_gemm_epilogue *e)
{
    if (m < AMX_FEW)
        int8_gemm(m, n, k, a, first, packed, c, c_stride, e);
    else
        amx_gemm(LT_WORD_INT8, m, n, (k + 3) / 4, INT8_HEAD, a, first, packed, c, c_stride, e ? e : &no_epilogue);
}

/* Always tiles: vectors round sums of bf16 in another order, and a row's bits must not depend on how many there are. */
static void amx_bf16_gemm(int64_t m, int64_t n, int64_t k, const lt_coded_rows *a, int64_t first, const void *packed, void *c, int64_t c_stride,
                          const lt_gemm_epilogue *e)
{
    amx_gemm(LT_WORD_BF16, m, n, bf16_words(k), 0, a, first, packed, c, c_stride, e ? e : &no_epilogue);
}

static const lt_product product_amx_bf16 = {
    .name = "amx-bf16",
    .row_bytes = bf16_row_bytes,
    .encode = bf16_encode,
    .encode_turned = bf16_encode_turned,
    .pack_turned = bf16_pack_turned,
    .panel_bytes = bf16_panel_bytes,
    .pack = bf16_pack,
    .gemm = amx_bf16_gemm,
};

static const lt_product product_amx_int8 = {
    .name = "amx-int8",
    .row_bytes = int8_row_bytes,
    .encode = int8_encode,
    .panel_bytes = int8_panel_bytes,
    .pack = int8_pack,
    .gemm = amx_int8_gemm,
};

#endif
#endif
