// GEMM of bfloat16 and float16: products are summed in float32 and rounded to nearest even once, at
// the end. Three ways:
//   widen  both operands become float32 and GEMM of float32 multiplies them, on every CPU
//   pairs  bfloat16 on AVX512-BF16, where that is fast: VDPBF16PS adds the products of two pairs to
//          a float32 sum; it takes subnormal numbers for 0
//   tiles  bfloat16 on AMX: half_tiles.h
#pragma once
#include "core/cpu_features.h"
#include "gemm/gemm.h"

namespace dlx {

constexpr int kPairRows = 14, kPairCols = 32;  // the tile: 14x2 zmm + 2 for B + 1 = 31 of 32

// Rows of a task, with one panel of B: 6 panels of A, which stay in the L2 cache.
constexpr int64_t kPairTaskRows = 6 * kPairRows;
constexpr int64_t kPairPackedPanels = 4;  // of a chunk of packing: about 20 us
constexpr double kPairChunkFlops = 4e6;   // of a chunk of tasks: 20 us

// One matrix of the batch, one stripe of columns and one block of depth after the other.
struct PairPlan {
  GemmShape shape;
  int64_t batches;
  int64_t grain;                      // tasks of a chunk
  int64_t depth, cols;                // of a block, a stripe; depth is even unless it is all of k
  int64_t a_bytes, b_bytes, c_bytes;  // packed block of A, of B, and sums of the stripe
};

struct HalfKernels {
  // n rows of `cols` elements, y dense: to float32 and from it
  void (*widen)(DType from, const void* x, int64_t row, int64_t col, int64_t rows, int64_t cols,
                float* y);
  void (*round)(DType to, const float* x, void* y, int64_t row, int64_t rows, int64_t cols);
  void (*pairs)(const PairPlan& plan, const void* a, const void* b, void* c, const void* bias,
                void* workspace);  // null where this level has none
};
DLX_EACH_ISA(extern const HalfKernels half_kernels;)

// As gemm() and gemm_workspace(), of a shape with no extent 0.
int64_t half_workspace(const GemmShape& shape);
void half_gemm(const GemmShape& shape, const void* a, const void* b, void* c, const void* bias,
               void* workspace);

}  // namespace dlx
