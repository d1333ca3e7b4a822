// Teams: the threads of a block that work on one row together. By rows, the threads of a team are
// neighbours and so are the elements that they read. By columns, for rows that lie side by side,
// neighbouring threads are of neighbouring teams.
#pragma once
#include "cuda/core/block.h"
#include "cuda/core/grid.h"

namespace dlx::cuda {

struct Teams {
  int threads;  // of a team, a power of two; by rows at most a warp, or the whole block
  bool columns;

  __host__ __device__ int count() const { return kBlockThreads / threads; }
  dim3 blocks_for(int64_t rows) const {
    return static_cast<unsigned>((rows + count() - 1) / count());
  }
};

// For rows of n elements, `side_by_side` of them (1: by rows).
inline Teams teams_for(int64_t n, int64_t side_by_side = 1) {
  constexpr int64_t kPerThread = 8;  // elements: worth more than what joining costs
  const bool columns = side_by_side > 1;
  int most = columns ? kBlockThreads : kWarpThreads;
  for (int64_t i = 1; columns && i < side_by_side && i < kWarpThreads; i *= 2) most /= 2;
  int threads = 1;
  while (threads < most && threads * kPerThread < n) threads *= 2;
  if (!columns && n > kWarpThreads * kPerThread * 4) threads = kBlockThreads;
  return {threads, columns};
}

// Where a thread of a block of kBlockThreads stands.
struct Member {
  int lane;     // within its team
  int64_t row;  // its team's, as if the block were the only one
  __device__ explicit Member(const Teams& teams) {
    const int t = static_cast<int>(threadIdx.x);
    lane = teams.columns ? t / teams.count() : t % teams.threads;
    row = teams.columns ? t % teams.count() : t / teams.threads;
  }
};

// All values of a team combined, in every thread of it. Every thread of the block calls.
template <class T, class Combine>
__device__ T join_team(const Teams& teams, T value, const Combine& combine) {
  if (teams.threads == 1) return value;
  if (!teams.columns) {
    return teams.threads > kWarpThreads
               ? reduce_block(value, combine)
               : reduce_warp(value, combine, static_cast<unsigned>(teams.threads));
  }
  DLX_SHARED(T, of_thread, [kBlockThreads]);
  const int t = static_cast<int>(threadIdx.x);
  __syncthreads();  // nobody reads the result of the call before
  of_thread[t] = value;
  __syncthreads();
  for (int half = kBlockThreads / 2; half >= teams.count(); half /= 2) {
    if (t < half) of_thread[t] = combine(of_thread[t], of_thread[t + half]);
    __syncthreads();
  }
  return of_thread[t % teams.count()];
}

// The vector along the middle of (outer, n, inner) that a thread's team works on, one team a vector
// in a grid of teams.blocks_for(outer * inner) blocks. A team beyond the last has no elements.
class Row {
 public:
  __device__ Row(const Teams& teams, int64_t outer, int64_t n, int64_t inner) : teams_(teams) {
    const Member member(teams);
    position = int64_t{blockIdx.x} * teams.count() + member.row;
    lane_ = member.lane;
    exists_ = position < outer * inner;
    n_ = exists_ ? n : 0;
    step_ = inner;
    first = inner == 1 ? position * n : position / inner * n * inner + position % inner;
  }

  int64_t position, first;  // of (outer, inner); the offset of the vector's first element

  // body(offset) for the elements that are this thread's.
  template <class Body>
  __device__ void for_each(const Body& body) const {
#pragma unroll 4
    for (int64_t i = lane_; i < n_; i += teams_.threads) body(first + i * step_);
  }
  template <class T, class Combine>
  __device__ T join(T value, const Combine& combine) const {
    return join_team(teams_, value, combine);
  }
  // Of one thread a vector, which writes what there is one of.
  __device__ bool leads() const { return exists_ && lane_ == 0; }
  __device__ bool exists() const { return exists_; }

 private:
  Teams teams_;
  int lane_;
  bool exists_;
  int64_t n_, step_;
};

}  // namespace dlx::cuda
