// The losses of pairs of numbers (formulas: see PairLoss), each an op of its own.
// x, target: (n), of one shape  weight, parameters: (n), optional
// loss: (n), or () for mean (over n, whatever the weights) and sum
#pragma once
#include "core/launch.h"
#include "ops/cross_entropy.h"
#include "ops/pair_loss_table.h"

namespace dlx {

struct PairLossShape {
  DType dtype;  // float32 or float64
  LossReduction reduction;
  PairLoss kind;
  bool weighted;      // weight stands behind target
  bool parametrised;  // parameters stand behind that
  double parameter;   // for all, where they do not
  int64_t n;

  Dims loss_shape(const Array& x) const {
    return reduction == LossReduction::none ? x.shape : Dims{};
  }
  int64_t losses() const { return reduction == LossReduction::none ? n : 1; }
  // weight, parameters: of x's shape and dtype, or null
  static PairLossShape make(const char* op, PairLoss kind, const Array& x, const Array& target,
                            const Array* weight, const Array* parameters, double parameter,
                            LossReduction reduction);
  bool operator==(const PairLossShape&) const = default;
};

DLX_DECLARE_KERNEL(pair_loss)
DLX_DECLARE_KERNEL(pair_loss_backward)

namespace cpu {
int64_t pair_loss_workspace(const void* shape);
}
namespace cuda {
int64_t pair_loss_workspace(const void* shape);
}
Cost pair_loss_cost(const void* shape);
Cost pair_loss_backward_cost(const void* shape);
// A probability outside [0, 1]: throws a ValueError, where error slots are IndexErrors.
std::string explain_probability(const void* shape, const ErrorSlot&);

namespace ops {

// x, target[, weight][, parameters] -> loss
inline constexpr Op l1_loss{
    .name = "l1_loss",
    .kernels = DLX_KERNELS(pair_loss),
    .cost = pair_loss_cost,
    .workspace = {cpu::pair_loss_workspace, DLX_IF_CUDA(cuda::pair_loss_workspace)}};
inline constexpr Op smooth_l1_loss{
    .name = "smooth_l1_loss",
    .kernels = DLX_KERNELS(pair_loss),
    .cost = pair_loss_cost,
    .workspace = {cpu::pair_loss_workspace, DLX_IF_CUDA(cuda::pair_loss_workspace)}};
inline constexpr Op huber_loss{
    .name = "huber_loss",
    .kernels = DLX_KERNELS(pair_loss),
    .cost = pair_loss_cost,
    .workspace = {cpu::pair_loss_workspace, DLX_IF_CUDA(cuda::pair_loss_workspace)}};
inline constexpr Op binary_cross_entropy{
    .name = "binary_cross_entropy",
    .kernels = DLX_KERNELS(pair_loss),
    .can_fail = true,
    .cost = pair_loss_cost,
    .workspace = {cpu::pair_loss_workspace, DLX_IF_CUDA(cuda::pair_loss_workspace)},
    .explain = explain_probability};
inline constexpr Op binary_cross_entropy_with_logits{
    .name = "binary_cross_entropy_with_logits",
    .kernels = DLX_KERNELS(pair_loss),
    .cost = pair_loss_cost,
    .workspace = {cpu::pair_loss_workspace, DLX_IF_CUDA(cuda::pair_loss_workspace)}};
inline constexpr Op kl_div{
    .name = "kl_div",
    .kernels = DLX_KERNELS(pair_loss),
    .cost = pair_loss_cost,
    .workspace = {cpu::pair_loss_workspace, DLX_IF_CUDA(cuda::pair_loss_workspace)}};

// dloss, x, target[, weight][, parameters] -> dx = dloss weight dloss/dx, over n for the mean
inline constexpr Op l1_loss_backward{.name = "l1_loss_backward",
                                     .kernels = DLX_KERNELS(pair_loss_backward),
                                     .cost = pair_loss_backward_cost};
inline constexpr Op smooth_l1_loss_backward{.name = "smooth_l1_loss_backward",
                                            .kernels = DLX_KERNELS(pair_loss_backward),
                                            .cost = pair_loss_backward_cost};
inline constexpr Op huber_loss_backward{.name = "huber_loss_backward",
                                        .kernels = DLX_KERNELS(pair_loss_backward),
                                        .cost = pair_loss_backward_cost};
inline constexpr Op binary_cross_entropy_backward{.name = "binary_cross_entropy_backward",
                                                  .kernels = DLX_KERNELS(pair_loss_backward),
                                                  .cost = pair_loss_backward_cost};
inline constexpr Op binary_cross_entropy_with_logits_backward{
    .name = "binary_cross_entropy_with_logits_backward",
    .kernels = DLX_KERNELS(pair_loss_backward),
    .cost = pair_loss_backward_cost};
inline constexpr Op kl_div_backward{.name = "kl_div_backward",
                                    .kernels = DLX_KERNELS(pair_loss_backward),
                                    .cost = pair_loss_backward_cost};

}  // namespace ops

}  // namespace dlx
