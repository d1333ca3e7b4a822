// Group normalisation: Y. Wu and K. He, "Group normalization" (2018).
#pragma once
#include "core/launch.h"

namespace dlx {

// x, y, dy, dx: (N, C, L), L the product of all dimensions after the second, at least 1; also
// (N * G, D), a row for each group of C / G channels  gamma, beta, dgamma, dbeta: (C)
// mean, rstd: (N, G) float64, as batch_norm's
struct GroupNormShape {
  DType dtype;  // float32 or float64
  int64_t N, C, L, G;
  bool has_gamma, has_beta;  // absent: 1, 0
  double eps;

  constexpr int64_t size() const { return N * C * L; }
  constexpr int64_t rows() const { return N * G; }
  constexpr int64_t planes() const { return N * C; }
  constexpr int64_t channels() const { return C / G; }  // of a group
  constexpr int64_t D() const { return channels() * L; }
  // Of a group; 1 for none, so that statistics and gradients of nothing are 0.
  constexpr double values() const { return D() ? static_cast<double>(D()) : 1; }
  static GroupNormShape make(const char* op, const Array& x, int64_t groups, const Array* gamma,
                             const Array* beta, double eps);
  bool operator==(const GroupNormShape&) const = default;
};

int64_t group_norm_workspace(const void* shape);
int64_t group_norm_backward_workspace(const void* shape);
namespace cuda {
int64_t group_norm_workspace(const void* shape);
int64_t group_norm_backward_workspace(const void* shape);
}  // namespace cuda

DLX_DECLARE_KERNEL(group_norm)
DLX_DECLARE_KERNEL(group_norm_backward)

namespace ops {

template <int kFlops, int kArrays, int kGradients>
Cost group_norm_cost(const void* shape) {
  const auto& s = *static_cast<const GroupNormShape*>(shape);
  const int64_t like_gamma = s.has_gamma + s.has_beta + kGradients;
  return {kFlops * s.size(),
          (kArrays * s.size() + like_gamma * s.C) * size_of(s.dtype) + 2 * s.rows() * 8};
}

// x, gamma, beta -> y, mean, rstd: y = (x - mean) rstd gamma + beta, mean and var over D,
// rstd = 1 / sqrt(var + eps)
inline constexpr Op group_norm{
    .name = "group_norm",
    .kernels = DLX_KERNELS(group_norm),
    .cost = group_norm_cost<8, 2, 0>,  // sum, square and normalise: 1 + 3 + 4
    .workspace = {group_norm_workspace, DLX_IF_CUDA(cuda::group_norm_workspace)},
};
// dy, x, mean, rstd, gamma -> dx, dgamma, dbeta, with g = dy gamma, d = x - mean, means over D:
// dx = rstd (g - mean(g) - d rstd^2 mean(g d)), dgamma = sum over N and L of dy d rstd,
// dbeta = sum dy
inline constexpr Op group_norm_backward{
    .name = "group_norm_backward",
    .kernels = DLX_KERNELS(group_norm_backward),
    .cost = group_norm_cost<12, 3, 2>,  // sums 1 + 4, dx 7
    .workspace = {group_norm_backward_workspace, DLX_IF_CUDA(cuda::group_norm_backward_workspace)},
};

}  // namespace ops
}  // namespace dlx
