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
  bool operator==(const OneHotShape&) const = default;
};

// The bits of 1, of an element's size.
constexpr uint64_t one_bits(DType t) {
  switch (t) {
    case DType::float32:
      return 0x3f800000;
    case DType::float64:
      return 0x3ff0000000000000;
    case DType::bfloat16:
      return 0x3f80;
    case DType::float16:
      return 0x3c00;
    default:
      return 1;  // little-endian: the low bytes are the element
  }
}

DLX_DECLARE_KERNEL(one_hot)

namespace ops {
inline constexpr Op one_hot{
    .name = "one_hot",
    .kernels = DLX_KERNELS(one_hot),
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
