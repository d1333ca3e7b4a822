// What a step's cells make of an optimizer's settings: constexpr, for a GPU's cells are in its
// memory.
#pragma once
#include "ops/optimizer.h"

namespace dlx {

constexpr bool is_adam(const OptimizerShape& s) {
  return s.kind == OptimizerKind::adam || s.kind == OptimizerKind::adamw;
}

// sqrt(1 - beta2^t), the correction of Adam's sqrt(v).
constexpr double root_of_correction(const OptimizerShape& s, int64_t t) {
  return __builtin_sqrt(1 - __builtin_pow(s.beta2, static_cast<double>(t)));
}

// All but lr, weight_decay and decay, which belong to a group. t: of this step, from 1.
constexpr OptimizerNumbers common_numbers(const OptimizerShape& s, float grad_scale, int64_t t) {
  OptimizerNumbers x{};
  x.grad_scale = static_cast<double>(s.maximize ? -grad_scale : grad_scale);
  x.momentum_kind = s.momentum == 0 ? Momentum::none : t == 1 ? Momentum::first : Momentum::running;
  x.nesterov = s.nesterov;
  x.amsgrad = s.amsgrad;
  x.centered = s.centered;
  x.momentum = s.momentum;
  x.undampened = 1 - s.dampening;
  x.beta1 = s.beta1;
  x.beta2 = s.beta2;
  x.eps = is_adam(s) ? s.eps * root_of_correction(s, t) : s.eps;
  return x;
}

// What the learning rate of step t is multiplied by.
constexpr double lr_factor(const OptimizerShape& s, int64_t t) {
  if (is_adam(s))
    return root_of_correction(s, t) / (1 - __builtin_pow(s.beta1, static_cast<double>(t)));
  if (s.kind == OptimizerKind::adagrad) return 1 / (1 + static_cast<double>(t - 1) * s.lr_decay);
  return 1;
}

constexpr OptimizerNumbers numbers_of_group(const OptimizerShape& s, const OptimizerNumbers& common,
                                            double factor, double lr, double weight_decay) {
  const bool apart = s.kind == OptimizerKind::adamw;  // the decay from the gradient
  OptimizerNumbers x = common;
  x.lr = lr * factor;
  x.weight_decay = apart ? 0 : weight_decay;
  x.decay = apart ? 1 - lr * weight_decay : 1;
  return x;
}

}  // namespace dlx
