// y[o, l, k] = sum of g[o, i, k] over the i with indices[i] == l: the transpose of take.
// g: (outer, n, inner)  indices: (n) int64, -L <= index < L  y: (outer, L, inner)
#pragma once
#include <type_traits>

#include "core/launch.h"
#include "ops/index_range.h"

namespace dlx {

struct ScatterAddShape {
  DType dtype;
  int32_t axis;  // for messages
  int64_t outer, n, inner, extent;

  // g's dimensions axis ... axis + indices.ndim - 1 are those of the indices; `extent` (L) replaces
  // them.
  static ScatterAddShape make(const Array& g, const Array& indices, int axis, int64_t extent,
                              Dims* y_shape);
  bool operator==(const ScatterAddShape&) const = default;
};

template <class T>
using SumOf = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;  // integers wrap

// body(T{}) for the T of a dtype that is summed.
template <class Body>
void with_sum_type(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::float32:
      return body(float{});
    case DType::float64:
      return body(double{});
    case DType::int32:
      return body(int32_t{});
    case DType::int64:
      return body(int64_t{});
    default:
      return body(uint8_t{});
  }
}

DLX_DECLARE_KERNEL(scatter_add)
namespace cuda {
int64_t scatter_add_workspace(const void* shape);
}

namespace ops {
// The positions sorted by index: where each index's begin, and the positions.
inline int64_t scatter_add_workspace(const void* shape) {
  const auto& s = *static_cast<const ScatterAddShape*>(shape);
  return (s.extent + 1 + s.n) * int64_t{sizeof(int64_t)};
}
inline constexpr Op scatter_add{
    .name = "scatter_add",
    .kernels = DLX_KERNELS(scatter_add),
    .can_fail = true,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const ScatterAddShape*>(shape);
          const int64_t g = s.outer * s.n * s.inner, y = s.outer * s.extent * s.inner;
          return Cost{g, (g + y) * size_of(s.dtype) + 8 * s.n};
        },
    .workspace = {scatter_add_workspace, DLX_IF_CUDA(cuda::scatter_add_workspace)},
    .explain =
        [](const void* shape, const ErrorSlot& error) {
          return explain_index("scatter_add", error,
                               static_cast<const ScatterAddShape*>(shape)->axis);
        },
};
}  // namespace ops

}  // namespace dlx
