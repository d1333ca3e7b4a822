#include "cuda/core/context.h"
#include "cuda/core/grid.h"
#include "cuda/core/pack.h"
#include "ops/element_bits.h"
#include "ops/fill.h"

namespace dlx::cuda {
namespace {

template <class T>
__global__ void fill_elements(T value, T* y, int64_t n, int64_t step) {
  for_each_item(n, [&](int64_t i) { y[i * step] = value; });
}

// y: dense and aligned. 16 bytes a thread, and the rest one by one.
template <class T>
__global__ void fill_dense(T value, T* y, int64_t n) {
  constexpr int kCount = kAccessBytes / sizeof(T);
  Pack<T, kCount> run;
  for (T& element : run.value) element = value;
  for_each_item(n / kCount, [&](int64_t i) { write_run(y + i * kCount, run); });
  const int64_t rest = n % kCount;
  for_each_item(rest, [&](int64_t i) { y[n - rest + i] = value; });
}

}  // namespace

void fill(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const FillShape*>(shape);
  if (s.n == 0) return;
  const Stream stream = context(ctx).stream;
  with_bits(s.element_bytes, [&]<class T>(T) {
    const auto value = static_cast<T>(s.value);
    auto* y = static_cast<T*>(buffers[0]);
    if (s.step == 1 && is_aligned(y)) {
      constexpr int64_t kCount = kAccessBytes / sizeof(T);
      launch_grid<fill_dense<T>>(blocks_for(s.n / kCount + 1), kBlockThreads, 0, stream, value, y,
                                 s.n);
    } else {
      launch_grid<fill_elements<T>>(blocks_for(s.n), kBlockThreads, 0, stream, value, y, s.n,
                                    s.step);
    }
  });
}

}  // namespace dlx::cuda
