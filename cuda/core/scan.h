// Sums of what comes before, over the threads of a block.
#pragma once
#include "cuda/core/block.h"

namespace dlx::cuda {

template <class T>
struct Sums {
  T before;  // of the threads with lower numbers
  T total;   // of all
};

// A block of one dimension, whole warps. Every thread calls.
template <class T>
__device__ Sums<T> scan_block(T value) {
  constexpr int kMostWarps = 32;
  DLX_SHARED(T, of_warp, [kMostWarps]);
  const unsigned lane = threadIdx.x % kWarpThreads, warp = threadIdx.x / kWarpThreads;
  T until = value;  // with this thread's own
  for (unsigned by = 1; by < kWarpThreads; by *= 2) {
    const T below = __shfl_up_sync(~0u, until, by);
    if (lane >= by) until += below;
  }
  __syncthreads();  // nobody reads what the call before left
  if (lane == kWarpThreads - 1) of_warp[warp] = until;
  __syncthreads();
  Sums<T> sums{until - value, 0};
  for (unsigned w = 0; w < blockDim.x / kWarpThreads; ++w) {
    if (w == warp) sums.before += sums.total;
    sums.total += of_warp[w];
  }
  return sums;
}

}  // namespace dlx::cuda
