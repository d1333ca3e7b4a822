// A border around x: y[i0 + before0, i1 + before1, ...] = x[i0, i1, ...], and elsewhere `value`, or
// the element of x that position i < 0 or i >= n of an axis stands for:
//   reflect: -i, 2 (n - 1) - i   replicate: 0, n - 1   circular: i + n, i - n
// x: (n0, n1, ...) of any strides  value: (), of constant borders only
// y: (before0 + n0 + after0, ...) dense
#pragma once
#include "core/launch.h"

namespace dlx {

enum class PadMode : int32_t { constant, reflect, replicate, circular };

struct PadShape {
  int64_t element_bytes;
  int64_t x_size, y_size;
  PadMode mode;
  int32_t ndim;  // after merging dimensions without a border into the one before
  int64_t before[kMaxDims], x_extent[kMaxDims], x_stride[kMaxDims], y_extent[kMaxDims];

  // before, after: an entry >= 0 for every dimension of x; value: null unless mode is constant
  static PadShape make(const Array& x, const Array* value, const Dims& before, const Dims& after,
                       PadMode mode, Dims* y_shape);
  bool operator==(const PadShape&) const = default;
};

// The element of x's axis of extent n that stands at i, or -1 for the constant.
constexpr int64_t pad_source(PadMode mode, int64_t i, int64_t n) {
  if (i >= 0 && i < n) return i;
  if (mode == PadMode::reflect) return i < 0 ? -i : 2 * (n - 1) - i;
  if (mode == PadMode::replicate) return i < 0 ? 0 : n - 1;
  if (mode == PadMode::circular) return i < 0 ? i + n : i - n;
  return -1;
}

DLX_DECLARE_KERNEL(pad)

namespace ops {
// x[, value] -> y
inline constexpr Op pad{
    .name = "pad",
    .kernels = DLX_KERNELS(pad),
    .strided = true,
    .baseline = true,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const PadShape*>(shape);
          const int64_t value = s.mode == PadMode::constant;
          return Cost{0, (s.x_size + value + s.y_size) * s.element_bytes};
        },
};
}  // namespace ops

}  // namespace dlx
