// A radix sort: stable counting sorts by four bits of the row at a time, the lowest first. Each is
// three grids: how often each digit comes in each tile of positions, where each tile's of each
// digit go, and the move there (Harris, Krueger, Silva: GPU Gems 3, ch. 39, 2007).
#include <bit>
#include <utility>

#include "cuda/core/grid.h"
#include "cuda/core/scan.h"
#include "cuda/ops/sort_positions.h"
#include "ops/index_range.h"

namespace dlx::cuda {
namespace {

constexpr int kDigitBits = 4, kDigits = 1 << kDigitBits;
constexpr int kSortThreads = 128, kEach = 8, kTile = kSortThreads * kEach;
constexpr int kScanThreads = 1024;

// One digit of the row that each position writes to.
struct Digits {
  const int64_t* indices;
  const int64_t* order;  // the positions as sorted so far; null: 0, 1, 2, ...
  int64_t n, extent, tiles;
  int shift;

  __device__ int64_t position(int64_t j) const { return order ? order[j] : j; }
  __device__ int64_t row(int64_t position) const {
    const int64_t index = indices[position];
    return in_range(index, extent) ? wrap(index, extent) : 0;
  }
  __device__ int of(int64_t position) const {
    return static_cast<int>(row(position) >> shift & (kDigits - 1));
  }
};

// counts: (kDigits, tiles)
__global__ void __launch_bounds__(kSortThreads) count_digits(Digits digits, int64_t* counts) {
  DLX_SHARED(int, count, [kDigits]);
  if (threadIdx.x < kDigits) count[threadIdx.x] = 0;
  __syncthreads();
  const int64_t first = int64_t{blockIdx.x} * kTile;
  for (int64_t j = first + threadIdx.x; j < min(first + kTile, digits.n); j += kSortThreads)
    atomicAdd(&count[digits.of(digits.position(j))], 1);
  __syncthreads();
  if (threadIdx.x < kDigits) counts[threadIdx.x * digits.tiles + blockIdx.x] = count[threadIdx.x];
}

// Each count becomes the sum of those before it. One block.
__global__ void __launch_bounds__(kScanThreads) scan_counts(int64_t n, int64_t* counts) {
  int64_t before = 0;
  for (int64_t first = 0; first < n; first += kScanThreads) {
    const int64_t i = first + threadIdx.x;
    const auto sums = scan_block<int64_t>(i < n ? counts[i] : 0);
    if (i < n) counts[i] = before + sums.before;
    before += sums.total;
  }
}

// A thread has kEach neighbouring positions, so that equal digits keep their order.
__global__ void __launch_bounds__(kSortThreads)
    move_positions(Digits digits, const int64_t* __restrict__ counts,
                   int64_t* __restrict__ sorted) {
  DLX_SHARED(int, place, [kDigits][kSortThreads]);  // within the tile, of a thread's next one
  DLX_SHARED(int64_t, start, [kDigits]);            // of the tile's first, in all
  const int t = static_cast<int>(threadIdx.x);
  const int64_t begin = int64_t{blockIdx.x} * kTile + t * kEach;
  const int64_t end = min(begin + kEach, digits.n);
  for (int d = 0; d < kDigits; ++d) place[d][t] = 0;
  for (int64_t j = begin; j < end; ++j) ++place[digits.of(digits.position(j))][t];
  __syncthreads();

  constexpr int kScanned = kDigits * kSortThreads / kSortThreads;  // neighbours, to each thread
  int* mine = &place[0][0] + t * kScanned;
  int sum = 0;
  for (int i = 0; i < kScanned; ++i) sum += std::exchange(mine[i], sum);
  const int before = scan_block(sum).before;
  for (int i = 0; i < kScanned; ++i) mine[i] += before;
  __syncthreads();

  if (t < kDigits) start[t] = counts[t * digits.tiles + blockIdx.x] - place[t][0];
  __syncthreads();
  for (int64_t j = begin; j < end; ++j) {
    const int64_t position = digits.position(j);
    const int d = digits.of(position);
    sorted[start[d] + place[d][t]++] = position;
  }
}

// starts[l]: how many positions write to rows below l.
__global__ void find_starts(Digits digits, int64_t* starts) {
  for_each_item(digits.extent + 1, [&](int64_t l) {
    int64_t low = 0, high = digits.n;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (digits.row(digits.position(middle)) < l)
        low = middle + 1;
      else
        high = middle;
    }
    starts[l] = low;
  });
}

int64_t tiles_of(int64_t n) { return (n + kTile - 1) / kTile; }

}  // namespace

int64_t sort_positions_workspace(int64_t n, int64_t extent) {
  return (extent + 1 + 2 * n + kDigits * tiles_of(n)) * int64_t{sizeof(int64_t)};
}

SortedPositions sort_positions(Stream stream, const int64_t* indices, int64_t n, int64_t extent,
                               void* workspace) {
  auto* starts = static_cast<int64_t*>(workspace);
  int64_t *from = starts + extent + 1, *to = from + n, *counts = to + n;
  Digits digits{indices, nullptr, n, extent, tiles_of(n), 0};
  const int bits = std::bit_width(static_cast<uint64_t>(extent - 1));
  const dim3 tiles = static_cast<unsigned>(digits.tiles);
  for (; n > 0 && (digits.shift == 0 || digits.shift < bits); digits.shift += kDigitBits) {
    launch_grid<count_digits>(tiles, kSortThreads, 0, stream, digits, counts);
    launch_grid<scan_counts>(1, kScanThreads, 0, stream, kDigits * digits.tiles, counts);
    launch_grid<move_positions>(tiles, kSortThreads, 0, stream, digits, counts, to);
    digits.order = to;
    std::swap(from, to);
  }
  launch_grid<find_starts>(blocks_for(extent + 1), kBlockThreads, 0, stream, digits, starts);
  return {starts, from};
}

}  // namespace dlx::cuda
