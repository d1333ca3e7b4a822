// The columns are never written: each panel of the product's right side is gathered from a copy of
// the image with its border of zeros, when it is needed, into memory that stays in L1 and L2.
#include "conv.h"
#include "packed.h"

constexpr int64_t kPitch = W + 2, kPlane = (H + 2) * kPitch;

static void copy_with_border(const float* x, float* copy) {
  for (int64_t c = 0; c < C; ++c)
    for (int64_t h = 0; h < H; ++h)
      std::copy(x + (c * H + h) * W, x + (c * H + h + 1) * W,
                copy + c * kPlane + (h + 1) * kPitch + 1);
}

// What pixels [j, j + kCols) see at tap (c, r, s): at most three runs of neighbours.
static void gather(const float* copy, int64_t j, float* panel) {
  for (int64_t lane = 0; lane < kCols;) {
    const int64_t row = (j + lane) / W, col = (j + lane) % W, run = std::min(W - col, kCols - lane);
    for (int64_t d = 0; d < 9 * C; ++d) {
      const float* from = copy + d / 9 * kPlane + (row + d / 3 % 3) * kPitch + col + d % 3;
      std::copy(from, from + run, panel + d * kCols + lane);
    }
    lane += run;
  }
}

void conv(const float* x, const float* w, float* y) {
  constexpr int64_t depth = 9 * C, pixels = H * W;
  static Floats copy(C * kPlane), a((K + kRows) * depth), b(depth * kCols);
  pack_rows(w, depth, K, depth, a.data());
  for (int64_t image = 0; image < N; ++image) {
    copy_with_border(x + image * C * H * W, copy.data());
    for (int64_t j = 0; j < pixels; j += kCols) {
      gather(copy.data(), j, b.data());
      for (int64_t k = 0; k < K; k += kRows)
        any_tile(std::min<int64_t>(kRows, K - k), depth, a.data() + k * depth, b.data(),
                 y + (image * K + k) * pixels + j, pixels, false);
    }
  }
}
