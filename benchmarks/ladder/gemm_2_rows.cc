// The loops exchanged: rows of B are added to a row of C. Neighbours in memory are neighbours in
// the inner loop, so that the compiler uses vectors; but each multiply-add loads and stores an
// element.
#include <algorithm>

#include "gemm.h"

void gemm(const float* A, const float* B, float* C) {
  std::fill(C, C + n * n, 0.0f);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t p = 0; p < n; ++p)
      for (int64_t j = 0; j < n; ++j) C[i * n + j] += A[i * n + p] * B[p * n + j];
}
