// The weight gradient by outer products: how it is cut, and its run.
#pragma once
#include "ops/conv2d_plan.h"

namespace dlx {

struct ConvOuterPlan {
  DType dtype;
  int64_t N;
  ConvLanes lanes;
  ConvImages elements;  // of the other side
  std::vector<int64_t> element_offset, vector_offset;
  ConvOuter product;
  ConvOuterSums sums;
  int64_t groups, per_pass;   // images of a pass
  int64_t rows, cols, piece;  // of a task
  int64_t lanes_bytes, sums_bytes;
};

// Where the images that conv2d reads can be held whole.
bool conv_outer_applies(const Conv2dShape&);
// The lanes are channels of x, or else of dy.
ConvOuterPlan plan_conv_outer(const Conv2dShape&, bool lanes_of_x);
int64_t conv_outer_workspace(const ConvOuterPlan&);
void run_conv_outer(const ConvOuterPlan&, const void* x, const void* dy, void* dw, void* workspace);

}  // namespace dlx
