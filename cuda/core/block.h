// What the threads of a warp or of a block find together, always in the same order.
#pragma once
#include <cstdint>
#include <type_traits>

#include "cuda/core/device.h"

namespace dlx::cuda {

constexpr int kWarpThreads = 32;

// The value of the lane whose number differs in the bits of `by`. Every lane calls.
template <class T>
__device__ T across_lanes(T value, int by) {
  if constexpr (std::is_arithmetic_v<T>) {
    return __shfl_xor_sync(~0u, value, by);
  } else {
    struct Words {
      uint32_t word[sizeof(T) / sizeof(uint32_t)];
    };
    static_assert(sizeof(T) == sizeof(Words));
    auto words = __builtin_bit_cast(Words, value);
    for (uint32_t& word : words.word) word = __shfl_xor_sync(~0u, word, by);
    return __builtin_bit_cast(T, words);
  }
}

// combine(combine(lane 0, lane 1), combine(lane 2, lane 3)) ... in every lane, or within groups of
// `lanes`, a power of two. Every lane calls.
template <class T, class Combine>
__device__ T reduce_warp(T value, const Combine& combine, unsigned lanes = kWarpThreads) {
  const unsigned lane = threadIdx.x % kWarpThreads;
  for (unsigned by = 1; by < lanes; by *= 2) {
    const T other = across_lanes(value, static_cast<int>(by));
    value = lane & by ? combine(other, value) : combine(value, other);
  }
  return value;
}

// Likewise over a block of one dimension, whole warps, in every thread. Every thread calls.
template <class T, class Combine>
__device__ T reduce_block(T value, const Combine& combine) {
  constexpr int kMostWarps = 32;
  DLX_SHARED(T, of_warp, [kMostWarps]);
  value = reduce_warp(value, combine);
  __syncthreads();  // nobody reads the result of the call before
  if (threadIdx.x % kWarpThreads == 0) of_warp[threadIdx.x / kWarpThreads] = value;
  __syncthreads();
  T result = of_warp[0];
  for (unsigned w = 1; w < blockDim.x / kWarpThreads; ++w) result = combine(result, of_warp[w]);
  return result;
}

}  // namespace dlx::cuda
