// Layer normalisation: J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization" (2016).
#pragma once
#include "core/launch.h"

namespace dlx {

// x, y, dy, dx: (M, D), D the product of the normalised dimensions, which come last
// gamma, beta, dgamma, dbeta: (D)  mean, rstd: (M) float64, as batch_norm's
struct LayerNormShape {
  DType dtype;  // float32 or float64
  int64_t M, D;
  bool has_gamma, has_beta;  // absent: 1, 0
  double eps;

  int64_t size() const { return M * D; }
  // The last `dims` dimensions of x are normalised.
  static LayerNormShape make(const char* op, const Array& x, int dims, const Array* gamma,
                             const Array* beta, double eps);
  bool operator==(const LayerNormShape&) const = default;
};

int64_t layer_norm_backward_workspace(const void* shape);

namespace cuda {
int64_t layer_norm_backward_workspace(const void* shape);
}

DLX_DECLARE_KERNEL(layer_norm)
DLX_DECLARE_KERNEL(layer_norm_backward)

namespace ops {

template <int kFlops, int kArrays, int kGradients>
Cost layer_norm_cost(const void* shape) {
  const auto& s = *static_cast<const LayerNormShape*>(shape);
  const int64_t like_gamma = s.has_gamma + s.has_beta + kGradients;
  return {kFlops * s.size(),
          (kArrays * s.size() + like_gamma * s.D) * size_of(s.dtype) + 2 * s.M * 8};
}

// x, gamma, beta -> y, mean, rstd: y = (x - mean) rstd gamma + beta, mean and var over D,
// rstd = 1 / sqrt(var + eps)
inline constexpr Op layer_norm{
    .name = "layer_norm",
    .kernels = DLX_KERNELS(layer_norm),
    .cost = layer_norm_cost<8, 2, 0>,  // sum, square and normalise: 1 + 3 + 4
};
// dy, x, mean, rstd, gamma -> dx, dgamma, dbeta, with g = dy gamma, d = x - mean:
// dx = rstd (g - mean(g) - d rstd^2 mean(g d)), dgamma = sum over M of dy d rstd, dbeta = sum dy
inline constexpr Op layer_norm_backward{
    .name = "layer_norm_backward",
    .kernels = DLX_KERNELS(layer_norm_backward),
    .cost = layer_norm_cost<16, 3, 2>,  // g 1, sums 1 + 4, dx 5, parameters 5
    .workspace = {layer_norm_backward_workspace, DLX_IF_CUDA(cuda::layer_norm_backward_workspace)},
};

}  // namespace ops
}  // namespace dlx
