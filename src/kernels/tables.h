/* The tables that this build has: the references everywhere, the others as the processor family decides (and the Makefile with
 * it). */
#ifndef LATHE_KERNELS_TABLES_H
#define LATHE_KERNELS_TABLES_H

#include "lathe/kernels.h"

/* A product's element is summed in blocks of so many k. One chain over thousands gathers several times the rounding error: with
 * k = 3072, hidden states of base-size models strayed beyond 1e-5. */
enum { LT_CHAIN = 128 };
enum { LT_REF_NR = 4 }; /* columns of the reference's panels */

extern const lt_kernels lt_kernels_ref_float, lt_kernels_ref_double;
extern const lt_kernels lt_kernels_base, lt_kernels_neon;
extern const lt_kernels lt_kernels_avx2, lt_kernels_avxvnni, lt_kernels_avx512, lt_kernels_avx512vnni, lt_kernels_avx512bf16, lt_kernels_amx;
extern const lt_product lt_product_ref_bf16, lt_product_ref_int8, lt_product_ref_int4;
extern const lt_sparse lt_sparse_ref_f32, lt_sparse_ref_int8, lt_sparse_ref_bf16;

#endif
