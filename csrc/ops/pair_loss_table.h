// What pair_loss.kernel.cc gives for each instruction set.
#pragma once
#include <cstdint>

namespace dlx {

// The losses of pairs of numbers; p is the loss's parameter.
enum class PairLoss : int32_t {
  l1,                    // |x - t|
  smooth_l1,             // (x - t)^2 / (2 p) where |x - t| < p, |x - t| - p / 2 elsewhere
  huber,                 // p times smooth_l1
  binary_cross_entropy,  // -(t log x + (1 - t) log(1 - x)), the logarithms at least -100
  with_logits,  // the same of x = sigmoid(score), t's part times p: (1 - t) x + (1 + (p - 1) t) s,
                // s = log(1 + e^-x)
  kl_div,       // t (log t - x), 0 where t is 0
};
constexpr int kPairLosses = 6;

// One run of n pairs. weight: (n), or null for ones; parameters: (n), or null for `parameter`.
struct PairRun {
  const void *x, *target, *weight, *parameters;
  double parameter;
  int64_t n;
};

// [1]: float64, [0]: float32.
struct PairLossTable {
  void (*losses[kPairLosses][2])(const PairRun&, void* y);  // y = weight loss
  double (*sum[kPairLosses][2])(const PairRun&);            // of the same
  // dx = scale dy weight dloss/dx; dy: (n), or null for ones
  void (*slopes[kPairLosses][2])(const PairRun&, const void* dy, double scale, void* dx);
  int64_t (*first_outside[2])(const void* x,
                              int64_t n);  // of [0, 1], NaN aside; n if there is none
  double (*total)(const double* x, int64_t n);
};

}  // namespace dlx
