// A 1x1 convolution of stride 1 without padding: a plain product of matrices for each image,
// y (K, HW) = w (K,C) @ x (C, HW), and its input gradient with w transposed.
#pragma once
#include <optional>

#include "gemm/gemm.h"
#include "ops/conv2d.h"

namespace dlx {

// Nothing where another algorithm is chosen.
std::optional<GemmShape> plan_pointwise_conv2d(const Conv2dShape&);
std::optional<GemmShape> plan_pointwise_conv_transpose2d(const Conv2dShape&);

// bias: one number for each channel of the result, or null
void run_pointwise(const GemmShape&, const void* images, const void* w, const void* bias, void* out,
                   void* workspace);

}  // namespace dlx
