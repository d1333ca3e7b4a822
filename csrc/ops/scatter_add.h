// y[o, l, k] = sum of g[o, i, k] over the i with indices[i] == l: the transpose of take.
// g: (outer, n, inner)  indices: (n) int64, -L <= index < L  y: (outer, L, inner)
#pragma once
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
};

namespace cpu {
void scatter_add(Ctx&, const void* shape, void* const* buffers, void* workspace);
}

namespace ops {
// The positions sorted by index: where each index's begin, and the positions.
inline int64_t scatter_add_workspace(const void* shape) {
  const auto& s = *static_cast<const ScatterAddShape*>(shape);
  return (s.extent + 1 + s.n) * int64_t{sizeof(int64_t)};
}
inline constexpr Op scatter_add{
    .name = "scatter_add",
    .kernels = {cpu::scatter_add},
    .can_fail = true,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const ScatterAddShape*>(shape);
          const int64_t g = s.outer * s.n * s.inner, y = s.outer * s.extent * s.inner;
          return Cost{g, (g + y) * size_of(s.dtype) + 8 * s.n};
        },
    .workspace = {scatter_add_workspace},
    .explain =
        [](const void* shape, const ErrorSlot& error) {
          return explain_index("scatter_add", error,
                               static_cast<const ScatterAddShape*>(shape)->axis);
        },
};
}  // namespace ops

}  // namespace dlx
