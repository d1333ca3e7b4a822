// A rung of the convolution: y (N,K,H,W) = x (N,C,H,W) * w (K,C,3,3), padding 1, float32, one
// thread.
#pragma once
#include <algorithm>

#include "rung.h"

constexpr int64_t N = 2, C = 64, K = 64, H = 56, W = 56;

void conv(const float* x, const float* w, float* y);

int main() {
  const Floats x = noise(N * C * H * W), w = noise(K * C * 9);
  Floats y(N * K * H * W);
  const double time = seconds([&] { conv(x.data(), w.data(), y.data()); });
  for (int64_t i = 0; i < N * K * H * W; i += 997) {
    const int64_t col = i % W, row = i / W % H, k = i / (W * H) % K, image = i / (W * H * K);
    double sum = 0, terms = 0;
    for (int64_t c = 0; c < C; ++c)
      for (int64_t r = 0; r < 3; ++r)
        for (int64_t s = 0; s < 3; ++s) {
          const int64_t h = row + r - 1, v = col + s - 1;
          if (h < 0 || h >= H || v < 0 || v >= W) continue;
          const double term =
              double{x[((image * C + c) * H + h) * W + v]} * w[((k * C + c) * 3 + r) * 3 + s];
          sum += term, terms += std::fabs(term);
        }
    check(y[i], sum, terms);
  }
  std::printf("%.9f\n", time);
}
