// Running sums along the middle of (outer, n, inner), in an order that the shape fixes: pieces of
// each vector are added up, what comes before each piece is found, then the pieces are scanned.
#pragma once
#include <algorithm>

#include "cuda/core/grid.h"
#include "cuda/core/scan.h"

namespace dlx::cuda {

struct ScanPlan {
  int64_t outer, n, inner;
  bool reverse;            // from the last element to the first
  int64_t pieces, length;  // of a vector

  __host__ __device__ int64_t vectors() const { return outer * inner; }
  // Of element i of a vector, in the order of the scan.
  __device__ int64_t offset(int64_t vector, int64_t i) const {
    const int64_t first = inner == 1 ? vector * n : vector / inner * n * inner + vector % inner;
    return first + (reverse ? n - 1 - i : i) * inner;
  }
};

inline ScanPlan plan_scan(int64_t outer, int64_t n, int64_t inner, bool reverse) {
  const bool columns = inner > 1;  // a thread for each piece, else a warp
  const int64_t wanted = columns ? 65536 : 4096, fewest = columns ? 128 : 1024;
  const int64_t pieces = std::clamp<int64_t>(wanted / std::max<int64_t>(outer * inner, 1), 1,
                                             std::max<int64_t>(n / fewest, 1));
  const int64_t length = (n + pieces - 1) / pieces;
  return {outer, n, inner, reverse, (n + length - 1) / length, length};
}

// A warp for each piece. x: (vectors, n); sums: (vectors, pieces), of each piece (y null), or of
// what comes before it (null where the piece is all).
template <class Sum, class T, class Y>
__global__ void scan_rows(ScanPlan p, const T* __restrict__ x, Sum* sums, Y* y) {
  const int lane = static_cast<int>(threadIdx.x % kWarpThreads);
  const int64_t piece = (int64_t{blockIdx.x} * kBlockThreads + threadIdx.x) / kWarpThreads;
  if (piece >= p.vectors() * p.pieces) return;
  const int64_t vector = piece / p.pieces, begin = piece % p.pieces * p.length;
  const int64_t end = min(begin + p.length, p.n);
  Sum before = y && sums ? sums[piece] : Sum{};
  for (int64_t i = begin + lane; i - lane < end; i += kWarpThreads) {
    const int64_t at = i < end ? p.offset(vector, i) : 0;
    const Sum sum = before + scan_warp(i < end ? static_cast<Sum>(x[at]) : Sum{});
    if (y && i < end) y[at] = static_cast<Y>(sum);
    before = __shfl_sync(~0u, sum, kWarpThreads - 1);
  }
  if (!y && lane == 0) sums[piece] = before;
}

// A thread for each piece: neighbours have the same piece of neighbouring vectors.
template <class Sum, class T, class Y>
__global__ void scan_columns(ScanPlan p, const T* __restrict__ x, Sum* sums, Y* y) {
  for_each_item(p.vectors() * p.pieces, [&](int64_t item) {
    const int64_t vector = item % p.vectors(), piece = item / p.vectors();
    const int64_t begin = piece * p.length, end = min(begin + p.length, p.n);
    const int64_t own = vector * p.pieces + piece;
    Sum sum = y && sums ? sums[own] : Sum{};
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = p.offset(vector, i);
      sum += static_cast<Sum>(x[at]);
      if (y) y[at] = static_cast<Y>(sum);
    }
    if (!y) sums[own] = sum;
  });
}

// sums: (rows, n) become what comes before each. A warp for each row.
template <class Sum>
__global__ void sums_before(Sum* sums, int64_t rows, int64_t n) {
  const int lane = static_cast<int>(threadIdx.x % kWarpThreads);
  const int64_t row = (int64_t{blockIdx.x} * kBlockThreads + threadIdx.x) / kWarpThreads;
  if (row >= rows) return;
  Sum before{};
  for (int64_t i = lane; i - lane < n; i += kWarpThreads) {
    Sum* own = sums + row * n + i;
    const Sum up_to = before + scan_warp(i < n ? *own : Sum{});
    const Sum left = __shfl_up_sync(~0u, up_to, 1);
    if (i < n) *own = lane ? left : before;
    before = __shfl_sync(~0u, up_to, kWarpThreads - 1);
  }
}

inline dim3 warps_for(int64_t rows) {
  constexpr int kWarps = kBlockThreads / kWarpThreads;
  return static_cast<unsigned>((rows + kWarps - 1) / kWarps);
}

template <class Sum>
void run_sums_before(Sum* sums, int64_t rows, int64_t n, Stream stream) {
  launch_grid<sums_before<Sum>>(warps_for(rows), kBlockThreads, 0, stream, sums, rows, n);
}

// y = the running sums of x, neither empty. workspace: a Sum for each piece, where there are
// several.
template <class Sum, class T, class Y>
void run_scan(const ScanPlan& p, const T* x, Y* y, void* workspace, Stream stream) {
  const int64_t all = p.vectors() * p.pieces;
  const auto scan = [&](Sum* sums, Y* to) {
    if (p.inner == 1) {
      launch_grid<scan_rows<Sum, T, Y>>(warps_for(all), kBlockThreads, 0, stream, p, x, sums, to);
    } else {
      launch_grid<scan_columns<Sum, T, Y>>(blocks_for(all), kBlockThreads, 0, stream, p, x, sums,
                                           to);
    }
  };
  auto* sums = static_cast<Sum*>(workspace);
  if (p.pieces == 1) return scan(nullptr, y);
  scan(sums, nullptr);
  run_sums_before(sums, p.vectors(), p.pieces, stream);
  scan(sums, y);
}

}  // namespace dlx::cuda
