// Averages over windows and their gradients. Neighbouring threads have neighbouring results, along
// the row; a warp shares a window of many elements.
#include "cuda/core/block.h"
#include "cuda/core/row_walk.h"
#include "cuda/ops/pool.h"
#include "ops/avg_pool2d.h"

namespace dlx::cuda {
namespace {

constexpr int64_t kLargeWindow = 128;  // elements: some turns for every lane

// Sums are kept as A.
template <class T, class A>
__global__ void average_of_windows(PoolWindows w, PoolDivisor divisor, const T* __restrict__ x,
                                   T* __restrict__ y) {
  for_each_item(size_of_y(w), [&](int64_t i) {
    const PoolPlace at(i, w.rows.m, w.columns.m);
    const int64_t bottom = w.rows.end(at.row);
    const int64_t left = w.columns.begin(at.column), right = w.columns.end(at.column);
    A sum{};
    for (int64_t h = w.rows.begin(at.row); h < bottom; ++h) {
      const T* row = x + (at.plane * w.rows.n + h) * w.columns.n;
      for (int64_t c = left; c < right; ++c) sum += static_cast<A>(row[c]);
    }
    y[i] = static_cast<T>(sum / static_cast<A>(divisor.of(w, at.row, at.column)));
  });
}

template <class T>
__global__ void average_of_large_windows(PoolWindows w, PoolDivisor divisor,
                                         const T* __restrict__ x, T* __restrict__ y) {
  const int64_t warps = int64_t{gridDim.x} * blockDim.x / kWarpThreads;
  const int lane = static_cast<int>(threadIdx.x) % kWarpThreads;
  int64_t i = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / kWarpThreads;
  for (; i < size_of_y(w); i += warps) {
    const PoolPlace at(i, w.rows.m, w.columns.m);
    const int64_t top = w.rows.begin(at.row), height = w.rows.end(at.row) - top;
    const int64_t left = w.columns.begin(at.column), width = w.columns.end(at.column) - left;
    const T* corner = x + (at.plane * w.rows.n + top) * w.columns.n + left;
    double sum = 0;
    if (width > 0)
      for (RowWalk e(lane, kWarpThreads, width); e.row < height; e.advance())
        sum += static_cast<double>(corner[e.row * w.columns.n + e.column]);
    sum = reduce_warp(sum, [](double a, double b) { return a + b; });
    if (lane == 0)
      y[i] = static_cast<T>(sum / static_cast<double>(divisor.of(w, at.row, at.column)));
  }
}

// An element of dx adds up what the windows that hold it have for each of their elements.
template <class T, class A>
__global__ void average_gradient(PoolWindows w, PoolDivisor divisor, const T* __restrict__ dy,
                                 T* __restrict__ dx) {
  for_each_item(size_of_x(w), [&](int64_t i) {
    const PoolPlace at(i, w.rows.n, w.columns.n);
    const int64_t p_end = w.rows.last_over(at.row);
    const int64_t q_begin = w.columns.first_over(at.column);
    const int64_t q_end = w.columns.last_over(at.column);
    A sum{};
    for (int64_t p = w.rows.first_over(at.row); p < p_end; ++p) {
      const T* row = dy + (at.plane * w.rows.m + p) * w.columns.m;
      for (int64_t q = q_begin; q < q_end; ++q)
        sum += static_cast<A>(row[q]) / static_cast<A>(divisor.of(w, p, q));
    }
    dx[i] = static_cast<T>(sum);
  });
}

// f(T{}, A{}) with the type of the elements and that of their sums.
template <class F>
void with_sum_type(const PoolShape& s, const F& f) {
  if (s.dtype == DType::float64) return f(double{}, double{});
  is_wide(s.windows) ? f(float{}, double{}) : f(float{}, float{});
}

}  // namespace

void avg_pool2d(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const PoolShape*>(shape);
  const int64_t n = s.y_size();
  if (n == 0) return;
  const Stream stream = context(ctx).stream;
  if (s.taps() < kLargeWindow) {
    with_sum_type(s, [&]<class T, class A>(T, A) {
      launch_grid<average_of_windows<T, A>>(blocks_for(n), kBlockThreads, 0, stream, s.windows,
                                            s.divisor, static_cast<const T*>(buffers[0]),
                                            static_cast<T*>(buffers[1]));
    });
  } else {
    with_pool_dtype(s.dtype, [&]<class T>(T) {
      launch_grid<average_of_large_windows<T>>(
          blocks_for(n * kWarpThreads), kBlockThreads, 0, stream, s.windows, s.divisor,
          static_cast<const T*>(buffers[0]), static_cast<T*>(buffers[1]));
    });
  }
}

void avg_pool2d_backward(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const PoolShape*>(shape);
  const int64_t n = s.x_size();
  if (n == 0) return;
  with_sum_type(s, [&]<class T, class A>(T, A) {
    launch_grid<average_gradient<T, A>>(blocks_for(n), kBlockThreads, 0, context(ctx).stream,
                                        s.windows, s.divisor, static_cast<const T*>(buffers[0]),
                                        static_cast<T*>(buffers[1]));
  });
}

}  // namespace dlx::cuda
