// Blocks of p, so that a panel of B stays in L1 while all of A's panels pass by, and A's in L2: the
// loops of BLIS (Van Zee and van de Geijn, 2015).
#include "gemm.h"
#include "packed.h"

void gemm(const float* A, const float* B, float* C) {
  constexpr int64_t kDepth = 256, kBlockRows = 24 * kRows;
  static Floats a((kBlockRows + kRows) * kDepth), b(n * kDepth);
  for (int64_t p = 0; p < n; p += kDepth) {
    for (int64_t j = 0; j < n; j += kCols)
      pack_cols(B + p * n + j, n, kDepth, b.data() + j * kDepth);
    for (int64_t i0 = 0; i0 < n; i0 += kBlockRows) {
      const int64_t rows = std::min(kBlockRows, n - i0);
      pack_rows(A + i0 * n + p, n, rows, kDepth, a.data());
      for (int64_t j = 0; j < n; j += kCols)
        for (int64_t i = 0; i < rows; i += kRows)
          any_tile(std::min<int64_t>(kRows, rows - i), kDepth, a.data() + i * kDepth,
                   b.data() + j * kDepth, C + (i0 + i) * n + j, n, p > 0);
    }
  }
}
