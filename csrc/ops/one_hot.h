// y[i, c] = 1 where labels[i] == c, else 0.  labels: (n) int64, 0 <= label < C  y: (n, C)
#pragma once
#include "core/launch.h"
#include "ops/index_range.h"

namespace dlx {

struct OneHotShape {
  DType dtype;  // of y
  int64_t n, classes;

  // labels of any shape; y: that shape and C behind it
  static OneHotShape make(const Array& labels, int64_t classes, DType dtype, Dims* y_shape);
};

namespace cpu {
void one_hot(Ctx&, const void* shape, void* const* buffers, void* workspace);
}

namespace ops {
inline constexpr Op one_hot{
    .name = "one_hot",
    .kernels = {cpu::one_hot},
    .can_fail = true,
    .baseline = true,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const OneHotShape*>(shape);
          return Cost{0, s.n * (8 + s.classes * size_of(s.dtype))};
        },
    .explain =
        [](const void*, const ErrorSlot& error) {
          return message("one_hot: label ", error.value, " at position ", error.row,
                         " is outside 0…", error.limit - 1, ", num_classes=", error.limit);
        },
};
}  // namespace ops

}  // namespace dlx
