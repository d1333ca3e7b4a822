// y[o, i, k] = x[o, indices[i], k]: rows of x by position.
// x: (outer..., L, inner...) of any strides  indices: (n) int64, -L <= index < L  y: (outer, n,
// inner) dense
#pragma once
#include "core/launch.h"
#include "ops/index_range.h"

namespace dlx {

struct TakeShape {
  int64_t element_bytes;
  int64_t outer, n, inner;  // y: (outer, n, inner)
  int64_t extent, step;     // x along the axis: L, and its stride in elements
  int32_t axis;             // for messages
  int32_t outer_ndim, inner_ndim;
  int64_t outer_extent[kMaxDims],
      outer_stride[kMaxDims];  // x before the axis, after merging dimensions
  int64_t inner_extent[kMaxDims], inner_stride[kMaxDims];  // and behind it

  static TakeShape make(const Array& x, const Array& indices, int axis, Dims* y_shape);
  bool operator==(const TakeShape&) const = default;
};

DLX_DECLARE_KERNEL(take)
DLX_DECLARE_KERNEL(embedding)

inline Cost take_cost(const void* shape) {  // what is not taken is not read
  const auto& s = *static_cast<const TakeShape*>(shape);
  return {0, 2 * s.outer * s.n * s.inner * s.element_bytes + 8 * s.n};
}

namespace ops {
inline constexpr Op take{
    .name = "take",
    .kernels = DLX_KERNELS(take),
    .strided = true,  // x; the caller makes the indices dense
    .can_fail = true,
    .baseline = true,
    .cost = take_cost,
    .explain =
        [](const void* shape, const ErrorSlot& error) {
          return explain_index("take", error, static_cast<const TakeShape*>(shape)->axis);
        },
};
// Rows of a table: take along axis 0, with 0 <= index < V. x: (V, D)  y: (n, D)
inline constexpr Op embedding{
    .name = "embedding",
    .kernels = DLX_KERNELS(embedding),
    .strided = true,
    .can_fail = true,
    .baseline = true,
    .cost = take_cost,
    .explain =
        [](const void*, const ErrorSlot& error) {
          return message("embedding: index ", error.value, " at position ", error.row,
                         " is outside 0…", error.limit - 1, "; weight has ", error.limit, " rows");
        },
};
}  // namespace ops

}  // namespace dlx
