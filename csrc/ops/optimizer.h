// One step of SGD, Adam or AdamW on many tensors at once, in place, with PyTorch's formulas. What
// changes between steps stands in buffers: lr, weight_decay, step, grad_scale, skip.
#pragma once
#include "core/launch.h"

namespace dlx {

enum class OptimizerKind : int32_t { sgd, adam, adamw };

// Every output is read and written, and Op.updates has 64 bits: step, then p and its states.
constexpr int kMaxOptimizerTensors = 63;

// lr, weight_decay: (G,) float64, by group  grad_scale: () float32, a factor of every gradient
// skip: () bool, true: nothing changes  step: () int64, steps done before this one
// g[i], p[i], states[i]: any shapes of sizes[i] elements, all of one dtype.
// States are momentum_buffer of SGD with momentum; exp_avg and exp_avg_sq of Adam.
struct OptimizerShape {
  OptimizerKind kind;
  DType dtype;  // float32 or float64
  bool nesterov, maximize;
  bool advance;                // writes step + 1: the last of the launches of one step does
  double momentum, dampening;  // SGD
  double beta1, beta2, eps;    // Adam
  int32_t count;
  int32_t group[kMaxOptimizerTensors];
  int64_t size[kMaxOptimizerTensors];

  // hyper: (momentum, dampening, nesterov, maximize) of SGD, (beta1, beta2, eps, maximize) of Adam.
  static OptimizerShape make(int kind, std::span<const double> hyper, const Array& lr,
                             const Array& weight_decay, const Array& step, const Array& grad_scale,
                             const Array& skip);
  // Checks tensor `index` of the call.
  void check(int64_t index, const Array& p, const Array& g, std::span<const Array* const> states,
             int64_t its_group, const Array& lr) const;

  int states() const { return kind == OptimizerKind::sgd ? momentum != 0 : 2; }
  int tensors_per_launch() const { return kMaxOptimizerTensors / (1 + states()); }
  int64_t elements() const {
    int64_t n = 0;
    for (int i = 0; i < count; ++i) n += size[i];
    return n;
  }
};

namespace cpu {
void optimizer_step(Ctx&, const void* shape, void* const* buffers, void* workspace);
}

namespace ops {

// lr, weight_decay, grad_scale, skip, g[count] -> step, p[count], states[0][count],
// states[1][count]
inline constexpr Op optimizer_step{
    .name = "optimizer_step",
    .kernels = {cpu::optimizer_step},
    .updates = ~uint64_t{0},
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const OptimizerShape*>(shape);
          const int64_t n = s.elements();
          // Scale and step, with the momentum's 3 + 2 (Nesterov); Adam's means 7, its step 7.
          const int64_t flops =
              s.kind == OptimizerKind::sgd ? 3 + (s.momentum != 0 ? 3 + 2 * s.nesterov : 0) : 15;
          return Cost{n * flops, n * (3 + 2 * s.states()) * size_of(s.dtype)};
        },
};

}  // namespace ops
}  // namespace dlx
