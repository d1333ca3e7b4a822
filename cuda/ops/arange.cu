#include "cuda/core/context.h"
#include "cuda/core/grid.h"
#include "ops/arange.h"

namespace dlx::cuda {
namespace {

__global__ void count_integers(ArangeShape s, int64_t* y) {
  for_each_item(s.n, [&](int64_t i) { y[i] = s.integer_at(i); });
}

__global__ void count_numbers(ArangeShape s, double* y) {
  for_each_item(s.n, [&](int64_t i) { y[i] = s.ends && i == s.n - 1 ? s.last : s.number_at(i); });
}

}  // namespace

void arange(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const ArangeShape*>(shape);
  if (s.n == 0) return;
  const Stream stream = context(ctx).stream;
  if (s.integers) {
    launch_grid<count_integers>(blocks_for(s.n), kBlockThreads, 0, stream, s,
                                static_cast<int64_t*>(buffers[0]));
  } else {
    launch_grid<count_numbers>(blocks_for(s.n), kBlockThreads, 0, stream, s,
                               static_cast<double*>(buffers[0]));
  }
}

}  // namespace dlx::cuda
