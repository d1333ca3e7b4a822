// Maxima of windows and their gradients: a thread for each result, neighbours along the row.
#include "cuda/ops/pool.h"
#include "ops/max_pool2d.h"
#include "ops/max_window.h"

namespace dlx::cuda {
namespace {

template <class T>
__global__ void max_of_windows(PoolWindows w, const T* __restrict__ x, T* __restrict__ y,
                               MaxPlaces places) {
  for_each_item(size_of_y(w), [&](int64_t i) {
    const PoolPlace at(i, w.rows.m, w.columns.m);
    const T* plane = x + at.plane * w.rows.n * w.columns.n;
    const WindowMax<T> max = max_of_window(w, at.row, at.column, plane);
    y[i] = max.value;
    if (places.bytes) places.bytes[i] = max.byte(w, at.row, at.column);
    if (places.indices) places.indices[i] = max.index(w);
  });
}

// Which element of window i stands at j, one of those that it reaches over; -1: j lies between two.
__device__ inline int64_t element_at(const PoolAxis& a, int64_t i, int64_t j) {
  const int64_t distance = j - a.origin(i);
  if (a.dilation == 1) return distance;
  return distance % a.dilation ? -1 : distance / a.dilation;
}

// An element of dx asks the windows that hold it whether it was their maximum, in rising order, so
// that the sum has the bits of the CPU's. No two threads add to one element. y: null, or the maxima
// of a relu's results, whose gradient is taken, too.
template <class T>
__global__ void max_gradient(PoolWindows w, const T* __restrict__ dy, MaxPlaces places,
                             const T* __restrict__ y, T* __restrict__ dx) {
  const PoolAxis &rows = w.rows, &columns = w.columns;
  for_each_item(size_of_x(w), [&](int64_t i) {
    const PoolPlace at(i, rows.n, columns.n);
    const int64_t index = at.row * columns.n + at.column;
    const int64_t p_end = rows.last_over(at.row);
    const int64_t q_begin = columns.first_over(at.column), q_end = columns.last_over(at.column);
    T sum{};
    for (int64_t p = rows.first_over(at.row); p < p_end; ++p) {
      const int64_t r = element_at(rows, p, at.row);
      if (r < 0) continue;
      const int64_t windows = (at.plane * rows.m + p) * columns.m;
      for (int64_t q = q_begin; q < q_end; ++q) {
        const int64_t s = element_at(columns, q, at.column);
        if (s < 0) continue;
        const bool was_it = places.bytes ? places.bytes[windows + q] == r * columns.extent() + s
                                         : places.indices[windows + q] == index;
        if (was_it && !(y && y[windows + q] <= 0)) sum += dy[windows + q];
      }
    }
    dx[i] = sum;
  });
}

template <class T>
__global__ void take_maxima(PoolWindows w, const T* __restrict__ x, MaxPlaces places,
                            T* __restrict__ y) {
  const int64_t x_plane = w.rows.n * w.columns.n, y_plane = w.rows.m * w.columns.m;
  for_each_item(size_of_y(w), [&](int64_t i) {
    const int64_t at = index_of(w, places, i);
    const bool inside = static_cast<uint64_t>(at) < static_cast<uint64_t>(x_plane);
    y[i] = inside ? x[i / y_plane * x_plane + at] : T{};
  });
}

MaxPlaces places_at(const MaxPoolShape& s, void* places) {
  return {s.places == Places::bytes ? static_cast<uint8_t*>(places) : nullptr,
          s.places == Places::indices ? static_cast<int64_t*>(places) : nullptr};
}

}  // namespace

void max_pool2d(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MaxPoolShape*>(shape);
  const int64_t n = s.pool.y_size();
  if (n == 0) return;
  const MaxPlaces places = places_at(s, s.places == Places::none ? nullptr : buffers[2]);
  with_pool_dtype(s.pool.dtype, [&]<class T>(T) {
    launch_grid<max_of_windows<T>>(blocks_for(n), kBlockThreads, 0, context(ctx).stream,
                                   s.pool.windows, static_cast<const T*>(buffers[0]),
                                   static_cast<T*>(buffers[1]), places);
  });
}

void max_pool2d_backward(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MaxPoolShape*>(shape);
  const int64_t n = s.pool.x_size();
  if (n == 0) return;
  with_pool_dtype(s.pool.dtype, [&]<class T>(T) {
    launch_grid<max_gradient<T>>(blocks_for(n), kBlockThreads, 0, context(ctx).stream,
                                 s.pool.windows, static_cast<const T*>(buffers[0]),
                                 places_at(s, buffers[1]),
                                 s.relu_backward ? static_cast<const T*>(buffers[2]) : nullptr,
                                 static_cast<T*>(buffers[2 + s.relu_backward]));
  });
}

void max_pool2d_gather(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MaxPoolShape*>(shape);
  const int64_t n = s.pool.y_size();
  if (n == 0) return;
  with_pool_dtype(s.pool.dtype, [&]<class T>(T) {
    launch_grid<take_maxima<T>>(blocks_for(n), kBlockThreads, 0, context(ctx).stream,
                                s.pool.windows, static_cast<const T*>(buffers[0]),
                                places_at(s, buffers[1]), static_cast<T*>(buffers[2]));
  });
}

}  // namespace dlx::cuda
