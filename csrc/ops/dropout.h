// Dropout: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
// overfitting" (2014), with the scaling moved into training.
#pragma once
#include <cmath>

#include "core/launch.h"

namespace dlx {

// x, y: (n,)  start: (2,) int64, the cell before the draw. y = x / (1 - p) where the element's
// float32 uniform number is >= p, else 0. The mask is never stored: dropout_backward draws it
// again.
struct DropoutShape {
  DType dtype;
  int64_t n;
  double p;
  // The uniform number is m 2^-24, m the upper 24 bits: it is >= p where m >= p 2^24.
  int32_t threshold() const {
    return static_cast<int32_t>(std::ceil(static_cast<double>(static_cast<float>(p)) * 0x1p24));
  }
  double scale() const { return p < 1 ? 1 / (1 - p) : 0; }
  static DropoutShape make(const Array& x, double p);
  bool operator==(const DropoutShape&) const = default;
};

DLX_DECLARE_KERNEL(dropout)
DLX_DECLARE_KERNEL(dropout_backward)

namespace ops {

inline Cost dropout_cost(const void* shape) {
  const auto& s = *static_cast<const DropoutShape*>(shape);
  return Cost{s.n, 2 * s.n * size_of(s.dtype)};
}

// x -> y, start, cell
inline constexpr Op dropout{
    .name = "dropout",
    .kernels = DLX_KERNELS(dropout),
    .random = true,
    .updates = 0b100,
    .may_alias = 0b1,
    .cost = dropout_cost,
};

// dy, start -> dx. The transpose of dropout, and its own.
inline constexpr Op dropout_backward{
    .name = "dropout_backward",
    .kernels = DLX_KERNELS(dropout_backward),
    .may_alias = 0b1,
    .cost = dropout_cost,
};

}  // namespace ops
}  // namespace dlx
