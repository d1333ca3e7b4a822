// Running sums: y[o, i, k] = sum of x[o, j, k] over j <= i; in reverse, over j >= i.
// x: (outer, n, inner)  y: the same shape, int64 where x holds integers or bools
// One term after the other, whatever the number of threads; floats add up in float64, integers
// modulo 2^64.
#pragma once
#include "core/launch.h"

namespace dlx {

struct CumsumShape {
  DType dtype;  // float32, float64, an integer or bool
  bool reverse;
  int64_t outer, n, inner;

  DType output_dtype() const { return is_floating(dtype) ? dtype : DType::int64; }
  static CumsumShape make(const Array& x, int axis, bool reverse);
  bool operator==(const CumsumShape&) const = default;
};

DLX_DECLARE_KERNEL(cumsum)

namespace cuda {
int64_t cumsum_workspace(const void* shape);
}

namespace ops {
inline constexpr Op cumsum{
    .name = "cumsum",
    .kernels = DLX_KERNELS(cumsum),
    .baseline = true,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const CumsumShape*>(shape);
          const int64_t n = s.outer * s.n * s.inner;
          return Cost{n, n * (size_of(s.dtype) + size_of(s.output_dtype()))};
        },
    .workspace = {nullptr, DLX_IF_CUDA(cuda::cumsum_workspace)},
};
}  // namespace ops

}  // namespace dlx
