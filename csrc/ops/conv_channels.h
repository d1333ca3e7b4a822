// Convolution by lanes of channels (conv_channels.kernel.cc): when it serves, how it is cut,
// running it. A task copies the rows of the image that it reads, and computes all channels of its
// pixels.
#pragma once
#include <optional>

#include "ops/conv2d_plan.h"

namespace dlx {

struct ConvChannelsPlan {
  DType dtype;
  int64_t N, groups, C, M;  // C: channels of a group that are read, M: that are written
  bool direct;              // conv_direct computes: lanes are pixels, not channels
  int64_t height;           // channels of a panel of weights
  bool in_place;            // the images are read where they lie: `rows` describes them
  bool lanes;               // rows are copied by vectors of channels, else as planes
  ConvLanes rows;           // the copy of a task whose pixels begin at u = 0
  int64_t copy_bytes;       // of one task
  int64_t row_step;         // rows of the image from one row of pixels to the next
  int64_t block, blocks;    // rows of pixels of a task, tasks along them
  int64_t task_channels, channel_tasks;
  std::vector<int64_t> offsets, weight_offsets;
  std::vector<ConvProduct> products;  // one for each phase of the stride: (rows, columns)
  std::vector<int64_t> out_first, packed_first;  // elements; bytes
  int joined;                                    // phases of the columns
  ConvWeights weights;
  int64_t packed_bytes;
};

// Nothing where another algorithm is chosen.
std::optional<ConvChannelsPlan> plan_channels_conv2d(const Conv2dShape&);
std::optional<ConvChannelsPlan> plan_channels_conv_transpose2d(const Conv2dShape&);

int64_t channels_workspace(const ConvChannelsPlan&);
void run_channels(const ConvChannelsPlan&, const void* images, const void* w, const void* bias,
                  void* out, void* workspace);

}  // namespace dlx
