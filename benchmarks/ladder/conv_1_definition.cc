// The definition: every product of every output pixel, with a question whether it is inside.
#include "conv.h"

void conv(const float* x, const float* w, float* y) {
  for (int64_t image = 0; image < N; ++image)
    for (int64_t k = 0; k < K; ++k)
      for (int64_t i = 0; i < H * W; ++i) {
        float sum = 0;
        for (int64_t c = 0; c < C; ++c)
          for (int64_t r = 0; r < 3; ++r)
            for (int64_t s = 0; s < 3; ++s) {
              const int64_t h = i / W + r - 1, v = i % W + s - 1;
              if (h >= 0 && h < H && v >= 0 && v < W)
                sum += x[((image * C + c) * H + h) * W + v] * w[((k * C + c) * 3 + r) * 3 + s];
            }
        y[(image * K + k) * H * W + i] = sum;
      }
}
