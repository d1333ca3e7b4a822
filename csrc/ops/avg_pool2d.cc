#include "ops/avg_pool2d.h"

#include "core/cpu_features.h"
#include "core/parallel.h"

namespace dlx {

DLX_EACH_ISA(extern const AvgPoolTable avg_pool_table;)

namespace cpu {

void avg_pool2d(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const PoolShape*>(shape);
  const PoolWindows& w = s.windows;
  if (s.y_size() == 0) return;
  const auto f = DLX_SELECT_ISA(avg_pool_table).avg_pool2d[s.dtype == DType::float64];
  const int64_t grain = pool_grain(w.columns.m * s.taps());
  parallel_for(w.planes * w.rows.m, grain, [&](int64_t begin, int64_t end) {
    f(w, s.divisor, begin, end, buffers[0], buffers[1]);
  });
}

void avg_pool2d_backward(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const PoolShape*>(shape);
  const PoolWindows& w = s.windows;
  const auto f = DLX_SELECT_ISA(avg_pool_table).avg_pool2d_backward[s.dtype == DType::float64];
  parallel_for(w.planes * w.rows.n, pool_grain(2 * w.columns.n), [&](int64_t begin, int64_t end) {
    f(w, s.divisor, begin, end, buffers[0], buffers[1]);
  });
}

}  // namespace cpu
}  // namespace dlx
