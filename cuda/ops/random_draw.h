// What every op that draws shares: its turn at the generator's cell, and the elements of a thread.
#pragma once
#include "cuda/core/context.h"
#include "cuda/core/grid.h"
#include "cuda/core/numbers.h"
#include "cuda/core/pack.h"
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

// The elements that a thread works on: those that are there from x on, at most `count`. whole: all
// are there, and x is aligned.
template <class T, int count>
struct alignas(count * sizeof(T) < kAccessBytes ? count * sizeof(T) : kAccessBytes) Few {
  T value[count];

  __device__ void load(const T* x, int64_t there, bool whole) {
    if (whole) {
      *this = *reinterpret_cast<const Few*>(x);
    } else {
#pragma unroll
      for (int k = 0; k < count; ++k) value[k] = k < there ? x[k] : T{};
    }
  }
  __device__ void store(T* y, int64_t there, bool whole) const {
    if (whole) {
      *reinterpret_cast<Few*>(y) = *this;
    } else {
#pragma unroll
      for (int k = 0; k < count; ++k)
        if (k < there) y[k] = value[k];
    }
  }
};

}  // namespace
}  // namespace dlx::cuda
