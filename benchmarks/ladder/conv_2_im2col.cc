// A matrix product: column i holds the 9 C numbers that output pixel i sees (im2col). All the work
// is the product's, but the columns are nine times the image, written to memory and read again.
#include "conv.h"
#include "packed.h"

void conv(const float* x, const float* w, float* y) {
  constexpr int64_t depth = 9 * C, pixels = H * W;
  static Floats columns(depth * pixels), a((K + kRows) * depth), b(depth * kCols);
  pack_rows(w, depth, K, depth, a.data());
  for (int64_t image = 0; image < N; ++image) {
    for (int64_t d = 0; d < depth; ++d)
      for (int64_t i = 0; i < pixels; ++i) {
        const int64_t h = i / W + d / 3 % 3 - 1, v = i % W + d % 3 - 1;
        const bool inside = h >= 0 && h < H && v >= 0 && v < W;
        columns[d * pixels + i] = inside ? x[((image * C + d / 9) * H + h) * W + v] : 0;
      }
    for (int64_t j = 0; j < pixels; j += kCols) {
      pack_cols(columns.data() + j, pixels, depth, b.data());
      for (int64_t k = 0; k < K; k += kRows)
        any_tile(std::min<int64_t>(kRows, K - k), depth, a.data() + k * depth, b.data(),
                 y + (image * K + k) * pixels + j, pixels, false);
    }
  }
}
