#include "cuda/core/context.h"
#include "cuda/core/grid.h"
#include "ops/copy.h"
#include "ops/element_bits.h"

namespace dlx::cuda {
namespace {

template <class T>
__global__ void copy_elements(CopyShape s, const T* x, T* y, int64_t n) {
  for_each_item(n, [&](int64_t i) {
    int64_t from = 0, to = 0, rest = i;
    for (int d = s.ndim - 1; d >= 0; --d) {
      const int64_t at = rest % s.extent[d];
      rest /= s.extent[d];
      from += at * s.x_stride[d];
      to += at * s.y_stride[d];
    }
    y[to] = x[from];
  });
}

}  // namespace

void copy(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const CopyShape*>(shape);
  int64_t n = 1;
  for (int d = 0; d < s.ndim; ++d) n *= s.extent[d];
  if (n == 0) return;
  const Stream stream = context(ctx).stream;
  if (s.ndim == 1 && s.x_stride[0] == 1 && s.y_stride[0] == 1)
    return copy(stream, buffers[1], buffers[0], n * s.element_bytes, Copy::on_device);
  with_bits(s.element_bytes, [&]<class T>(T) {
    launch_grid<copy_elements<T>>(blocks_for(n), kBlockThreads, 0, stream, s,
                                  static_cast<const T*>(buffers[0]), static_cast<T*>(buffers[1]),
                                  n);
  });
}

}  // namespace dlx::cuda
