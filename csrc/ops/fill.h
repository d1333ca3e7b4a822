// y[i * step] = value.  y: (n) elements, step apart
#pragma once
#include "core/launch.h"

namespace dlx {

struct FillShape {
  int64_t element_bytes, n, step;
  uint64_t value;  // the bytes of one element

  static FillShape make(DType dtype, int64_t n, int64_t step, uint64_t value) {
    return {size_of(dtype), n, step, value};
  }
  bool operator==(const FillShape&) const = default;
};

DLX_DECLARE_KERNEL(fill)

namespace ops {
inline constexpr Op fill{
    .name = "fill",
    .kernels = DLX_KERNELS(fill),
    .baseline = true,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const FillShape*>(shape);
          return Cost{0, s.n * s.element_bytes};
        },
};
}  // namespace ops

}  // namespace dlx
