/* The table of one instruction set: this file is compiled once for each, with -DLT_ISA=name and the compiler flags that go with
 * it. All functions are static, so that no code of one instruction set can be linked into another's. */
#include "kernels/cpu/act.h"
#ifdef LT_AMX
#include "kernels/cpu/amx.h"
#endif
#include "kernels/cpu/attend.h"
#include "kernels/cpu/back.h"
#include "kernels/cpu/dropout.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/sparse.h"
#include "kernels/cpu/update.h"
#include "kernels/tables.h"

#define NAME_(isa) lt_kernels_##isa
#define NAME(isa) NAME_(isa)
#define TEXT_(isa) #isa
#define TEXT(isa) TEXT_(isa)

const lt_kernels NAME(LT_ISA) = {
    .isa = TEXT(LT_ISA),
    .elem = sizeof(float),
    .nr = LT_NR,
    .pack = pack,
    .unpack_row = unpack_row,
    .gemm = gemm,
    .attend = attend,
    .attend_scratch = attend_scratch,
    .attend_block = LT_QUERIES,
    .act = act_all,
    .add = add,
    .mul = mul,
    .scale = scale,
    .add_row = add_row,
    .layer_norm = layer_norm,
    .rms_norm = rms_norm,
    .softmax = softmax,
    .l2_normalize = l2_normalize,
    .col_sum = col_sum,
    .col_max = col_max,
    .transpose = transpose,
    .axpy = axpy,
    .adam = adam,
    .adam_direction = adam_direction,
    .lion = lion,
    .dropout = dropout,
    .sum_squares = sum_squares,
    .act_back = act_back,
    .layer_norm_back = layer_norm_back,
    .rms_norm_back = rms_norm_back,
    .softmax_back = softmax_back,
    .l2_normalize_back = l2_normalize_back,
    .cross_entropy = cross_entropy,
#if LT_HAS_BF16
    .attend_bf16 = attend_bf16,
    .attend_bf16_scratch = attend_bf16_scratch,
#endif
#ifdef LT_AMX
    .product = {[LT_PRODUCT_BF16] = &product_amx_bf16, [LT_PRODUCT_INT8] = &product_amx_int8, [LT_PRODUCT_INT4] = &product_int4},
#else
    .product = {[LT_PRODUCT_BF16] = &product_bf16, [LT_PRODUCT_INT8] = &product_int8, [LT_PRODUCT_INT4] = &product_int4},
#endif
    .sparse = {[LT_SPARSE_F32] = &sparse_f32, [LT_SPARSE_INT8] = &sparse_int8},
};
