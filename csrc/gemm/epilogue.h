// What is done to a block of C, or of a convolution's result, while it is still in registers. For
// kernel files only.
#pragma once
#include "core/simd.h"
#include "gemm/gemm.h"

namespace dlx::DLX_ISA {

// As the pointwise launch has it: keeps NaN and -0. Without a branch: in a copy of a loop for
// either case the compiler may swap the operands of a sum, of which a NaN shows the first.
template <class T>
inline Vec<T> relu_if(bool relu, Vec<T> y) {
  const T least = relu ? T(0) : -static_cast<T>(__builtin_inf());
  return {y.raw < least ? typename Vec<T>::Raw{} : y.raw};
}

// y + bias, then the activation. bias: of this vector's columns, or null; n: how many there are
template <class T>
inline Vec<T> finish(Vec<T> y, const T* bias, int n, bool relu) {
  if (bias) y = y + Vec<T>::load(bias, n);
  return relu_if(relu, y);
}

// The same to C (rows, cols), which was just stored and is still in the L1 cache.
template <class T>
void finish_block(T* c, int64_t c_row, int64_t rows, int64_t cols, const T* bias, bool relu) {
  constexpr int W = Vec<T>::kWidth;
  if (!bias && !relu) return;
  for (int64_t i = 0; i < rows; ++i, c += c_row) {
    for (int64_t j = 0; j < cols; j += W) {
      const int n = static_cast<int>(W < cols - j ? W : cols - j);
      finish(Vec<T>::load(c + j, n), bias ? bias + j : nullptr, n, relu).store(c + j, n);
    }
  }
}

}  // namespace dlx::DLX_ISA
