// Convolutions that are plain matrix products, of each group:
//   1x1, stride 1, no padding:  y (K, PQ) = w (K,C) @ x (C, HW) for each image
//   kernels as large as images: y (N,K) = x (N, CRS) @ w (K, CRS)^T, one pixel an image
// and their gradients.
#pragma once
#include <optional>

#include "gemm/gemm.h"
#include "ops/conv2d.h"

namespace dlx {

// Nothing where another algorithm is chosen.
std::optional<GemmShape> plan_matmul_conv2d(const Conv2dShape&);
std::optional<GemmShape> plan_matmul_conv_transpose2d(const Conv2dShape&);
// bias: one number for each channel of the result, or null
void run_matmul_conv2d(const Conv2dShape&, const GemmShape&, const void* x, const void* w,
                       const void* bias, void* y, void* workspace);
void run_matmul_conv_transpose2d(const Conv2dShape&, const GemmShape&, const void* dy,
                                 const void* w, const void* bias, void* dx, void* workspace);

// Kernels as large as images: dw (K, CRS) = dy (N,K)^T @ x (N, CRS)
bool covers_image(const Conv2dShape&);
GemmShape matmul_backward_weight(const Conv2dShape&);

}  // namespace dlx
