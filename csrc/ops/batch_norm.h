// Batch normalisation: S. Ioffe and C. Szegedy, "Batch normalization" (2015).
#pragma once
#include <string>
#include <utility>

#include "core/launch.h"

namespace dlx {

// x, y, dy, dx: (N, C, L), L the product of all dimensions after the second  gamma, beta, dgamma,
// dbeta: (C,)  mean, rstd, var: (C,) float64, whatever the dtype of x: a float32 mean would lose
// digits of x - mean when |mean| >> std
struct BatchNormShape {
  DType dtype;  // float32 or float64
  int64_t N, C, L;
  bool has_gamma, has_beta;  // absent: 1, 0
  bool training;             // the gradient goes through mean and rstd as well
  double eps;
  // Epilogues of y, in this order: + r, an input like x after the others; relu.
  bool adds = false, relu = false;

  constexpr int64_t size() const { return N * C * L; }
  int64_t parameters() const { return C * (has_gamma + has_beta); }
  static BatchNormShape make(const char* op, const Array& x, const Array* gamma, const Array* beta,
                             bool training, double eps);
  void check_statistic(const char* op, const char* what, const Array& a, DType expected) const;
  bool operator==(const BatchNormShape&) const = default;
};

int64_t batch_norm_workspace(const void* shape);
namespace cuda {
int64_t batch_norm_workspace(const void* shape);
}

DLX_DECLARE_KERNEL(batch_norm)
DLX_DECLARE_KERNEL(batch_norm_apply)
DLX_DECLARE_KERNEL(batch_norm_inference)
DLX_DECLARE_KERNEL(batch_norm_backward)

namespace ops {

// kFlops for each element; kArrays like x, kStatistics float64 and kGradients like gamma.
template <int kFlops, int kArrays, int kStatistics, int kGradients>
Cost batch_norm_cost(const void* shape) {
  const auto& s = *static_cast<const BatchNormShape*>(shape);
  const int64_t elements = (kArrays + s.adds) * s.size() + s.parameters() + kGradients * s.C;
  return {kFlops * s.size(), elements * size_of(s.dtype) + kStatistics * s.C * 8};
}

inline std::string batch_norm_label(const char* name, const void* shape) {
  const auto& s = *static_cast<const BatchNormShape*>(shape);
  return std::string(name) + (s.adds ? " + add" : "") + (s.relu ? " + relu" : "");
}

inline bool batch_norm_absorb(void* shape, Epilogue epilogue) {
  auto& s = *static_cast<BatchNormShape*>(shape);
  if (s.relu || epilogue == Epilogue::relu_backward) return false;
  bool& its = epilogue == Epilogue::relu ? s.relu : s.adds;
  return !std::exchange(its, true);
}

// x, gamma, beta, r, mean, rstd, var -> y of batch_norm, in one pass
inline constexpr Op batch_norm_apply{
    .name = "batch_norm_apply",
    .kernels = DLX_KERNELS(batch_norm_apply),
    .cost = batch_norm_cost<4, 2, 3, 0>,
    .workspace = {batch_norm_workspace, DLX_IF_CUDA(cuda::batch_norm_workspace)},
    .cheap = true,
    .label = [](const void* s) { return batch_norm_label("batch_norm_apply", s); },
};
// x, gamma, beta -> y, mean, rstd, var: y = (x - mean) rstd gamma + beta, mean and (biased) var
// over N and L, rstd = 1 / sqrt(var + eps)
inline constexpr Op batch_norm{
    .name = "batch_norm",
    .kernels = DLX_KERNELS(batch_norm),
    .cost = batch_norm_cost<8, 2, 3, 0>,  // sum, square and normalise: 1 + 3 + 4
    .workspace = {batch_norm_workspace, DLX_IF_CUDA(cuda::batch_norm_workspace)},
    .again = &batch_norm_apply,
    .absorb = batch_norm_absorb,
    .label = [](const void* s) { return batch_norm_label("batch_norm", s); },
};
// x, running_mean, running_var (of x's dtype), gamma, beta -> y, in one pass
inline constexpr Op batch_norm_inference{
    .name = "batch_norm_inference",
    .kernels = DLX_KERNELS(batch_norm_inference),
    .cost = batch_norm_cost<4, 2, 0, 2>,
    .workspace = {batch_norm_workspace, DLX_IF_CUDA(cuda::batch_norm_workspace)},
    .cheap = true,
    .absorb = batch_norm_absorb,
    .label = [](const void* s) { return batch_norm_label("batch_norm_inference", s); },
};
// dy, x, mean, rstd, gamma -> dx, dgamma, dbeta, with d = x - mean: dbeta = sum dy,
// dgamma = rstd sum dy d, dx = gamma rstd (dy - mean(dy) - d rstd^2 mean(dy d));
// unless training dx = gamma rstd dy
inline constexpr Op batch_norm_backward{
    .name = "batch_norm_backward",
    .kernels = DLX_KERNELS(batch_norm_backward),
    .cost = batch_norm_cost<11, 3, 2, 2>,  // sums 1 + 4, dx 6
    .workspace = {batch_norm_workspace, DLX_IF_CUDA(cuda::batch_norm_workspace)},
};

}  // namespace ops
}  // namespace dlx
