// GEMM of bfloat16 and float16: products are summed in float32 and rounded to nearest even once, at
// the end. Four ways:
//   widen  both operands become float32 and GEMM of float32 multiplies them, on every CPU
//   pairs  bfloat16 on AVX512-BF16, where that is fast: VDPBF16PS adds the products of two pairs to
//          a float32 sum; it takes subnormal numbers for 0. Loops and plan are those of float32
//   tiles  bfloat16 on AMX: half_tiles.h
//   dot    few rows or columns along k: thin.h
#pragma once
#include "core/cpu_features.h"
#include "gemm/gemm.h"
#include "gemm/plan.h"

namespace dlx {

struct HalfKernels {
  // n rows of `cols` elements, y dense: to float32 and from it
  void (*widen)(DType from, const void* x, int64_t row, int64_t col, int64_t rows, int64_t cols,
                float* y);
  void (*round)(DType to, const float* x, void* y, int64_t row, int64_t rows, int64_t cols);
  int dot_rows;  // most rows or columns that `dot` multiplies faster than `widen`
};
DLX_EACH_ISA(extern const HalfKernels half_kernels; extern const GemmKernels::Run pair_gemm;)

// As gemm() and gemm_workspace(), of a shape with no extent 0.
int64_t half_workspace(const GemmShape& shape);
void half_gemm(const GemmShape& shape, const void* a, const void* b, void* c, const void* bias,
               void* workspace);

}  // namespace dlx
