// Convolution of each channel by itself, 3x3 and 5x5 kernels at stride 1: when it serves, how it is
// cut, running it.
#pragma once
#include <optional>

#include "ops/conv2d.h"
#include "ops/conv_depthwise_table.h"

namespace dlx {

struct DepthwisePlan {
  DepthwiseShape shape;
  DType dtype;
  int64_t grain;          // tasks of a chunk
  int64_t scratch_bytes;  // of one thread
};

// Nothing where another algorithm is chosen.
std::optional<DepthwisePlan> plan_depthwise_conv2d(const Conv2dShape&);
std::optional<DepthwisePlan> plan_depthwise_conv_transpose2d(const Conv2dShape&);

int64_t depthwise_workspace(const DepthwisePlan&);
void run_depthwise(const DepthwisePlan&, const void* x, const void* w, const void* bias, void* y,
                   void* workspace);

// The weight gradient, where the algorithm applies.
bool depthwise_applies(const Conv2dShape&);
int64_t depthwise_weight_workspace(const Conv2dShape&);
void run_depthwise_weight(const Conv2dShape&, const void* x, const void* dy, void* dw,
                          void* workspace);

}  // namespace dlx
