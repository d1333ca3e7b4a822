// y[...] = x[...]: the same elements between any two layouts of one dtype.
#pragma once
#include "core/launch.h"

namespace dlx {

struct CopyShape {
  int64_t element_bytes;
  int32_t ndim;                // after merging dimensions that both sides walk without a gap
  int64_t extent[kMaxDims];    // x: (extent...) with strides x_stride, y: (extent...) with strides
                               // y_stride
  int64_t x_stride[kMaxDims];  // in elements; 0 repeats
  int64_t y_stride[kMaxDims];

  static CopyShape make(const Dims& shape, DType dtype, const Dims& x_strides,
                        const Dims& y_strides);
  bool operator==(const CopyShape&) const = default;
};

DLX_DECLARE_KERNEL(copy)

namespace ops {
inline constexpr Op copy{
    .name = "copy",
    .kernels = DLX_KERNELS(copy),
    .strided = true,
    .baseline = true,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const CopyShape*>(shape);
          int64_t n = s.element_bytes;
          for (int i = 0; i < s.ndim; ++i) n *= s.extent[i];
          return Cost{0, 2 * n};
        },
};
}  // namespace ops

}  // namespace dlx
