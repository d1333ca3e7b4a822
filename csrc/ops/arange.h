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

  // Modulo 2^64, where the end is exact although the way there may not be.
  constexpr int64_t integer_at(int64_t i) const {
    return static_cast<int64_t>(static_cast<uint64_t>(int_start) +
                                static_cast<uint64_t>(i) * static_cast<uint64_t>(int_step));
  }
  constexpr double number_at(int64_t i) const { return start + static_cast<double>(i) * step; }
  bool operator==(const ArangeShape&) const = default;
};

DLX_DECLARE_KERNEL(arange)

namespace ops {
inline constexpr Op arange{
    .name = "arange",
    .kernels = DLX_KERNELS(arange),
    .baseline = true,
    .cost =
        [](const void* shape) {
          const int64_t n = static_cast<const ArangeShape*>(shape)->n;
          return Cost{2 * n, 8 * n};
        },
};
}  // namespace ops

}  // namespace dlx
