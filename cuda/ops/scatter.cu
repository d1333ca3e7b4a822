// Moves 2 outer n inner elements and 3 n indices.
#include "cuda/core/context.h"
#include "cuda/core/error_report.h"
#include "cuda/core/grid.h"
#include "cuda/ops/index_range.h"
#include "cuda/ops/row_lanes.h"
#include "ops/element_bits.h"
#include "ops/scatter.h"

namespace dlx::cuda {
namespace {

// Of equal indices the last one's value stays: last[l] becomes 1 + the largest position that writes
// to row l of y, for those l that are indexed. The type is one that atomics take.
using Position = unsigned long long;

__global__ void forget_positions(int64_t n, int64_t extent, const int64_t* __restrict__ indices,
                                 Position* last) {
  for_each_item(n, [&](int64_t i) {
    if (in_range(indices[i], extent)) atomicExch(&last[wrap(indices[i], extent)], Position{0});
  });
}

__global__ void find_last_positions(int64_t n, int64_t extent, const int64_t* __restrict__ indices,
                                    Position* last) {
  for_each_item(n, [&](int64_t i) {
    if (in_range(indices[i], extent))
      atomicMax(&last[wrap(indices[i], extent)], static_cast<Position>(i + 1));
  });
}

template <class T>
__global__ void scatter_rows(ScatterShape s, int lanes, const int64_t* __restrict__ indices,
                             const T* __restrict__ v, T* __restrict__ y,
                             const Position* __restrict__ last,
                             const ErrorReport* __restrict__ error) {
  if (error->place != 0) return;  // an index is out of range: y stays as it was
  for_each_row(s.outer * s.n, lanes, [&](int64_t row, int64_t lane) {
    const int64_t o = s.outer == 1 ? 0 : row / s.n, i = row - o * s.n;
    const int64_t l = wrap(indices[i], s.extent);
    if (last[l] != static_cast<Position>(i + 1)) return;
    for (int64_t k = lane; k < s.inner; k += lanes)
      y[(o * s.extent + l) * s.inner + k] = v[row * s.inner + k];
  });
}

template <class T>
void launch_rows(const ScatterShape& s, void* const* buffers, const Position* last, Ctx& ctx) {
  const int lanes = lanes_for(s.inner);
  launch_grid<scatter_rows<T>>(
      blocks_for(s.outer * s.n * lanes), kBlockThreads, 0, context(ctx).stream, s, lanes,
      static_cast<const int64_t*>(buffers[0]), static_cast<const T*>(buffers[1]),
      static_cast<T*>(buffers[2]), last, error_of(ctx));
}

}  // namespace

int64_t scatter_workspace(const void* shape) {
  const auto& s = *static_cast<const ScatterShape*>(shape);
  return s.extent * int64_t{sizeof(Position)};
}

void scatter(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  ScatterShape s = *static_cast<const ScatterShape*>(shape);
  const Context& c = context(ctx);
  const auto* indices = static_cast<const int64_t*>(buffers[0]);
  check_between(c.stream, error_of(ctx), indices, s.n, -s.extent, s.extent);
  if (s.outer * s.n * s.inner * s.extent == 0) return;
  auto* last = static_cast<Position*>(workspace);
  const dim3 blocks = blocks_for(s.n);
  launch_grid<forget_positions>(blocks, kBlockThreads, 0, c.stream, s.n, s.extent, indices, last);
  launch_grid<find_last_positions>(blocks, kBlockThreads, 0, c.stream, s.n, s.extent, indices,
                                   last);
  if (s.inner * s.element_bytes % kRowUnit == 0 && in_units(buffers[1]) && in_units(buffers[2])) {
    s.inner = s.inner * s.element_bytes / kRowUnit;
    return launch_rows<uint4>(s, buffers, last, ctx);
  }
  with_bits(s.element_bytes, [&]<class T>(T) { launch_rows<T>(s, buffers, last, ctx); });
}

}  // namespace dlx::cuda
