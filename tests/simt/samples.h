// Small kernels that use every feature of the language that dlx's kernels use. They run on the
// emulator and, built by nvcc, on a GPU, which calibrates it.
#pragma once
#include "cuda/core/launch_grid.h"

namespace samples {

constexpr int kThreads = 128;

// One sum a block, by a tree in shared memory.
__global__ void block_sums(const float* x, float* sums, int n) {
  DLX_SHARED(float, part, [kThreads]);
  const int t = static_cast<int>(threadIdx.x), i = static_cast<int>(blockIdx.x) * kThreads + t;
  part[t] = i < n ? x[i] : 0;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (t < half) part[t] += part[t + half];
    __syncthreads();
  }
  if (t == 0) sums[blockIdx.x] = part[0];
}

// The same by shuffles, then across warps.
__global__ void block_sums_by_shuffles(const float* x, float* sums, int n) {
  DLX_SHARED(float, of_warp, [kThreads / 32]);
  const int t = static_cast<int>(threadIdx.x), i = static_cast<int>(blockIdx.x) * kThreads + t;
  float sum = i < n ? x[i] : 0;
  for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(~0u, sum, by);
  if (t % 32 == 0) of_warp[t / 32] = sum;
  __syncthreads();
  if (t >= 32) return;
  sum = t < kThreads / 32 ? of_warp[t] : 0;
  for (int by = 2; by > 0; by /= 2) sum += __shfl_down_sync(~0u, sum, by);
  if (t == 0) sums[blockIdx.x] = sum;
}

// y (m,n) = x (n,m) transposed, tile by tile.
__global__ void transpose(const float* x, float* y, int n, int m) {
  constexpr int kTile = 16;
  DLX_SHARED(float, tile, [kTile][kTile + 1]);
  const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
  const int row = static_cast<int>(blockIdx.y) * kTile, col = static_cast<int>(blockIdx.x) * kTile;
  if (row + ty < n && col + tx < m) tile[ty][tx] = x[(row + ty) * m + col + tx];
  __syncthreads();
  if (col + ty < m && row + tx < n) y[(col + ty) * n + row + tx] = tile[tx][ty];
}

// How often each of `bins` values occurs: counted in dynamic shared memory, then added.
__global__ void histogram(const int* x, int* counts, int n, int bins) {
  DLX_DYNAMIC_SHARED(int, own);
  for (int i = static_cast<int>(threadIdx.x); i < bins; i += kThreads) own[i] = 0;
  __syncthreads();
  const int step = static_cast<int>(gridDim.x) * kThreads;
  for (int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x); i < n; i += step)
    atomicAdd(&own[x[i]], 1);
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < bins; i += kThreads)
    if (own[i]) atomicAdd(&counts[i], own[i]);
}

// The positions of the elements above 0, in order, of one warp.
__global__ void positions_above_zero(const float* x, int* positions, int* count) {
  const unsigned t = threadIdx.x;
  const bool above = x[t] > 0;
  const unsigned votes = __ballot_sync(~0u, above);
  if (above) positions[__popc(votes & ((1u << t) - 1))] = static_cast<int>(t);
  if (t == 0) *count = __popc(votes);
}

// A warp turns its row of 32 by one, through shared memory that only it uses.
__global__ void turn_rows(const float* x, float* y) {
  DLX_SHARED(float, row, [kThreads]);
  const unsigned t = threadIdx.x, i = blockIdx.x * kThreads + t;
  row[t] = x[i];
  __syncwarp();
  y[i] = row[t / 32 * 32 + (t + 1) % 32];
}

// Groups of 8 lanes, and votes of a block.
__global__ void scan_by_eights(const int* x, int* y, int* any_negative, int* negatives) {
  const int t = static_cast<int>(threadIdx.x);
  int sum = x[t];
  for (int by = 1; by < 8; by *= 2) {
    const int left = __shfl_up_sync(~0u, sum, by, 8);
    if (t % 8 >= by) sum += left;
  }
  y[t] = sum - __shfl_sync(~0u, x[t], 0, 8);
  const int any = __syncthreads_or(x[t] < 0), count = __syncthreads_count(x[t] < 0);
  if (t == 0) *any_negative = any, *negatives = count;
}

}  // namespace samples
