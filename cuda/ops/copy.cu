#include "cuda/core/context.h"
#include "cuda/core/grid.h"
#include "cuda/ops/row_lanes.h"
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

int64_t elements(const CopyShape& s) {
  int64_t n = 1;
  for (int d = 0; d < s.ndim; ++d) n *= s.extent[d];
  return n;
}

template <class T>
void launch_copy(const CopyShape& s, void* const* buffers, Stream stream) {
  const int64_t n = elements(s);
  launch_grid<copy_elements<T>>(blocks_for(n), kBlockThreads, 0, stream, s,
                                static_cast<const T*>(buffers[0]), static_cast<T*>(buffers[1]), n);
}

// The same copy in units of 16 bytes; false where the rows of x or y are not made of these.
bool widen_rows(CopyShape& s, void* const* buffers) {
  const int64_t unit = kRowUnit / s.element_bytes;
  const int inner = s.ndim - 1;
  bool fits = s.x_stride[inner] == 1 && s.y_stride[inner] == 1 && s.extent[inner] % unit == 0 &&
              in_units(buffers[0]) && in_units(buffers[1]);
  for (int d = 0; d < inner; ++d)
    fits = fits && s.x_stride[d] % unit == 0 && s.y_stride[d] % unit == 0;
  if (!fits) return false;
  s.extent[inner] /= unit;
  for (int d = 0; d < inner; ++d) {
    s.x_stride[d] /= unit;
    s.y_stride[d] /= unit;
  }
  return true;
}

}  // namespace

void copy(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  auto s = *static_cast<const CopyShape*>(shape);
  const int64_t n = elements(s);
  if (n == 0) return;
  const Stream stream = context(ctx).stream;
  if (s.ndim == 1 && s.x_stride[0] == 1 && s.y_stride[0] == 1)
    return copy(stream, buffers[1], buffers[0], n * s.element_bytes, Copy::on_device);
  if (s.ndim > 1 && widen_rows(s, buffers)) return launch_copy<uint4>(s, buffers, stream);
  with_bits(s.element_bytes, [&]<class T>(T) { launch_copy<T>(s, buffers, stream); });
}

}  // namespace dlx::cuda
