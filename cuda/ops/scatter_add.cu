// Reads n rows of g, writes L rows, and sorts n indices.
#include "cuda/core/context.h"
#include "cuda/ops/index_range.h"
#include "cuda/ops/row_lanes.h"
#include "cuda/ops/sort_positions.h"
#include "ops/scatter_add.h"

namespace dlx::cuda {
namespace {

// A row of y is a pair (o, l). Terms are added in rising order of position, as on the CPU.
template <class T>
__global__ void sum_rows(ScatterAddShape s, int lanes, const T* __restrict__ g,
                         const int64_t* __restrict__ starts, const int64_t* __restrict__ order,
                         T* __restrict__ y) {
  for_each_row(s.outer * s.extent, lanes, [&](int64_t row, int64_t lane) {
    const int64_t o = s.outer == 1 ? 0 : row / s.extent, l = row - o * s.extent;
    const int64_t begin = starts[l], end = starts[l + 1];
    for (int64_t k = lane; k < s.inner; k += lanes) {
      const T* column = g + o * s.n * s.inner + k;
      T result;
      if (end - begin == 1) {  // which leaves -0 as it is
        result = column[order[begin] * s.inner];
      } else {
        SumOf<T> sum{};
        for (int64_t j = begin; j < end; ++j)
          sum += static_cast<SumOf<T>>(column[order[j] * s.inner]);
        result = static_cast<T>(sum);
      }
      y[row * s.inner + k] = result;
    }
  });
}

}  // namespace

int64_t scatter_add_workspace(const void* shape) {
  const auto& s = *static_cast<const ScatterAddShape*>(shape);
  return sort_positions_workspace(s.n, s.extent);
}

void scatter_add(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const ScatterAddShape*>(shape);
  const Context& c = context(ctx);
  const auto* indices = static_cast<const int64_t*>(buffers[1]);
  check_between(c.stream, error_of(ctx), indices, s.n, -s.extent, s.extent);
  if (s.outer * s.extent * s.inner == 0) return;
  const auto [starts, order] = sort_positions(c.stream, indices, s.n, s.extent, workspace);
  const int lanes = lanes_for(s.inner);
  with_sum_type(s.dtype, [&]<class T>(T) {
    launch_grid<sum_rows<T>>(blocks_for(s.outer * s.extent * lanes), kBlockThreads, 0, c.stream, s,
                             lanes, static_cast<const T*>(buffers[0]), starts, order,
                             static_cast<T*>(buffers[2]));
  });
}

}  // namespace dlx::cuda
