// The input gradient by columns (conv_columns.kernel.cc): when it serves, how it is cut, running
// it. A task computes the columns of some channels of a few images, which stay in L2, and adds them
// up.
#pragma once
#include <optional>

#include "ops/conv2d_plan.h"
#include "ops/conv_columns_table.h"

namespace dlx {

struct ConvColumnsPlan {
  DType dtype;
  int64_t N, parts;  // parts: tasks along the channels' blocks
  ConvFold fold;
  std::vector<FoldTap> taps;  // of all phases
  std::vector<FoldPhase> rows, cols;
  int64_t packed_bytes, pixels_bytes, columns_bytes;  // the last two of each worker
};

// Nothing where another algorithm is chosen.
std::optional<ConvColumnsPlan> plan_columns_conv_transpose2d(const Conv2dShape&);
int64_t columns_workspace(const ConvColumnsPlan&);
void run_columns(const ConvColumnsPlan&, const void* dy, const void* w, const void* bias, void* dx,
                 void* workspace);

}  // namespace dlx
