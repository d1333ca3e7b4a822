// y[i] = start + i * step, in float64 or int64; linspace has its last element given.  y: (n)
#pragma once
#include "core/launch.h"

namespace dlx {

struct ArangeShape {
  int64_t n;
  bool integers;  // int64, else float64
  bool ends;      // y[n - 1] = last, free of rounding
  int64_t int_start, int_step;
  double start, step, last;
};

namespace cpu {
void arange(Ctx&, const void* shape, void* const* buffers, void* workspace);
}

namespace ops {
inline constexpr Op arange{
    .name = "arange",
    .kernels = {cpu::arange},
    .baseline = true,
    .cost =
        [](const void* shape) {
          const int64_t n = static_cast<const ArangeShape*>(shape)->n;
          return Cost{2 * n, 8 * n};
        },
};
}  // namespace ops

}  // namespace dlx
