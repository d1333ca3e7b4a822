// C[b] (m,n) = A[b] (m,k) @ B[b] (k,n) for floating dtypes, after the five loops of BLIS (Van
// Zee and van de Geijn, 2015). Every element of C is summed over k in one order that depends on the
// shape alone, never on the threads.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace dlx {

constexpr int kMaxBatchDims = 6;

// Every matrix has element strides of its own, of any sign; C's columns are contiguous. A batch
// stride of 0 broadcasts an operand. Any of m, n, k and the batch may be 0.
struct GemmShape {
  DType dtype;  // floating; halves: half.h
  int64_t m, n, k;
  int64_t a_row, a_col, b_row, b_col, c_row;
  int batch_ndim;
  int64_t batch[kMaxBatchDims];
  int64_t a_batch[kMaxBatchDims], b_batch[kMaxBatchDims], c_batch[kMaxBatchDims];
  // The epilogue: C's row i becomes A B's + bias (n), then negative elements become 0.
  bool bias, relu;
};

// Bytes, for the number of threads set now: call both functions under the same set_num_threads and
// set_isa.
int64_t gemm_workspace(const GemmShape& shape);

// Overwrites C, which overlaps no operand; an empty sum is 0. workspace: 64-byte aligned. bias:
// (n), dense, read if shape.bias.
void gemm(const GemmShape& shape, const void* a, const void* b, void* c, void* workspace,
          const void* bias = nullptr);

}  // namespace dlx
