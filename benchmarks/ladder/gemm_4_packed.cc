// The same tile on packed panels: in the order in which the tile reads them, so that every load is
// from the next bytes of one stream, no two rows share a place in the cache, and few pages are
// touched.
#include "gemm.h"
#include "packed.h"

void gemm(const float* A, const float* B, float* C) {
  static Floats a(n * (n + kRows)), b(n * n);
  pack_rows(A, n, n, n, a.data());
  for (int64_t j = 0; j < n; j += kCols) pack_cols(B + j, n, n, b.data() + j * n);
  for (int64_t j = 0; j < n; j += kCols)
    for (int64_t i = 0; i < n; i += kRows)
      any_tile(std::min<int64_t>(kRows, n - i), n, a.data() + i * n, b.data() + j * n,
               C + i * n + j, n, false);
}
