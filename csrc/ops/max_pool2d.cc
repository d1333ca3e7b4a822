#include "ops/max_pool2d.h"

#include "core/cpu_features.h"
#include "core/parallel.h"

namespace dlx {

DLX_EACH_ISA(extern const MaxPoolTable max_pool_table;)

MaxPoolShape MaxPoolShape::make(const char* op, const Dims& x, DType dtype, const PoolOptions& o,
                                bool indexed, Dims* y_shape) {
  MaxPoolShape s{};
  s.pool = PoolShape::make(op, x, dtype, o, y_shape);
  s.indexed = indexed;
  return s;
}

namespace cpu {

void max_pool2d(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MaxPoolShape*>(shape);
  const PoolWindows& w = s.pool.windows;
  auto* indices = s.indexed ? static_cast<int64_t*>(buffers[2]) : nullptr;
  if (s.pool.y_size() == 0) return;
  const auto f = DLX_SELECT_ISA(max_pool_table).max_pool2d[s.pool.dtype == DType::float64];
  const int64_t grain = pool_grain(w.columns.m * s.pool.taps());
  parallel_for(w.planes * w.rows.m, grain, [&](int64_t begin, int64_t end) {
    f(w, begin, end, buffers[0], buffers[1], indices);
  });
}

void max_pool2d_backward(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const PoolShape*>(shape);
  const PoolWindows& w = s.windows;
  const auto* indices = static_cast<const int64_t*>(buffers[1]);
  const auto f = DLX_SELECT_ISA(max_pool_table).max_pool2d_backward[s.dtype == DType::float64];
  parallel_for(w.planes * w.rows.n, pool_grain(w.columns.n), [&](int64_t begin, int64_t end) {
    f(w, begin, end, buffers[0], indices, buffers[2]);
  });
}

void max_pool2d_gather(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const PoolShape*>(shape);
  const PoolWindows& w = s.windows;
  const auto* indices = static_cast<const int64_t*>(buffers[1]);
  const int64_t x_plane = w.rows.n * w.columns.n, y_plane = w.rows.m * w.columns.m;
  const auto run = [&]<class T>(T) {
    const T* x = static_cast<const T*>(buffers[0]);
    T* y = static_cast<T*>(buffers[2]);
    parallel_for(s.y_size(), effective_grain(16384), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const bool inside = static_cast<uint64_t>(indices[i]) < static_cast<uint64_t>(x_plane);
        y[i] = inside ? x[i / y_plane * x_plane + indices[i]] : T{};
      }
    });
  };
  s.dtype == DType::float64 ? run(double{}) : run(float{});
}

}  // namespace cpu
}  // namespace dlx
