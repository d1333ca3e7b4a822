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
};

namespace cpu {
void pad(Ctx&, const void* shape, void* const* buffers, void* workspace);
}

namespace ops {
// x[, value] -> y
inline constexpr Op pad{
    .name = "pad",
    .kernels = {cpu::pad},
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
