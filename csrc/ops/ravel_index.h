// y = sum over k of indices[k] * weight[k]: positions along several axes as one position in the
// axes merged. indices: up to 8 arrays int64, any strides, broadcast together, -limit[k] <= index <
// limit[k]  y: (n) int64
#pragma once
#include "core/launch.h"

namespace dlx {

struct RavelIndexShape {
  int32_t count, ndim;
  int64_t extent[kMaxDims];            // of the broadcast shape, after merging dimensions
  int64_t stride[kMaxDims][kMaxDims];  // stride[k]: of indices[k]; 0 broadcasts
  int64_t limit[kMaxDims];             // extent of the axis that indices[k] runs along
  int64_t weight[kMaxDims];            // product of the limits behind k: row-major
  int64_t axis[kMaxDims];              // for messages

  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= extent[i];
    return n;
  }
  static RavelIndexShape make(int count, const Array* const* indices, const Dims& limits,
                              const Dims& axes, Dims* y_shape);
  bool operator==(const RavelIndexShape&) const = default;
};

std::string explain_ravel_index(const void* shape, const ErrorSlot&);

DLX_DECLARE_KERNEL(ravel_index)

namespace ops {
inline constexpr Op ravel_index{
    .name = "ravel_index",
    .kernels = DLX_KERNELS(ravel_index),
    .strided = true,
    .can_fail = true,
    .baseline = true,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const RavelIndexShape*>(shape);
          int64_t elements = s.size();
          for (int k = 0; k < s.count; ++k) {  // what is broadcast is read once
            int64_t read = 1;
            for (int i = 0; i < s.ndim; ++i) read *= s.stride[k][i] ? s.extent[i] : 1;
            elements += read;
          }
          return Cost{2 * s.count * s.size(), 8 * elements};
        },
    .explain = explain_ravel_index,
};
}  // namespace ops

}  // namespace dlx
