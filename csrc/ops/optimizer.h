// One step of an optimizer on many tensors at once, in place, with PyTorch's formulas. What changes
// between steps stands in buffers: lr, weight_decay, step, grad_scale, skip.
#pragma once
#include "core/launch.h"
#include "ops/optimizer_table.h"

namespace dlx {

// Every output is read and written, and Op.updates has 64 bits: step, then p and its states.
constexpr int kMaxOptimizerTensors = 63;

// lr, weight_decay: (G,) float64, by group  grad_scale: () float32, a factor of every gradient
// skip: () bool, true: nothing changes  step: () int64, steps done before this one
// g[i], p[i], states[i]: any shapes of sizes[i] elements, all of one dtype. Denormal numbers count
// as zero: the means of a gradient that has gone to zero decay to it, and do not end among those.
// States, in this order: SGD with momentum: momentum_buffer. Adam: exp_avg, exp_avg_sq, with
// amsgrad max_exp_avg_sq. RMSprop: square_avg, with momentum momentum_buffer, centered grad_avg.
// Adagrad: sum. Adadelta: square_avg, acc_delta.
struct OptimizerShape {
  OptimizerKind kind;
  DType dtype;  // float32 or float64
  bool maximize;
  bool advance;  // writes step + 1: the last of the launches of one step does
  bool nesterov, amsgrad, centered;
  double momentum;   // SGD, RMSprop
  double dampening;  // SGD
  double beta1;      // Adam
  double beta2;      // of the mean of g^2: Adam; alpha of RMSprop, rho of Adadelta
  double eps;        // all but SGD
  double lr_decay;   // Adagrad
  int32_t count;
  int32_t group[kMaxOptimizerTensors];
  int64_t size[kMaxOptimizerTensors];

  // hyper: maximize, then of SGD (momentum, dampening, nesterov), Adam (beta1, beta2, eps,
  // amsgrad), RMSprop (alpha, eps, momentum, centered), Adagrad (lr_decay, eps), Adadelta (rho,
  // eps).
  static OptimizerShape make(int kind, std::span<const double> hyper, const Array& lr,
                             const Array& weight_decay, const Array& step, const Array& grad_scale,
                             const Array& skip);
  // Checks tensor `index` of the call.
  void check(int64_t index, const Array& p, const Array& g, std::span<const Array* const> states,
             int64_t its_group, const Array& lr) const;

  int states() const;
  int64_t flops() const;  // of one element
  int tensors_per_launch() const { return kMaxOptimizerTensors / (1 + states()); }
  int64_t elements() const {
    int64_t n = 0;
    for (int i = 0; i < count; ++i) n += size[i];
    return n;
  }
  bool operator==(const OptimizerShape&) const = default;
};

DLX_DECLARE_KERNEL(optimizer_step)
namespace cuda {
int64_t optimizer_step_workspace(const void* shape);
}

namespace ops {

// lr, weight_decay, grad_scale, skip, g[count] -> step, p[count], states[0][count], ...:
// p = p - lr d, step = step + 1, with the d that the kind makes of g and its states
inline constexpr Op optimizer_step{
    .name = "optimizer_step",
    .kernels = DLX_KERNELS(optimizer_step),
    .updates = ~uint64_t{0},
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const OptimizerShape*>(shape);
          const int64_t n = s.elements();
          return Cost{n * s.flops(), n * (3 + 2 * s.states()) * size_of(s.dtype)};
        },
    .workspace = {nullptr, DLX_IF_CUDA(cuda::optimizer_step_workspace)},
};

}  // namespace ops
}  // namespace dlx
