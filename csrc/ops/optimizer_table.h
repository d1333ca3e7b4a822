// What optimizer.kernel.cc gives for each instruction set.
#pragma once
#include <cstdint>

namespace dlx {

enum class OptimizerKind : int32_t { sgd, adam, adamw, rmsprop, adagrad, adadelta };
constexpr int kOptimizerKinds = 6, kMaxOptimizerStates = 3;

enum class Momentum : uint8_t { none, first, running };  // first: the buffer starts at g

// The numbers of one step of one tensor; kernels round them once to the dtype they work in.
struct OptimizerNumbers {
  double grad_scale;    // g is multiplied by it; negative to maximize
  double weight_decay;  // of p, added to g; 0: left out
  double lr;            // of this step, bias corrections and decays included: Adam's is
                        // lr root / (1 - beta1^t), with root = sqrt(1 - beta2^t)
  Momentum momentum_kind;
  bool nesterov, amsgrad, centered;
  double momentum, undampened;  // undampened = 1 - dampening
  double beta1, beta2;          // beta2: of the mean of g^2, whatever the optimizer calls it
  double eps;    // Adam's is eps root: root m / (sqrt(v) + eps root) has one division
  double decay;  // Adam multiplies p by it first: AdamW's 1 - lr * weight_decay, else 1
};

// p, g, states[k]: (n,) each; states are what the optimizer keeps, in the order of optimizer.h.
using OptimizerFunction = void (*)(const OptimizerNumbers&, void* p, const void* g,
                                   void* const* states, int64_t n);

struct OptimizerTable {
  OptimizerFunction of[kOptimizerKinds][2];  // float32, float64
};

}  // namespace dlx
