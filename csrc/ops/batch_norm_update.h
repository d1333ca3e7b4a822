// The running statistics of batch normalisation, in place.
#pragma once
#include "core/launch.h"

namespace dlx {

// mean, var: (C,) float64, of n values  running_mean, running_var: (C,)  count: () int64
struct BatchNormUpdateShape {
  DType dtype;  // of running_mean and running_var
  int64_t C, n;
  bool cumulative;  // the factor is 1 / count
  bool counted;     // there is a count
  double momentum;  // the factor otherwise
  static BatchNormUpdateShape make(const Array& mean, const Array& var, const Array& running_mean,
                                   const Array& running_var, const Array* count, int64_t n,
                                   bool cumulative, double momentum);
  bool operator==(const BatchNormUpdateShape&) const = default;
};

DLX_DECLARE_KERNEL(batch_norm_update)

namespace ops {

// mean, var -> running_mean, running_var[, count]: count += 1,
// running += factor (statistic - running), var times n / (n - 1). Nothing but the count for n = 0.
inline constexpr Op batch_norm_update{
    .name = "batch_norm_update",
    .kernels = DLX_KERNELS(batch_norm_update),
    .baseline = true,
    .updates = 0b111,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const BatchNormUpdateShape*>(shape);
          return Cost{7 * s.C, s.C * (16 + 4 * size_of(s.dtype))};
        },
};

}  // namespace ops
}  // namespace dlx
