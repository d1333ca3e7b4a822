// How a kernel says that an index or a label is out of range. It clamps and goes on.
#pragma once
#include <cstdint>

#include "cuda/core/context.h"
#include "cuda/core/device.h"

namespace dlx::cuda {

// The first thread to come is the one that is heard: any of the failing elements.
__device__ inline void report(ErrorReport* slot, int64_t row, int64_t value, int64_t limit) {
  if (atomicCAS(&slot->filled, 0, 1) != 0) return;
  slot->row = row;
  slot->value = value;
  slot->limit = limit;
}

}  // namespace dlx::cuda
