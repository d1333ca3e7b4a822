// Resampling. A first kernel finds where each row and each column of y comes from; then a thread
// gathers what belongs to its pixels, of y or, backward, of dx.
#include "cuda/core/context.h"
#include "cuda/core/grid.h"
#include "cuda/core/pack.h"
#include "ops/upsample.h"

namespace dlx::cuda {
namespace {

#include "ops/upsample_axis.h"

__device__ void fill_axis(const UpsampleShape& s, double step, const UpsampleAxis& axis) {
  const auto pixel = [&](int64_t i) {
    return static_cast<int64_t>(upsample_position(s, axis.n, step, i));
  };
  for_each_item(axis.m, [&](int64_t i) {
    axis.first[i] = pixel(i);
    if (axis.weight)
      axis.weight[i] = upsample_position(s, axis.n, step, i) - static_cast<double>(axis.first[i]);
  });
  for_each_item(axis.n + 1, [&](int64_t j) {  // by bisection: pixels never fall
    int64_t low = 0, high = axis.m;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (pixel(middle) >= j) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    axis.begin[j] = low;
  });
}

__global__ void fill_axes(UpsampleShape s, UpsampleAxes axes) {
  fill_axis(s, s.step_h, axes.rows);
  fill_axis(s, s.step_w, axes.columns);
}

// y's pixel (p, q) of one image x. The products are rounded as on the CPU: rows first.
template <class T>
__device__ T pixel_of(const UpsampleAxis& rows, const UpsampleAxis& columns, const T* x, int64_t p,
                      int64_t q) {
  const int64_t row = rows.first[p], left = columns.first[q];
  const T* above = x + row * columns.n;
  if (!rows.weight) return above[left];
  const T* below = x + behind(rows, row) * columns.n;
  const T low = static_cast<T>(rows.weight[p]), high = static_cast<T>(1 - rows.weight[p]);
  const auto mixed = [&](int64_t at) { return high * above[at] + low * below[at]; };
  return static_cast<T>(1 - columns.weight[q]) * mixed(left) +
         static_cast<T>(columns.weight[q]) * mixed(behind(columns, left));
}

// Reads x about once (neighbours share it in the caches) and writes y, `count` pixels of one row a
// thread.
template <class T, int count>
__global__ void upsample_pixels(UpsampleAxes axes, int64_t n, const T* __restrict__ x,
                                T* __restrict__ y) {
  const UpsampleAxis &rows = axes.rows, &columns = axes.columns;
  for_each_item(n / count, [&](int64_t i) {
    const int64_t row = i * count / columns.m, q = i * count % columns.m;
    const int64_t plane = row / rows.m, p = row % rows.m;
    Pack<T, count> result;
#pragma unroll
    for (int k = 0; k < count; ++k)
      result.value[k] = pixel_of(rows, columns, x + plane * rows.n * columns.n, p, q + k);
    write_run(y + i * count, result);
  });
}

// A thread adds what its pixel of x was given to, row by row, in float64 as on the CPU.
template <class T>
__global__ void upsample_gradients(UpsampleAxes axes, int64_t n, const T* __restrict__ dy,
                                   T* __restrict__ dx) {
  const UpsampleAxis &rows = axes.rows, &columns = axes.columns;
  for_each_item(n, [&](int64_t i) {
    const int64_t row = i / columns.n, w = i % columns.n;
    const int64_t plane = row / rows.n, h = row % rows.n;
    const T* image = dy + plane * rows.m * columns.m;
    double sum = 0;
    for (int64_t q = first_seeing(columns, w); q < columns.begin[w + 1]; ++q) {
      double column = 0;
      for (int64_t p = first_seeing(rows, h); p < rows.begin[h + 1]; ++p)
        column += weight_of(rows, p, h) * static_cast<double>(image[p * columns.m + q]);
      sum += weight_of(columns, q, w) * column;
    }
    dx[i] = static_cast<T>(sum);
  });
}

UpsampleAxes filled_axes(const UpsampleShape& s, void* workspace, Stream stream) {
  const UpsampleAxes axes(s, workspace);
  launch_grid<fill_axes>(blocks_for(std::max({s.H, s.P, s.W, s.Q}) + 1), kBlockThreads, 0, stream,
                         s, axes);
  return axes;
}

template <class T, int count>
void launch_pixels(const UpsampleShape& s, const UpsampleAxes& axes, const T* x, T* y,
                   Stream stream) {
  launch_grid<upsample_pixels<T, count>>(blocks_for(s.y_size() / count), kBlockThreads, 0, stream,
                                         axes, s.y_size(), x, y);
}

template <class T>
void upsample_as(const UpsampleShape& s, const UpsampleAxes& axes, const void* x, void* y,
                 Stream stream) {
  constexpr int kCount = kAccessBytes / sizeof(T);
  const bool packs = s.Q % kCount == 0 && is_aligned(y);
  const auto launch = packs ? launch_pixels<T, kCount> : launch_pixels<T, 1>;
  launch(s, axes, static_cast<const T*>(x), static_cast<T*>(y), stream);
}

template <class T>
void upsample_backward_as(const UpsampleShape& s, const UpsampleAxes& axes, const void* dy,
                          void* dx, Stream stream) {
  launch_grid<upsample_gradients<T>>(blocks_for(s.x_size()), kBlockThreads, 0, stream, axes,
                                     s.x_size(), static_cast<const T*>(dy), static_cast<T*>(dx));
}

}  // namespace

void upsample(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const UpsampleShape*>(shape);
  if (s.y_size() == 0) return;
  const Stream stream = context(ctx).stream;
  const UpsampleAxes axes = filled_axes(s, workspace, stream);
  const auto run = s.dtype == DType::float32 ? upsample_as<float> : upsample_as<double>;
  run(s, axes, buffers[0], buffers[1], stream);
}

void upsample_backward(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const UpsampleShape*>(shape);
  if (s.x_size() == 0) return;
  const Stream stream = context(ctx).stream;
  const UpsampleAxes axes = filled_axes(s, workspace, stream);
  const auto run =
      s.dtype == DType::float32 ? upsample_backward_as<float> : upsample_backward_as<double>;
  run(s, axes, buffers[0], buffers[1], stream);
}

}  // namespace dlx::cuda
