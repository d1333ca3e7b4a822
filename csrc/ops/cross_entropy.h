// The cross entropy of scores x against class labels: log softmax and its negative expectation in
// one pass. x: (N, C, inner)  target: (N, inner) int64  weight: (C), optional  loss: (N, inner), or
// () for mean and sum Per position with label t:  loss = -sum over c of q_c log softmax(x)_c,  q =
// weight ((1 - smoothing) one_hot(t) + smoothing / C). Positions whose label is ignore_index count
// as 0; the mean divides by the sum of weight[t] of the others (PyTorch's definition). Kept for the
// gradient: norm: (2, N, inner), the maximum of x and the log of the sum of e^(x - maximum): log
// softmax without cancellation; total: () float64, that sum of weights.
#pragma once
#include "core/launch.h"

namespace dlx {

enum class LossReduction : int32_t { none, mean, sum };

struct CrossEntropyShape {
  DType dtype;  // float32 or float64
  LossReduction reduction;
  bool weighted;
  int64_t n, classes, inner;
  int64_t ignore_index;
  double label_smoothing;

  constexpr int64_t positions() const { return n * inner; }
  // label t: -1 where the position does not count
  constexpr int64_t counted(int64_t t) const {
    return t != ignore_index && t >= 0 && t < classes ? t : -1;
  }
  constexpr bool is_wrong(int64_t t) const { return t != ignore_index && (t < 0 || t >= classes); }
  Dims loss_shape(const Array& target) const {
    return reduction == LossReduction::none ? target.shape : Dims{};
  }
  // x: (C,), (N, C) or (N, C, ...)  target: x's shape without C
  static CrossEntropyShape make(const char* op, const Array& x, const Array& target,
                                const Array* weight, int64_t ignore_index, double label_smoothing,
                                LossReduction reduction);
  bool operator==(const CrossEntropyShape&) const = default;
};

DLX_DECLARE_KERNEL(cross_entropy)
DLX_DECLARE_KERNEL(cross_entropy_backward)

namespace cuda {
int64_t cross_entropy_workspace(const void* shape);
int64_t cross_entropy_backward_workspace(const void* shape);
}  // namespace cuda

int64_t cross_entropy_workspace(const void* shape);
Cost cross_entropy_cost(const void* shape);
Cost cross_entropy_backward_cost(const void* shape);
std::string explain_cross_entropy(const void* shape, const ErrorSlot&);

namespace ops {
// x, target[, weight] -> loss, norm, total
inline constexpr Op cross_entropy{
    .name = "cross_entropy",
    .kernels = DLX_KERNELS(cross_entropy),
    .can_fail = true,
    .cost = cross_entropy_cost,
    .workspace = {cross_entropy_workspace, DLX_IF_CUDA(cuda::cross_entropy_workspace)},
    .explain = explain_cross_entropy,
};
// dloss, x, target, norm, total[, weight] -> dx = dloss (sum q softmax(x) - q), divided as the loss
// was
inline constexpr Op cross_entropy_backward{
    .name = "cross_entropy_backward",
    .kernels = DLX_KERNELS(cross_entropy_backward),
    .cost = cross_entropy_backward_cost,
    .workspace = {nullptr, DLX_IF_CUDA(cuda::cross_entropy_backward_workspace)},
};
}  // namespace ops

}  // namespace dlx
