// How the kernels of pooling walk over rows. For kernel files only.
#pragma once
#include "core/simd.h"
#include "ops/pool_table.h"

namespace dlx::DLX_ISA {

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// body(plane, first row, last row) for rows [begin, end) of planes of n rows.
template <class Body>
[[gnu::always_inline]] inline void over_planes(int64_t n, int64_t begin, int64_t end,
                                               const Body& body) {
  while (begin < end) {
    const int64_t plane = begin / n, first = begin % n, last = smaller(n, first + end - begin);
    body(plane, first, last);
    begin += last - first;
  }
}

// As the pointwise launch relu_backward has it: gradients of a relu's results y, if it is given.
template <class T>
[[gnu::always_inline]] inline Vec<T> through_relu(Vec<T> dy, const T* y, int n) {
  if (!y) return dy;
  return {Vec<T>::load(y, n).raw <= 0 ? typename Vec<T>::Raw{} : dy.raw};
}

}  // namespace dlx::DLX_ISA
