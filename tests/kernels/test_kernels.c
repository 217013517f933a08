/* Every kernel of every table that this machine can run, against the scalar reference, on sizes about the borders of tiles, at
 * odd alignments and strides, on denormal, huge, infinite and NaN numbers; and the promises on bits: a row alone is the row in its
 * batch, tables with fused multiply-add give the reference's products, an epilogue is the activation kernel.
 * `test_kernels --bench [table]` times them instead, `--bench-sparse` only block-sparse products. */
#include "kernels/check.h"

#include "kernels/bench.h"
#include "kernels/bench_sparse.h"
#include "kernels/check_attend.h"
#include "kernels/check_gemm.h"
#include "kernels/check_product.h"
#include "kernels/check_rows.h"
#include "kernels/check_sparse.h"
#include "kernels/check_update.h"

static void test_tables(void **unused)
{
    const int n = lt_kernels_count();
    assert_true(n >= 2);
    assert_string_equal(lt_kernels_at(0)->isa, "ref");
    assert_null(lt_kernels_at(n));
    assert_null(lt_kernels_at(-1));
    assert_null(lt_kernels_f32("no such thing"));
    assert_ptr_equal(lt_kernels_f32(NULL), lt_kernels_at(n - 1));
    assert_string_equal(lt_kernels_f64()->isa, "ref64");
    assert_int_equal(lt_kernels_f64()->elem, sizeof(double));
    EACH_TABLE(kn)
    {
        assert_ptr_equal(lt_kernels_f32(kn->isa), kn);
        assert_int_equal(kn->elem, sizeof(float));
        assert_true(kn->nr > 0 && kn->attend_block > 0);
    }
}

static void test_half(void **unused)
{
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t h = 0; h < 0x10000; h += 13 - 12 * (pass == 0)) {
            uint8_t bytes[2 * 11 + 1];
            float y[11];
            const uint16_t u = (uint16_t)h;
            const int64_t n = pass ? 11 : 1;
            for (int i = 0; i < n; i++) memcpy(bytes + 1 + 2 * i, &u, 2);
            lt_f16_to_f32(n, bytes + 1, y);
            const int exponent = h >> 10 & 31, fraction = h & 1023;
            const float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                               : exponent     ? ldexpf((float)(1024 + fraction), exponent - 25)
                                              : ldexpf((float)fraction, -24);
            for (int i = 0; i < n; i++) expect_same(reference(), "f16", y[i], h & 0x8000 ? -size : size, (int64_t)h, i);
            lt_bf16_to_f32(n, bytes + 1, y);
            for (int i = 0; i < n; i++) assert_int_equal(bits_of(y[i]), h << 16);
        }
}

int main(int argc, char **argv)
{
    const char *only = argc > 2 ? argv[2] : NULL;
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) return bench(only) + bench_sparse(only);
    if (argc > 1 && strcmp(argv[1], "--bench-sparse") == 0) return bench_sparse(only);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    seed_tests();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_tables, reseed),         cmocka_unit_test_setup(test_half, reseed),
        cmocka_unit_test_setup(test_pack, reseed),           cmocka_unit_test_setup(test_gemm_product, reseed),
        cmocka_unit_test_setup(test_gemm_epilogue, reseed),  cmocka_unit_test_setup(test_gemm_rows_alone, reseed),
        cmocka_unit_test_setup(test_gemm_deep, reseed),      cmocka_unit_test_setup(test_act, reseed),
        cmocka_unit_test_setup(test_act_ends, reseed),       cmocka_unit_test_setup(test_elementwise, reseed),
        cmocka_unit_test_setup(test_norms, reseed),          cmocka_unit_test_setup(test_softmax, reseed),
        cmocka_unit_test_setup(test_rows_alone, reseed),     cmocka_unit_test_setup(test_columns, reseed),
        cmocka_unit_test_setup(test_attend, reseed),         cmocka_unit_test_setup(test_attend_long, reseed),
        cmocka_unit_test_setup(test_attend_nothing, reseed), cmocka_unit_test_setup(test_attend_rows_alone, reseed),
        cmocka_unit_test_setup(test_attend_nan, reseed),     cmocka_unit_test_setup(test_f64, reseed),
        cmocka_unit_test_setup(test_coding, reseed),         cmocka_unit_test_setup(test_product_int8, reseed),
        cmocka_unit_test_setup(test_product_int8_ends, reseed), cmocka_unit_test_setup(test_product_bf16, reseed),
        cmocka_unit_test_setup(test_product_int4, reseed),   cmocka_unit_test_setup(test_product_parts, reseed),
        cmocka_unit_test_setup(test_to_bf16, reseed),        cmocka_unit_test_setup(test_attend_bf16, reseed),
        cmocka_unit_test_setup(test_sparse, reseed),         cmocka_unit_test_setup(test_sparse_as_dense, reseed),
        cmocka_unit_test_setup(test_sparse_pack, reseed),    cmocka_unit_test_setup(test_sparse_ends, reseed),
        cmocka_unit_test_setup(test_sparse_parts, reseed),   cmocka_unit_test_setup(test_updates, reseed),
    };
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
