// The negative log likelihood: loss = -weight[t] x_t, x being log probabilities and t the label.
// x: (N, C, inner)  target: (N, inner) int64  weight: (C), optional  loss: (N, inner), or () for
// mean and sum. Positions whose label is ignore_index count as 0; the mean divides by total: ()
// float64, the sum of weight[t] of the others.
#pragma once
#include "core/launch.h"
#include "ops/cross_entropy.h"

namespace dlx {

using NllLossShape = CrossEntropyShape;  // without label_smoothing

DLX_DECLARE_KERNEL(nll_loss)
DLX_DECLARE_KERNEL(nll_loss_backward)

namespace cuda {
int64_t nll_loss_workspace(const void* shape);
}

Cost nll_loss_cost(const void* shape);
Cost nll_loss_backward_cost(const void* shape);
std::string explain_nll_loss(const void* shape, const ErrorSlot&);

namespace ops {
// x, target[, weight] -> loss, total
inline constexpr Op nll_loss{
    .name = "nll_loss",
    .kernels = DLX_KERNELS(nll_loss),
    .can_fail = true,
    .cost = nll_loss_cost,
    .workspace = {cross_entropy_workspace, DLX_IF_CUDA(cuda::nll_loss_workspace)},
    .explain = explain_nll_loss,
};
// dloss, target, total[, weight] -> dx = -dloss weight[t] at the label, divided as the loss was;
// 0 elsewhere
inline constexpr Op nll_loss_backward{
    .name = "nll_loss_backward",
    .kernels = DLX_KERNELS(nll_loss_backward),
    .baseline = true,
    .cost = nll_loss_backward_cost,
};
}  // namespace ops

}  // namespace dlx
