// What every op that draws shares: its turn at the generator's cell, and the elements of a thread.
#pragma once
#include "cuda/core/context.h"
#include "cuda/core/grid.h"
#include "cuda/core/numbers.h"
#include "cuda/core/pack_some.h"
#include "ops/random.h"

namespace dlx::cuda {

#include "core/philox.h"
#include "ops/math_functions.h"
#include "ops/random_functions.h"

namespace {

// A launch of its own, and atomic, so that no two draws begin at one offset, whichever threads and
// streams launch them.
// cell, start: (2,) {seed, offset}
__global__ void take_turn(uint64_t* cell, uint64_t blocks, uint64_t* start) {
  start[0] = cell[0];
  start[1] = atomicAdd(reinterpret_cast<unsigned long long*>(cell + 1),
                       static_cast<unsigned long long>(blocks));
}

inline void advance(Stream stream, void* cell, uint64_t blocks, void* start) {
  launch_grid<take_turn>(1, 1, 0, stream, static_cast<uint64_t*>(cell), blocks,
                         static_cast<uint64_t*>(start));
}

inline bool are_aligned(const void* x, const void* y) {
  return (reinterpret_cast<uintptr_t>(x) | reinterpret_cast<uintptr_t>(y)) % kAccessBytes == 0;
}

}  // namespace
}  // namespace dlx::cuda
