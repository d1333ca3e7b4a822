#include "cuda/core/context.h"
#include "cuda/core/grid.h"
#include "ops/batch_norm_update.h"

namespace dlx::cuda {
namespace {

// One block, so that every thread has read the count before the first of them changes it.
template <class T>
__global__ void mix_statistics(BatchNormUpdateShape s, const double* __restrict__ mean,
                               const double* __restrict__ var, T* __restrict__ running_mean,
                               T* __restrict__ running_var, int64_t* count) {
  double factor = s.momentum;
  if (s.counted) {
    const int64_t next = *count + 1;
    if (s.cumulative) factor = 1 / static_cast<double>(next);
    __syncthreads();
    if (threadIdx.x == 0) *count = next;
  }
  if (s.n == 0) return;
  const auto n = static_cast<double>(s.n);
  for_each_item(s.C, [&](int64_t c) {
    const double unbiased = var[c] * (n / (n - 1));
    running_mean[c] =
        static_cast<T>((1 - factor) * static_cast<double>(running_mean[c]) + factor * mean[c]);
    running_var[c] =
        static_cast<T>((1 - factor) * static_cast<double>(running_var[c]) + factor * unbiased);
  });
}

}  // namespace

void batch_norm_update(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const BatchNormUpdateShape*>(shape);
  const auto run = [&]<class T>(T) {
    launch_grid<mix_statistics<T>>(
        1, kBlockThreads, 0, context(ctx).stream, s, static_cast<const double*>(buffers[0]),
        static_cast<const double*>(buffers[1]), static_cast<T*>(buffers[2]),
        static_cast<T*>(buffers[3]), s.counted ? static_cast<int64_t*>(buffers[4]) : nullptr);
  };
  s.dtype == DType::float64 ? run(double{}) : run(float{});
}

}  // namespace dlx::cuda
