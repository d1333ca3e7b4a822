#include "ops/avg_pool2d.h"

#include "core/choice.h"
#include "core/cpu_features.h"
#include "core/parallel.h"
#include "ops/pool_traffic.h"

namespace dlx {

DLX_EACH_ISA(extern const AvgPoolTable avg_pool_table;)
DLX_EACH_ISA(extern const PoolPairsTable pool_pairs_table;)

namespace cpu {
namespace {

// Any windows by sums of their rows, or windows of two columns beside one another.
enum Algorithm { kRows, kPairs };
Choice forward("avg_pool2d", {"rows", "pairs"});
Choice backward("avg_pool2d_backward", {"rows", "pairs"});

bool takes_pairs(Choice& choice, const PoolWindows& w) {
  const bool apply = DLX_SELECT_ISA(pool_pairs_table).apply(w);
  return choice.pick(apply ? kPairs : kRows, 1 << kRows | apply << kPairs) == kPairs;
}

}  // namespace

void avg_pool2d(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const PoolShape*>(shape);
  const PoolWindows& w = s.windows;
  if (s.y_size() == 0) return;
  const int t = s.dtype == DType::float64;
  const bool pairs = takes_pairs(forward, w);
  const int64_t width = size_of(s.dtype);
  const PoolTraffic traffic((s.x_size() + s.y_size()) * width, w.columns.m * width);
  const auto f = pairs ? DLX_SELECT_ISA(pool_pairs_table).avg[traffic.far][t]
                       : DLX_SELECT_ISA(avg_pool_table).avg_pool2d[t];
  const int64_t rows = w.planes * w.rows.m, work = w.columns.m * s.taps();
  const int64_t grain = pairs ? pairs_grain(rows, work) : pool_grain(rows, work);
  traffic.write_rows(rows, grain, buffers[1], [&](int64_t begin, int64_t end, void* y) {
    f(w, s.divisor, begin, end, buffers[0], y);
  });
}

void avg_pool2d_backward(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const PoolShape*>(shape);
  const PoolWindows& w = s.windows;
  const int t = s.dtype == DType::float64;
  const bool pairs = takes_pairs(backward, w);
  const int64_t width = size_of(s.dtype);
  const PoolTraffic traffic((s.x_size() + s.y_size()) * width, w.columns.n * width);
  const auto f = pairs ? DLX_SELECT_ISA(pool_pairs_table).avg_backward[t]
                       : DLX_SELECT_ISA(avg_pool_table).avg_pool2d_backward[t];
  const int64_t rows = w.planes * w.rows.n, work = 2 * w.columns.n;
  const int64_t grain = pairs ? pairs_grain(rows, work) : pool_grain(rows, work);
  traffic.write_rows(rows, grain, buffers[1], [&](int64_t begin, int64_t end, void* dx) {
    f(w, s.divisor, begin, end, buffers[0], dx);
  });
}

}  // namespace cpu
}  // namespace dlx
