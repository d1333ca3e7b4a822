// The squared error. x, target: (n), of one shape  loss: (n), or () for mean and sum
#pragma once
#include "core/launch.h"
#include "ops/cross_entropy.h"

namespace dlx {

struct MseLossShape {
  DType dtype;  // float32 or float64
  LossReduction reduction;
  int64_t n;

  Dims loss_shape(const Array& x) const {
    return reduction == LossReduction::none ? x.shape : Dims{};
  }
  int64_t losses() const { return reduction == LossReduction::none ? n : 1; }
  static MseLossShape make(const Array& x, const Array& target, LossReduction reduction);
  bool operator==(const MseLossShape&) const = default;
};

DLX_DECLARE_KERNEL(mse_loss)
DLX_DECLARE_KERNEL(mse_loss_backward)

namespace cpu {
int64_t mse_loss_workspace(const void* shape);
}
namespace cuda {
int64_t mse_loss_workspace(const void* shape);
}

namespace ops {
// x, target -> loss = (x - target)^2, reduced
inline constexpr Op mse_loss{
    .name = "mse_loss",
    .kernels = DLX_KERNELS(mse_loss),
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const MseLossShape*>(shape);
          const bool adds = s.reduction != LossReduction::none;
          return Cost{(2 + adds) * s.n, size_of(s.dtype) * (2 * s.n + s.losses())};
        },
    .workspace = {cpu::mse_loss_workspace, DLX_IF_CUDA(cuda::mse_loss_workspace)},
};
// dloss, x, target -> dx = 2 dloss (x - target), divided by n if the mean was taken
inline constexpr Op mse_loss_backward{
    .name = "mse_loss_backward",
    .kernels = DLX_KERNELS(mse_loss_backward),
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const MseLossShape*>(shape);
          const bool each = s.reduction == LossReduction::none;
          return Cost{(2 + each) * s.n, size_of(s.dtype) * (3 * s.n + s.losses())};
        },
};
}  // namespace ops

}  // namespace dlx
