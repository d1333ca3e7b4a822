// y[o, indices[i], k] = v[o, i, k], in rising order of i: the last of equal indices stays. The rest
// of y is kept. indices: (n) int64, -L <= index < L  v: (outer, n, inner)  y: (outer, L, inner)
#pragma once
#include "core/launch.h"
#include "ops/index_range.h"

namespace dlx {

struct ScatterShape {
  int64_t element_bytes;
  int64_t outer, n, inner, extent;
  int32_t axis;  // for messages

  // L is the product of y's extents axis ... axis + axes - 1. v_shape: y's, with the indices' shape
  // in their place.
  static ScatterShape make(const Array& y, const Array& indices, int axis, int axes, Dims* v_shape);
  bool operator==(const ScatterShape&) const = default;
};

DLX_DECLARE_KERNEL(scatter)
namespace cuda {
int64_t scatter_workspace(const void* shape);
}

namespace ops {
inline constexpr Op scatter{
    .name = "scatter",
    .kernels = DLX_KERNELS(scatter),
    .can_fail = true,
    .baseline = true,
    .updates = 1,
    .cost =
        [](const void* shape) {  // what is not set is not touched
          const auto& s = *static_cast<const ScatterShape*>(shape);
          return Cost{0, 2 * s.outer * s.n * s.inner * s.element_bytes + 8 * s.n};
        },
    .workspace = {nullptr, DLX_IF_CUDA(cuda::scatter_workspace)},
    .explain =
        [](const void* shape, const ErrorSlot& error) {
          return explain_index("setitem", error, static_cast<const ScatterShape*>(shape)->axis);
        },
};
}  // namespace ops

}  // namespace dlx
