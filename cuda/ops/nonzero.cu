// Where a mask is true: blocks count their chunks, a warp finds where each chunk's positions begin,
// and the blocks write them. As bytes: what another library calls true is not always 1.
#include "cuda/core/context.h"
#include "cuda/core/reducers.h"
#include "cuda/core/running_sums.h"
#include "ops/nonzero.h"

namespace dlx::cuda {
namespace {

// A sum that takes any byte but 0 as 1.
struct CountOfTrue : SumOfIntegers<uint8_t> {
  __device__ void take(State& state, uint8_t x, int64_t, int64_t) const { state += x != 0; }
};

ReductionPlan count_plan(const NonzeroShape& s) {
  return plan_reduction({1, {1}, {0}}, {1, {s.n}, {1}}, 1, s.n);
}

// Bytes of a chunk: whole turns of a block, and few enough chunks for one warp.
int64_t chunk_length(const NonzeroShape& s) {
  constexpr int64_t kMostChunks = 1024, kTurns = 8;
  const int64_t turns = (s.n / kMostChunks + kBlockThreads - 1) / kBlockThreads;
  return kBlockThreads * std::max(kTurns, turns);
}
int64_t chunks_of(const NonzeroShape& s) { return (s.n + chunk_length(s) - 1) / chunk_length(s); }

__global__ void count_chunks(const uint8_t* __restrict__ mask, int64_t n, int64_t length,
                             int64_t* counts) {
  const int64_t begin = blockIdx.x * length, end = min(begin + length, n);
  int64_t count = 0;
#pragma unroll 4
  for (int64_t i = begin + threadIdx.x; i < end; i += kBlockThreads) count += mask[i] != 0;
  count = reduce_block(count, [](int64_t a, int64_t b) { return a + b; });
  if (threadIdx.x == 0) counts[blockIdx.x] = count;
}

__global__ void write_positions(const uint8_t* __restrict__ mask, int64_t n, int64_t length,
                                const int64_t* __restrict__ starts, int64_t* y) {
  constexpr int kWarps = kBlockThreads / kWarpThreads;
  DLX_SHARED(int, of_warp, [kWarps]);
  const unsigned lane = threadIdx.x % kWarpThreads, warp = threadIdx.x / kWarpThreads;
  const int64_t begin = blockIdx.x * length, end = min(begin + length, n);
  int64_t start = starts[blockIdx.x];
  for (int64_t turn = begin; turn < end; turn += kBlockThreads) {
    const int64_t i = turn + threadIdx.x;
    const bool is_true = i < end && mask[i] != 0;
    const unsigned votes = __ballot_sync(~0u, is_true);
    __syncthreads();  // nobody reads the counts of the turn before
    if (lane == 0) of_warp[warp] = __popc(votes);
    __syncthreads();
    int64_t at = start + __popc(votes & ((1u << lane) - 1));
    for (unsigned w = 0; w < kWarps; ++w) {
      if (w < warp) at += of_warp[w];
      start += of_warp[w];
    }
    if (is_true) y[at] = i;
  }
}

}  // namespace

int64_t count_nonzero_workspace(const void* shape) {
  return reduction_workspace<CountOfTrue>(count_plan(*static_cast<const NonzeroShape*>(shape)));
}

int64_t nonzero_workspace(const void* shape) {  // a count for each chunk
  return chunks_of(*static_cast<const NonzeroShape*>(shape)) * int64_t{sizeof(int64_t)};
}

void count_nonzero(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const NonzeroShape*>(shape);
  const CountOfTrue reducer{
      {{static_cast<const uint8_t*>(buffers[0])}, static_cast<int64_t*>(buffers[1])}};
  ReductionPlan plan = count_plan(s);
  plan.packed = reads_packs(plan, reducer.x, CountOfTrue::kPack);
  run_reduction(plan, reducer, workspace, context(ctx).stream);
}

void nonzero(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const NonzeroShape*>(shape);
  if (s.n == 0) return;
  const auto* mask = static_cast<const uint8_t*>(buffers[0]);
  auto* starts = static_cast<int64_t*>(workspace);
  const Stream stream = context(ctx).stream;
  const int64_t chunks = chunks_of(s), length = chunk_length(s);
  const dim3 blocks = static_cast<unsigned>(chunks);
  launch_grid<count_chunks>(blocks, kBlockThreads, 0, stream, mask, s.n, length, starts);
  run_sums_before(starts, 1, chunks, stream);
  launch_grid<write_positions>(blocks, kBlockThreads, 0, stream, mask, s.n, length, starts,
                               static_cast<int64_t*>(buffers[1]));
}

}  // namespace dlx::cuda
