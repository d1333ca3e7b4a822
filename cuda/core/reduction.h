// The engine of reductions: outputs M by elements K behind each, K walked by a team, or by the
// teams of several blocks, whose states a second grid joins. All in an order that the shape fixes.
//
// A reducer R, copied into the kernels, says what is reduced:
//   State           a few words, what elements amount to
//   kPack           elements that a thread reads at once, where they lie so
//   load<n>(at)     Pack<Value, n> of the elements from offset `at` on
//   start()         the State of no elements
//   take(state, value, m, k)   adds element k of output m
//   combine(a, b)   the State of both; commutative
//   finish(state, m)           writes output m
#pragma once
#include "cuda/core/pack.h"
#include "cuda/core/team.h"
#include "ops/reduce.h"

namespace dlx::cuda {

struct ReductionPlan {
  ReduceDims kept, reduced;
  int64_t outputs, count;  // M, K
  Teams teams;
  int64_t parts, length;  // K in `parts` parts of `length` elements, the last one shorter
  bool packed;
};

inline ReductionPlan plan_reduction(const ReduceDims& kept, const ReduceDims& reduced,
                                    int64_t outputs, int64_t count) {
  constexpr int64_t kBlocks = 132 * 4;  // fill the largest GPU
  constexpr int64_t kFewest = 16;       // elements of a thread
  const int64_t kept_step = kept.stride[kept.ndim - 1];
  const int64_t step = reduced.stride[reduced.ndim - 1];
  const auto size = [](int64_t x) { return x < 0 ? -x : x; };
  const bool columns = outputs > 1 && size(kept_step) < size(step);
  ReductionPlan p{kept, reduced, outputs, count, {}, 1, count, false};
  p.teams = teams_for(count, columns ? std::max<int64_t>(2, kept.extent[kept.ndim - 1]) : 1);
  const int64_t blocks = p.teams.blocks_for(outputs).x;
  const int64_t most = count / (p.teams.threads * kFewest);
  const int64_t parts =
      std::clamp<int64_t>(kBlocks / std::max<int64_t>(blocks, 1), 1, std::max<int64_t>(most, 1));
  if (parts > 1) {
    p.length = ((count + parts - 1) / parts + kAccessBytes - 1) / kAccessBytes * kAccessBytes;
    p.parts = (count + p.length - 1) / p.length;
  }
  return p;
}

template <class R>
int64_t reduction_workspace(const ReductionPlan& p) {
  return p.parts > 1 ? p.parts * p.outputs * static_cast<int64_t>(sizeof(typename R::State)) : 0;
}

__device__ inline int64_t offset_of(const ReduceDims& d, int64_t i) {
  int64_t offset = 0;
  for (int n = d.ndim - 1; n > 0; --n) {
    offset += i % d.extent[n] * d.stride[n];
    i /= d.extent[n];
  }
  return offset + i * d.stride[0];
}

// A thread's elements of [begin, end) of output m: kCount at a time, `step` apart.
template <int kCount, class R>
__device__ typename R::State reduce_range(const ReductionPlan& p, const R& r, int64_t m,
                                          int64_t begin, int64_t end, int64_t step) {
  [[maybe_unused]] constexpr int kAhead = kCount > 1 ? 2 : 4;  // loads on their way
  typename R::State state = r.start();
  const int64_t row = offset_of(p.kept, m);
  const int64_t extent = p.reduced.extent[p.reduced.ndim - 1];
  const int64_t stride = p.reduced.stride[p.reduced.ndim - 1];
  for (int64_t k = begin; k < end;) {
    // As far as the innermost dimension goes.
    const int64_t run = min(extent - k % extent, end - k);
    const int64_t at = row + offset_of(p.reduced, k);
    int64_t i = 0;
#pragma unroll kAhead
    for (; i < run; i += step) {
      const auto pack = r.template load<kCount>(at + i * stride);
#pragma unroll
      for (int j = 0; j < kCount; ++j) r.take(state, pack.value[j], m, k + i + j);
    }
    k += i;
  }
  return state;
}

// Partial states: (M, parts).
template <class R>
__global__ void reduce_parts(ReductionPlan p, R r, typename R::State* partial) {
  const int64_t part = blockIdx.x % p.parts, tile = blockIdx.x / p.parts;
  const Member member(p.teams);
  const int64_t m = tile * p.teams.count() + member.row;
  auto state = r.start();
  if (m < p.outputs) {
    const int64_t begin = part * p.length, end = min(begin + p.length, p.count);
    if (R::kPack > 1 && p.packed) {
      state = reduce_range<R::kPack>(p, r, m, begin + member.lane * R::kPack, end,
                                     p.teams.threads * R::kPack);
    } else {
      state = reduce_range<1>(p, r, m, begin + member.lane, end, p.teams.threads);
    }
  }
  state = join_team(p.teams, state, [&](const auto& a, const auto& b) { return r.combine(a, b); });
  if (member.lane != 0 || m >= p.outputs) return;
  if (p.parts == 1) {
    r.finish(state, m);
  } else {
    partial[m * p.parts + part] = state;
  }
}

// A warp for each output.
template <class R>
__global__ void join_parts(R r, const typename R::State* __restrict__ partial, int64_t outputs,
                           int64_t parts) {
  const int lane = static_cast<int>(threadIdx.x % kWarpThreads);
  const int64_t m = (int64_t{blockIdx.x} * kBlockThreads + threadIdx.x) / kWarpThreads;
  auto state = r.start();
  for (int64_t i = lane; m < outputs && i < parts; i += kWarpThreads)
    state = r.combine(state, partial[m * parts + i]);
  state = reduce_warp(state, [&](const auto& a, const auto& b) { return r.combine(a, b); });
  if (lane == 0 && m < outputs) r.finish(state, m);
}

// Whether every thread may read kCount elements of x at once.
template <class T>
bool reads_packs(const ReductionPlan& p, const T* x, int count) {
  const int inner = p.reduced.ndim - 1;
  bool whole = !p.teams.columns && p.reduced.stride[inner] == 1 && is_aligned(x);
  whole = whole && p.reduced.extent[inner] % count == 0;
  for (int i = 0; i < p.kept.ndim; ++i) whole = whole && p.kept.stride[i] % count == 0;
  for (int i = 0; i < inner; ++i) whole = whole && p.reduced.stride[i] % count == 0;
  return whole;
}

// shared: bytes of a block's shared memory that the reducer loads by.
template <class R>
void run_reduction(const ReductionPlan& p, const R& r, void* workspace, Stream stream,
                   size_t shared = 0) {
  auto* partial = static_cast<typename R::State*>(workspace);
  const dim3 blocks = p.teams.blocks_for(p.outputs).x * static_cast<unsigned>(p.parts);
  launch_grid<reduce_parts<R>>(blocks, kBlockThreads, shared, stream, p, r, partial);
  if (p.parts == 1) return;
  const Teams warps{kWarpThreads, false};
  launch_grid<join_parts<R>>(warps.blocks_for(p.outputs), kBlockThreads, 0, stream, r, partial,
                             p.outputs, p.parts);
}

}  // namespace dlx::cuda
