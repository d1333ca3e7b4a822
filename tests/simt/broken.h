// Kernels with one mistake each, and what the emulator says of it.
#pragma once
#include "samples.h"

namespace broken {

using samples::kThreads;

__global__ void no_barrier(const float* x, float* y) {  // reads what another thread writes
  DLX_SHARED(float, all, [kThreads]);
  all[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = all[kThreads - 1 - threadIdx.x];
}

__global__ void barrier_in_a_branch(float* y) {
  if (threadIdx.x < 40) {
    __syncthreads();
    y[0] = 1;
  } else {
    __syncthreads();
    y[1] = 1;
  }
}

__global__ void lane_outside_of_mask(float* y) { y[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, 0); }

__global__ void half_a_warp(float* y) {  // the other half never comes
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_xor_sync(~0u, 1.0f, 1);
  __syncthreads();
}

__global__ void shuffle_from_who_left(float* y) {
  if (threadIdx.x == 3) return;
  y[threadIdx.x] = __shfl_sync(~0u, 1.0f, 3);
}

__global__ void too_much_shared(float* y) {
  DLX_SHARED(float, all, [13 * 1024]);
  all[threadIdx.x] = 1;
  y[0] = all[0];
}

__global__ void beyond_the_end(const float* x, float* y, int n) {  // for AddressSanitizer
  const unsigned i = blockIdx.x * kThreads + threadIdx.x;
  if (static_cast<int>(i) <= n) y[i] = x[i];
}

__global__ void beyond_shared(float* y) {  // for AddressSanitizer
  DLX_SHARED(float, all, [kThreads]);
  all[threadIdx.x + 1] = 1;
  __syncthreads();
  y[threadIdx.x] = all[threadIdx.x];
}

__global__ void all_blocks_one_word(int* y) { y[0] = y[0] + 1; }  // for ThreadSanitizer

}  // namespace broken
