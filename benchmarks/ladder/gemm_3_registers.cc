// A tile of C stays in registers while p runs: two loads of B and one broadcast of each A serve 2 x
// kRows multiply-adds of vectors, and enough sums are under way to hide each one's latency.
#include "gemm.h"

constexpr int kRows = kWidth == 16 ? 14 : 6;

template <int ROWS>
void tile(const float* A, const float* B, float* C) {
  Vec sum[ROWS][2] = {};
  for (int64_t p = 0; p < n; ++p) {
    const Vec b0 = at(B + p * n), b1 = at(B + p * n + kWidth);
#pragma GCC unroll 14
    for (int i = 0; i < ROWS; ++i) {
      const Vec a = splat(A[i * n + p]);
      sum[i][0] += a * b0;
      sum[i][1] += a * b1;
    }
  }
#pragma GCC unroll 14
  for (int i = 0; i < ROWS; ++i) at(C + i * n) = sum[i][0], at(C + i * n + kWidth) = sum[i][1];
}

void gemm(const float* A, const float* B, float* C) {
  for (int64_t j = 0; j < n; j += 2 * kWidth) {
    int64_t i = 0;
    for (; i + kRows <= n; i += kRows) tile<kRows>(A + i * n, B + j, C + i * n + j);
    for (; i < n; ++i) tile<1>(A + i * n, B + j, C + i * n + j);
  }
}
