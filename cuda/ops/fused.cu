// Chains and trees of pointwise launches, each thread for one element at a time.
#include "cuda/core/context.h"
#include "cuda/ops/fused_steps.h"

namespace dlx::cuda {
namespace {

__global__ void fused_elements(FusedShape s, FusedArrays arrays) {
  for_each_item(s.n, [&](int64_t i) { run_steps(s, arrays, i, -1); });
}

}  // namespace

void fused(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const FusedShape*>(shape);
  launch_grid<fused_elements>(blocks_for(s.n), kBlockThreads, values_of(s), context(ctx).stream, s,
                              arrays_of(s, buffers));
}

}  // namespace dlx::cuda
