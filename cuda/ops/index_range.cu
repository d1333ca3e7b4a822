#include "cuda/core/error_report.h"
#include "cuda/core/grid.h"
#include "cuda/ops/index_range.h"

namespace dlx::cuda {
namespace {

__global__ void check_indices(const int64_t* __restrict__ indices, int64_t n, int64_t low,
                              int64_t limit, ErrorReport* error) {
  for_each_item(n, [&](int64_t i) {
    const int64_t index = indices[i];
    if (index < low || index >= limit) report(error, i, index, limit);
  });
}

}  // namespace

void check_between(Stream stream, ErrorReport* error, const int64_t* indices, int64_t n,
                   int64_t low, int64_t limit) {
  if (n == 0) return;
  launch_grid<check_indices>(blocks_for(n), kBlockThreads, 0, stream, indices, n, low, limit,
                             error);
}

}  // namespace dlx::cuda
