// Borders: y is written 16 bytes a thread; where an element comes from may be anywhere.
#include "cuda/core/context.h"
#include "cuda/core/grid.h"
#include "cuda/core/pack.h"
#include "ops/element_bits.h"
#include "ops/pad.h"

namespace dlx::cuda {
namespace {

// The row of x that row `row` of y has in its middle, or null where it is all constant.
template <class T>
__device__ const T* row_of(const PadShape& s, const T* x, int64_t row) {
  for (int d = s.ndim - 2; d >= 0; --d) {
    const int64_t at = pad_source(s.mode, row % s.y_extent[d] - s.before[d], s.x_extent[d]);
    if (at < 0) return nullptr;
    x += at * s.x_stride[d];
    row /= s.y_extent[d];
  }
  return x;
}

template <class T>
__global__ void pad_elements(PadShape s, const T* __restrict__ x, const T* __restrict__ value,
                             T* __restrict__ y) {
  constexpr int kCount = kAccessBytes / sizeof(T);
  const int inner = s.ndim - 1;
  const int64_t columns = s.y_extent[inner];
  for_each_item((s.y_size + kCount - 1) / kCount, [&](int64_t i) {
    const int64_t first = i * kCount;
    int64_t row = first / columns, column = first % columns;
    const T* from = row_of(s, x, row);
    Pack<T, kCount> pack;
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const int64_t at =
          from ? pad_source(s.mode, column - s.before[inner], s.x_extent[inner]) : -1;
      pack.value[k] = at < 0 ? *value : from[at * s.x_stride[inner]];
      if (++column == columns) {  // the next element begins a row
        column = 0;
        from = row_of(s, x, ++row);
      }
    }
    if (first + kCount <= s.y_size) {
      write_run(y + first, pack);
    } else {
#pragma unroll
      for (int k = 0; k < kCount; ++k)
        if (first + k < s.y_size) y[first + k] = pack.value[k];
    }
  });
}

}  // namespace

void pad(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const PadShape*>(shape);
  if (s.y_size == 0) return;
  const bool constant = s.mode == PadMode::constant;
  with_bits(s.element_bytes, [&]<class T>(T) {
    const int64_t packs = s.y_size / (kAccessBytes / sizeof(T)) + 1;
    launch_grid<pad_elements<T>>(blocks_for(packs), kBlockThreads, 0, context(ctx).stream, s,
                                 static_cast<const T*>(buffers[0]),
                                 static_cast<const T*>(constant ? buffers[1] : nullptr),
                                 static_cast<T*>(buffers[constant ? 2 : 1]));
  });
}

}  // namespace dlx::cuda
