#include "cuda/core/context.h"
#include "cuda/core/error_report.h"
#include "cuda/core/grid.h"
#include "cuda/ops/strided.h"
#include "ops/index_range.h"
#include "ops/ravel_index.h"

namespace dlx::cuda {
namespace {

struct IndexArrays {
  const int64_t* of[kMaxDims];
};

// An index out of range counts as 0.
__global__ void ravel_elements(RavelIndexShape s, IndexArrays indices, int64_t* __restrict__ y,
                               int64_t n, ErrorReport* error) {
  for_each_item(n, [&](int64_t i) {
    int64_t position = 0;
#pragma unroll
    for (int k = 0; k < kMaxDims; ++k) {
      if (k >= s.count) break;
      const int64_t index = indices.of[k][offset_of(i, s.ndim, s.extent, s.stride[k])];
      if (in_range(index, s.limit[k]))
        position += wrap(index, s.limit[k]) * s.weight[k];
      else
        report(error, k * n + i, index, s.limit[k]);
    }
    y[i] = position;
  });
}

}  // namespace

void ravel_index(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const RavelIndexShape*>(shape);
  const int64_t n = s.size();
  if (n == 0) return;
  IndexArrays indices{};
  for (int k = 0; k < s.count; ++k) indices.of[k] = static_cast<const int64_t*>(buffers[k]);
  launch_grid<ravel_elements>(blocks_for(n), kBlockThreads, 0, context(ctx).stream, s, indices,
                              static_cast<int64_t*>(buffers[s.count]), n, error_of(ctx));
}

}  // namespace dlx::cuda
