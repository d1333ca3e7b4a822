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

  constexpr int64_t batches() const {
    int64_t count = 1;
    for (int d = 0; d < batch_ndim; ++d) count *= batch[d];
    return count;
  }
  // Where matrix `index` of the batch begins, by the strides a_batch, b_batch or c_batch.
  constexpr int64_t batch_offset(int64_t index, const int64_t* strides) const {
    int64_t offset = 0;
    for (int d = batch_ndim - 1; d >= 0; index /= batch[d--]) {
      offset += index % batch[d] * strides[d];
    }
    return offset;
  }
  // A batch of A on one B, as in x (N,T,D) @ w (D,K), becomes one tall matrix.
  constexpr void fold_batch_into_rows() {
    for (; batch_ndim > 0; --batch_ndim) {
      const int d = batch_ndim - 1;
      if (b_batch[d] != 0 || a_batch[d] != m * a_row || c_batch[d] != m * c_row) break;
      m *= batch[d];
    }
  }
  bool operator==(const GemmShape&) const = default;
};

// Bytes, for the number of threads set now: call both functions under the same set_num_threads and
// set_isa.
int64_t gemm_workspace(const GemmShape& shape);

// Overwrites C, which overlaps no operand; an empty sum is 0. workspace: 64-byte aligned. bias:
// (n), dense, read if shape.bias.
void gemm(const GemmShape& shape, const void* a, const void* b, void* c, void* workspace,
          const void* bias = nullptr);

}  // namespace dlx
