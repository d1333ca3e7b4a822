// Moves 2 outer n inner elements and n indices.
#include "cuda/core/context.h"
#include "cuda/core/error_report.h"
#include "cuda/ops/index_range.h"
#include "cuda/ops/row_lanes.h"
#include "cuda/ops/strided.h"
#include "ops/element_bits.h"
#include "ops/take.h"

namespace dlx::cuda {
namespace {

// A row of y is a pair (o, i). Indices out of range give zeros.
template <class T>
__global__ void take_rows(TakeShape s, int64_t low, int lanes, const T* __restrict__ x,
                          const int64_t* __restrict__ indices, T* __restrict__ y,
                          ErrorReport* error) {
  for_each_row(s.outer * s.n, lanes, [&](int64_t row, int64_t lane) {
    const int64_t o = s.outer == 1 ? 0 : row / s.n, i = row - o * s.n;
    const int64_t index = indices[i];
    const bool good = index >= low && index < s.extent;
    if (!good && o == 0 && lane == 0) report(error, i, index, s.extent);
    const T* from = x + offset_of(o, s.outer_ndim, s.outer_extent, s.outer_stride) +
                    (good ? wrap(index, s.extent) * s.step : 0);
    for (int64_t k = lane; k < s.inner; k += lanes)
      y[row * s.inner + k] =
          good ? from[offset_of(k, s.inner_ndim, s.inner_extent, s.inner_stride)] : T{};
  });
}

template <class T>
void launch_rows(const TakeShape& s, int64_t low, void* const* buffers, Ctx& ctx) {
  const int lanes = lanes_for(s.inner);
  launch_grid<take_rows<T>>(blocks_for(s.outer * s.n * lanes), kBlockThreads, 0,
                            context(ctx).stream, s, low, lanes, static_cast<const T*>(buffers[0]),
                            static_cast<const int64_t*>(buffers[1]), static_cast<T*>(buffers[2]),
                            error_of(ctx));
}

// The same rows in units of 16 bytes; false where these do not lie so.
bool widen_rows(TakeShape& s, void* const* buffers) {
  const int64_t unit = kRowUnit / s.element_bytes;
  bool fits = s.inner_ndim == 1 && s.inner_stride[0] == 1 && s.inner % unit == 0 &&
              s.step % unit == 0 && in_units(buffers[0]) && in_units(buffers[2]);
  for (int d = 0; d < s.outer_ndim; ++d) fits = fits && s.outer_stride[d] % unit == 0;
  if (!fits) return false;
  s.inner /= unit;
  s.inner_extent[0] = s.inner;
  s.step /= unit;
  for (int d = 0; d < s.outer_ndim; ++d) s.outer_stride[d] /= unit;
  return true;
}

// low <= index < L.
void take_from(Ctx& ctx, TakeShape s, int64_t low, void* const* buffers) {
  if (s.outer * s.n * s.inner == 0)
    return check_between(context(ctx).stream, error_of(ctx),
                         static_cast<const int64_t*>(buffers[1]), s.n, low, s.extent);
  if (widen_rows(s, buffers)) return launch_rows<uint4>(s, low, buffers, ctx);
  with_bits(s.element_bytes, [&]<class T>(T) { launch_rows<T>(s, low, buffers, ctx); });
}

}  // namespace

void take(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const TakeShape*>(shape);
  take_from(ctx, s, -s.extent, buffers);
}

void embedding(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  take_from(ctx, *static_cast<const TakeShape*>(shape), 0, buffers);
}

}  // namespace dlx::cuda
