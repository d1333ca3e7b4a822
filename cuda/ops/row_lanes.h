// Copying rows that lie anywhere: a group of threads takes a row, so that neighbours read
// neighbours however long the rows are, and no thread divides by the length of a row.
#pragma once
#include <cstdint>

#include "cuda/core/grid.h"

namespace dlx::cuda {

constexpr int64_t kRowUnit = sizeof(uint4);  // bytes of the widest access

// Threads to a row of `inner` elements: a power of two, at most a block.
inline int lanes_for(int64_t inner) {
  int lanes = 1;
  while (lanes < inner && lanes < kBlockThreads) lanes *= 2;
  return lanes;
}

// body(row, first, lanes): this thread has elements first, first + lanes, ... of the row.
template <class Body>
__device__ void for_each_row(int64_t rows, int lanes, const Body& body) {
  const int64_t thread = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int64_t step = int64_t{gridDim.x} * blockDim.x / lanes;
  for (int64_t row = thread / lanes; row < rows; row += step)
    body(row, static_cast<int64_t>(thread % lanes));
}

inline bool in_units(const void* p) { return reinterpret_cast<uintptr_t>(p) % kRowUnit == 0; }

}  // namespace dlx::cuda
