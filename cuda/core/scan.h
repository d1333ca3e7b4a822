// Sums of what comes before, over the threads of a warp or of a block.
#pragma once
#include "cuda/core/block.h"

namespace dlx::cuda {

// Of the lanes up to this one. Every lane calls.
template <class T>
__device__ T scan_warp(T value) {
  const unsigned lane = threadIdx.x % kWarpThreads;
  for (unsigned by = 1; by < kWarpThreads; by *= 2) {
    const T below = __shfl_up_sync(~0u, value, by);
    if (lane >= by) value = below + value;
  }
  return value;
}

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
  const T until = scan_warp(value);  // with this thread's own
  __syncthreads();                   // nobody reads what the call before left
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
