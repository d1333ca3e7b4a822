// Winograd's convolution of 3x3 kernels at stride 1: when it serves, how it is cut, running it.
#pragma once
#include <optional>

#include "ops/conv2d.h"
#include "ops/conv_winograd_table.h"

namespace dlx {

struct WinogradPlan {
  WinogradShape shape;
  DType dtype;
  int tile;                             // O
  int64_t panels;                       // of a group's weights
  int64_t blocks, parts;                // tasks of a group: blocks of tiles, parts of the panels
  int64_t packed_bytes, scratch_bytes;  // of all weights, of one thread
};

// Nothing where another algorithm is chosen.
std::optional<WinogradPlan> plan_winograd_conv2d(const Conv2dShape&);
std::optional<WinogradPlan> plan_winograd_conv_transpose2d(const Conv2dShape&);

int64_t winograd_workspace(const WinogradPlan&);
void run_winograd(const WinogradPlan&, const void* x, const void* w, const void* bias, void* y,
                  void* workspace);

}  // namespace dlx
