// What optimizer.kernel.cc gives for each instruction set.
#pragma once
#include <cstdint>

namespace dlx {

enum class Momentum : uint8_t { none, first, running };  // first: the buffer starts at g

// The numbers of one step of one tensor; kernels round them once to the dtype they work in.
struct OptimizerNumbers {
  double grad_scale;    // g is multiplied by it; negative to maximize
  double weight_decay;  // of p, added to g; 0: left out
  double lr;            // Adam's is divided by its first bias correction, 1 - beta1^t
  // SGD
  Momentum momentum_kind;
  bool nesterov;
  double momentum, undampened;  // undampened = 1 - dampening
  // Adam
  double beta1, beta2, eps;
  double root_of_correction;  // sqrt(1 - beta2^t)
  double decay;               // p is multiplied by it first: AdamW's 1 - lr * weight_decay, else 1
};

// p, g, s1, s2: (n,) each; s1 and s2 are what the optimizer keeps, null where it keeps nothing.
using OptimizerFunction = void (*)(const OptimizerNumbers&, void* p, const void* g, void* s1,
                                   void* s2, int64_t n);

struct OptimizerTable {
  OptimizerFunction sgd[2], adam[2];  // float32, float64
};

}  // namespace dlx
