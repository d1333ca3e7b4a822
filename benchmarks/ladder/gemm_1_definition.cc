// The definition, element by element. Every step of the inner loop waits for the sum before it and
// reads a column of B, each element from a cache line of its own.
#include "gemm.h"

void gemm(const float* A, const float* B, float* C) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < n; ++p) sum += A[i * n + p] * B[p * n + j];
      C[i * n + j] = sum;
    }
}
