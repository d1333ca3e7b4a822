#include "cuda/core/context.h"
#include "cuda/core/grid.h"
#include "ops/element_bits.h"
#include "ops/fill.h"

namespace dlx::cuda {
namespace {

template <class T>
__global__ void fill_elements(T value, T* y, int64_t n, int64_t step) {
  for_each_item(n, [&](int64_t i) { y[i * step] = value; });
}

}  // namespace

void fill(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const FillShape*>(shape);
  if (s.n == 0) return;
  with_bits(s.element_bytes, [&]<class T>(T) {
    launch_grid<fill_elements<T>>(blocks_for(s.n), kBlockThreads, 0, context(ctx).stream,
                                  static_cast<T>(s.value), static_cast<T*>(buffers[0]), s.n,
                                  s.step);
  });
}

}  // namespace dlx::cuda
