/* Which kernels this machine can run, asked of the processor when a table is wanted; and the conversions of 16-bit floats, which
 * need no instruction set. __builtin_cpu_supports also asks the operating system (XGETBV) whether it saves the wide
 * registers. */
#include <stdatomic.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

#include "kernels/tables.h"

static bool always(void) { return true; }

#if defined(__x86_64__)
static bool has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

/* Compilers do not know all of these by name: CPUID leaf 7, subleaf 0 (ECX) or 1 (EAX). */
static bool has_feature(unsigned subleaf, int bit)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, subleaf, &a, &b, &c, &d) && (subleaf ? a : c) >> bit & 1;
}
static bool has_avxvnni(void) { return has_avx2() && has_feature(1, 4); }
static bool has_avx512vnni(void) { return has_avx512() && has_feature(0, 11); }
static bool has_avx512bf16(void) { return has_avx512vnni() && has_feature(1, 5); }

/* Linux gives a process the tiles' registers when it asks for them (since 5.16); its threads then have them too. */
static bool has_amx(void)
{
    unsigned a, b, c, d;
    enum { TILE_DATA = 18, TILE = 1 << 24, INT8 = 1 << 25, BF16 = 1 << 22 };
    if (!has_avx512bf16() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (TILE | INT8 | BF16)) != (TILE | INT8 | BF16)) return false;
#ifdef __linux__
    return syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, TILE_DATA) == 0;
#else
    return false;
#endif
}
#endif

/* Worst first. */
static const struct {
    const lt_kernels *table;
    bool (*here)(void);
} all[] = {
    {&lt_kernels_ref_float, always},
    {&lt_kernels_base, always},
#if defined(__x86_64__)
    {&lt_kernels_avx2, has_avx2},
    {&lt_kernels_avxvnni, has_avxvnni},
    {&lt_kernels_avx512, has_avx512},
    {&lt_kernels_avx512vnni, has_avx512vnni},
    {&lt_kernels_avx512bf16, has_avx512bf16},
    {&lt_kernels_amx, has_amx},
#elif defined(__aarch64__)
    {&lt_kernels_neon, always},
#endif
};
#define COUNT ((int)(sizeof all / sizeof all[0]))

/* A bit for each table (the first is always there). Asked once, for virtual machines take a trap, some 20 µs, at each CPUID; threads that ask at the same time get the
 * same answer. */
static unsigned here(void)
{
    static _Atomic unsigned known;
    unsigned bits = atomic_load_explicit(&known, memory_order_relaxed);
    if (bits) return bits;
    for (int i = 0; i < COUNT; i++) bits |= (unsigned)all[i].here() << i;
    atomic_store_explicit(&known, bits, memory_order_relaxed);
    return bits;
}

int lt_kernels_count(void) { return __builtin_popcount(here()); }

const lt_kernels *lt_kernels_at(int i)
{
    for (int j = 0; j < COUNT; j++)
        if ((here() >> j & 1) && i-- == 0) return all[j].table;
    return NULL;
}

const lt_kernels *lt_kernels_f32(const char *isa)
{
    if (!isa) return lt_kernels_at(lt_kernels_count() - 1);
    for (int j = 0; j < COUNT; j++)
        if (strcmp(all[j].table->isa, isa) == 0) return here() >> j & 1 ? all[j].table : NULL;
    return NULL;
}

const lt_kernels *lt_kernels_f64(void) { return &lt_kernels_ref_double; }

/* ---- 16-bit floats ----------------------------------------------------------------------------------------------- */

typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef uint32_t u32x8 __attribute__((vector_size(32)));
typedef float f32x8 __attribute__((vector_size(32)));

/* Exponent and fraction moved into a float's fields are the value times 2^-112, exactly, subnormal or not; infinity and NaN then
 * have their exponent filled up and keep their fraction. */
static inline void half_8(const void *x, float *y)
{
    u16x8 half;
    memcpy(&half, x, sizeof half);
    u32x8 bits = __builtin_convertvector(half, u32x8), magnitude = (bits & 0x7fff) << 13;
    f32x8 scaled = (f32x8)magnitude * 0x1p112f;
    u32x8 out = (u32x8)scaled | ((u32x8)(magnitude >= 0x0f800000) & 0x7f800000) | ((bits & 0x8000) << 16);
    memcpy(y, &out, sizeof out);
}

static inline void bfloat_8(const void *x, float *y)
{
    u16x8 bf;
    memcpy(&bf, x, sizeof bf);
    u32x8 out = __builtin_convertvector(bf, u32x8) << 16;
    memcpy(y, &out, sizeof out);
}

static inline __attribute__((always_inline)) void widen(int64_t n, const char *x, float *y, void (*eight)(const void *, float *))
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) eight(x + 2 * i, y + i);
    if (i == n) return;
    char in[16] = {0};
    float out[8];
    memcpy(in, x + 2 * i, (size_t)(n - i) * 2);
    eight(in, out);
    memcpy(y + i, out, (size_t)(n - i) * sizeof *out);
}

void lt_f16_to_f32(int64_t n, const void *x, float *y) { widen(n, x, y, half_8); }
void lt_bf16_to_f32(int64_t n, const void *x, float *y) { widen(n, x, y, bfloat_8); }

/* In the upper half of each float, what a bf16 holds; the lower half is still to be cut off. */
static inline void rounded_8(const float *x, u32x8 *out)
{
    u32x8 bits;
    memcpy(&bits, x, sizeof bits);
    const u32x8 even = bits + 0x7fff + ((bits >> 16) & 1), nan = (u32x8)((bits & 0x7fffffff) > 0x7f800000);
    *out = (nan & (bits | 0x400000)) | (~nan & even);
}

/* Neighbours' upper halves are shuffled together: GCC 12 narrows a vector one element at a time. */
static inline void narrow_8(const float *x, void *y)
{
    typedef uint16_t u16x16 __attribute__((vector_size(32)));
    u32x8 rounded;
    rounded_8(x, &rounded);
    const u16x16 halves = (u16x16)rounded;
    const u16x8 out = __builtin_shufflevector(halves, halves, 1, 3, 5, 7, 9, 11, 13, 15);
    memcpy(y, &out, sizeof out);
}

static inline void round_8(const float *x, void *y)
{
    u32x8 out;
    rounded_8(x, &out);
    out &= 0xffff0000;
    memcpy(y, &out, sizeof out);
}

static inline __attribute__((always_inline)) void from_floats(int64_t n, const float *x, char *y, size_t elem, void (*eight)(const float *, void *))
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) eight(x + i, y + (size_t)i * elem);
    if (i == n) return;
    float in[8] = {0};
    char out[32];
    memcpy(in, x + i, (size_t)(n - i) * sizeof *in);
    eight(in, out);
    memcpy(y + (size_t)i * elem, out, (size_t)(n - i) * elem);
}

void lt_f32_to_bf16(int64_t n, const float *x, void *y) { from_floats(n, x, y, 2, narrow_8); }
void lt_round_to_bf16(int64_t n, const float *x, float *y) { from_floats(n, x, (char *)y, 4, round_8); }
