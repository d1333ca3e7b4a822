// Cross-correlation of images with kernels, and its two gradients. All three are linear in each
// input and one another's derivatives; any of them serves forward or backward.
//   y[n,k,p,q]  = b[k] + sum over c,r,s of w[k,c,r,s] x[n, c, h, w]
//   h = p stride_h - pad_top + r dil_h,  w = q stride_w - pad_left + s dil_w
// where x is zero outside, and an output channel k sees the input channels c of its group alone.
// x: (N,C,H,W)  w: (K,C/groups,R,S)  b: (K)  y: (N,K,P,Q)  all dense, float32 or float64
#pragma once
#include <string>
#include <utility>

#include "core/launch.h"

namespace dlx {

// P and Q (or H and W) need not follow from the others: what no p reads has gradient zero.
struct Conv2dShape {
  DType dtype;
  bool bias;
  bool exact;  // as core/precision.h has it
  int64_t N, C, H, W;
  int64_t K, R, S, P, Q;
  int64_t stride_h, stride_w, pad_top, pad_left, dil_h, dil_w, groups;
  bool relu = false;  // epilogue of y, or of conv_transpose2d's dx

  int64_t x_size() const { return N * C * H * W; }
  int64_t w_size() const { return K * (C / groups) * R * S; }
  int64_t y_size() const { return N * K * P * Q; }
  int64_t flops() const { return 2 * N * K * P * Q * (C / groups) * R * S; }
  bool operator==(const Conv2dShape&) const = default;
};

// What the caller of an op chooses, as pairs (rows, columns).
struct Conv2dOptions {
  Dims size;  // of the result: (P,Q) of y, (H,W) of dx, (R,S) of dw
  Dims stride, padding, dilation;
  int64_t groups;
};

// `op` names the caller in messages: conv1d and conv_transpose1d pass images of one row.
Conv2dShape conv2d_shape(const char* op, const Array& x, const Array& w, const Array* b,
                         const Conv2dOptions&);
// dx: (N,C,H,W) from dy: (N,K,P,Q); b: (C)
Conv2dShape conv_transpose2d_shape(const char* op, const Array& dy, const Array& w, const Array* b,
                                   const Conv2dOptions&);
Conv2dShape conv2d_backward_weight_shape(const Array& x, const Array& dy, const Conv2dOptions&);

int64_t conv2d_workspace(const void* shape);
int64_t conv_transpose2d_workspace(const void* shape);
int64_t conv2d_backward_weight_workspace(const void* shape);
namespace cuda {
int64_t conv2d_workspace(const void* shape);
int64_t conv_transpose2d_workspace(const void* shape);
int64_t conv2d_backward_weight_workspace(const void* shape);
}  // namespace cuda

DLX_DECLARE_KERNEL(conv2d)
DLX_DECLARE_KERNEL(conv_transpose2d)
DLX_DECLARE_KERNEL(conv2d_backward_weight)

namespace ops {

inline Cost conv2d_cost(const void* shape, int64_t bias, int64_t bias_flops) {
  const auto& s = *static_cast<const Conv2dShape*>(shape);
  return {s.flops() + (s.bias ? bias_flops : 0),
          (s.x_size() + s.w_size() + s.y_size() + (s.bias ? bias : 0)) * size_of(s.dtype)};
}

inline bool conv2d_absorb(void* shape, Epilogue epilogue) {
  return epilogue == Epilogue::relu && !std::exchange(static_cast<Conv2dShape*>(shape)->relu, true);
}
inline std::string conv2d_label(const char* name, const void* shape) {
  return std::string(name) + (static_cast<const Conv2dShape*>(shape)->relu ? " + relu" : "");
}

// x, w, b if there is one -> y
inline constexpr Op conv2d{
    .name = "conv2d",
    .kernels = DLX_KERNELS(conv2d),
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const Conv2dShape*>(shape);
          return conv2d_cost(shape, s.K, s.y_size());
        },
    .workspace = {conv2d_workspace, DLX_IF_CUDA(cuda::conv2d_workspace)},
    .absorb = conv2d_absorb,
    .label = [](const void* shape) { return conv2d_label("conv2d", shape); },
};
// dy, w, b if there is one -> dx: the gradient of conv2d with respect to x, plus b
inline constexpr Op conv_transpose2d{
    .name = "conv_transpose2d",
    .kernels = DLX_KERNELS(conv_transpose2d),
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const Conv2dShape*>(shape);
          return conv2d_cost(shape, s.C, s.x_size());
        },
    .workspace = {conv_transpose2d_workspace, DLX_IF_CUDA(cuda::conv_transpose2d_workspace)},
    .absorb = conv2d_absorb,
    .label = [](const void* shape) { return conv2d_label("conv_transpose2d", shape); },
};
// x, dy -> dw
inline constexpr Op conv2d_backward_weight{
    .name = "conv2d_backward_weight",
    .kernels = DLX_KERNELS(conv2d_backward_weight),
    .cost = [](const void* shape) { return conv2d_cost(shape, 0, 0); },
    .workspace = {conv2d_backward_weight_workspace,
                  DLX_IF_CUDA(cuda::conv2d_backward_weight_workspace)},
};

}  // namespace ops

}  // namespace dlx
