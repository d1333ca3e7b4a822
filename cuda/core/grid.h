// How many blocks, and which elements a thread takes.
#pragma once
#include <algorithm>
#include <cstdint>

#include "cuda/core/launch_grid.h"

namespace dlx::cuda {

constexpr int kBlockThreads = 256;
constexpr int64_t kMostBlocks =
    132 * 16;  // enough to fill the largest GPU; each takes several turns

// For kernels that walk n items by `for_each_item`. n > 0.
inline dim3 blocks_for(int64_t n) {
  return static_cast<unsigned>(std::min((n + kBlockThreads - 1) / kBlockThreads, kMostBlocks));
}

// Items i, i + all threads, ...: neighbours go to neighbouring threads.
template <class Body>
__device__ void for_each_item(int64_t n, const Body& body) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) body(i);
}

}  // namespace dlx::cuda
