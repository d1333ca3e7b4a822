// A chain or tree of pointwise launches over the same elements as one launch: block by block, each
// step by the function of its own launch, so that the results have the same bits. What only later
// steps read never leaves the nearest cache. dlx.jit makes these (program/fusion.cc).
#pragma once
#include <string>

#include "core/launch.h"
#include "ops/map.h"

namespace dlx {

constexpr int kMaxFusedSteps = 12;
constexpr int kMaxFusedArrays = 24;
constexpr int64_t kFusedScratch = 128 << 10;  // bytes, of a thread's stack

// One launch of the group.
struct FusedStep {
  MapShape map;  // of a cast: one dense operand of map.dtype, and no row
  DType to;      // of the result
  bool is_cast;  // else a row of the table
  bool selects;  // the first operand is a mask
  int8_t operands;
  int8_t array[kMaxMapInputs];  // operand k is this input of the group; -1: none of them
  int8_t step[kMaxMapInputs];   // operand k is the result of this step; -1: of none
  int8_t stored;                // output of the group that the result is; -1: none
  int8_t block;                 // that holds the result until its last reader

  bool operator==(const FusedStep&) const = default;
};

struct FusedShape {
  int64_t n;
  int32_t steps, inputs, outputs, blocks;
  FusedStep step[kMaxFusedSteps];

  int64_t scratch() const;   // bytes that a thread needs
  std::string text() const;  // "fused(add, relu_backward)"
  Cost cost() const;
  bool operator==(const FusedShape&) const = default;
};

DLX_DECLARE_KERNEL(fused)

namespace ops {
// inputs -> outputs, as the steps have them; output 0 is the last step's
inline constexpr Op fused{
    .name = "fused",
    .kernels = DLX_KERNELS(fused),
    .strided = true,
    .cost = [](const void* shape) { return static_cast<const FusedShape*>(shape)->cost(); },
    .cheap = true,
    .label = [](const void* shape) { return static_cast<const FusedShape*>(shape)->text(); },
};
}  // namespace ops

}  // namespace dlx
