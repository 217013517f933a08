/* The AMX products with their instructions emulated, on any machine that runs the rest of the table: int8 gives the reference's bits,
 * bf16 sums of the rounded operands. What the emulation cannot show is the instructions themselves: test_kernels runs those where they are. */
#include "kernels/check_product.h"

#if defined(__x86_64__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma,f16c,avx512vnni,avx512bf16")
#define LT_ISA amx_emulated
#define LT_AMX
#define LT_AMX_EMULATE
#include "kernels/cpu/cpu.c"
#pragma GCC pop_options

static lt_kernels emulated;

static void test_emulated(void **unused)
{
    if (!lt_kernels_f32("avx512bf16")) skip();
    memcpy(&emulated, &lt_kernels_amx_emulated, sizeof emulated);
    emulated.isa = "amx emulated";
    for (int round = 0; round < 300; round++) {
        few f = few_new(LT_PRODUCT_INT8, PLAIN);
        buffer got = buffer_new(f.m, f.n, 3), want = buffer_new(f.m, f.n, 0);
        few_run(&emulated, LT_PRODUCT_INT8, &f, 0, f.m, 0, f.n, &got);
        few_run(reference(), LT_PRODUCT_INT8, &f, 0, f.m, 0, f.n, &want);
        expect_buffers_same(&emulated, "int8 product", &got, &want);
        few_free(&f), buffer_free(&got), buffer_free(&want);
        product_near(&emulated, LT_PRODUCT_BF16);
    }
}
#else
static void test_emulated(void **unused) { skip(); }
#endif

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    seed_tests();
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(test_emulated, reseed)};
    return cmocka_run_group_tests_name("amx", tests, NULL, NULL);
}
