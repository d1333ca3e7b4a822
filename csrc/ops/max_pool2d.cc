#include "ops/max_pool2d.h"

#include "core/choice.h"
#include "core/cpu_features.h"
#include "core/parallel.h"
#include "ops/pool_traffic.h"

namespace dlx {

DLX_EACH_ISA(extern const MaxPoolTable max_pool_table;)
DLX_EACH_ISA(extern const PoolPairsTable pool_pairs_table;)

MaxPoolShape MaxPoolShape::make(const char* op, const Dims& x, DType dtype, const PoolOptions& o,
                                Places places, Dims* y_shape) {
  MaxPoolShape s{};
  s.pool = PoolShape::make(op, x, dtype, o, y_shape);
  const PoolWindows& w = s.pool.windows;
  const int64_t down = w.rows.extent(), across = w.columns.extent();
  const bool fits = down <= kNoElement && across <= kNoElement && down * across <= kNoElement;
  s.places = places == Places::bytes && !fits ? Places::indices : places;
  return s;
}

namespace cpu {
namespace {

// The same numbers: one window after the other, blocks of windows, or, where they lie beside one
// another and have two columns, those taken apart.
enum Forward { kWindows, kBlocks, kPairs };
Choice forward("max_pool2d", {"windows", "blocks", "pairs"});
// Each window adds to an element; each element gathers what its windows have for it; or windows of
// two columns write theirs.
enum Backward { kScatter, kGather, kWritePairs };
Choice backward("max_pool2d_backward", {"scatter", "gather", "pairs"});

MaxPlaces places_at(const MaxPoolShape& s, void* places) {
  return {s.places == Places::bytes ? static_cast<uint8_t*>(places) : nullptr,
          s.places == Places::indices ? static_cast<int64_t*>(places) : nullptr};
}

}  // namespace

void max_pool2d(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MaxPoolShape*>(shape);
  const PoolWindows& w = s.pool.windows;
  if (s.pool.y_size() == 0) return;
  const MaxPlaces places = places_at(s, s.places == Places::none ? nullptr : buffers[2]);
  const MaxPoolTable& table = DLX_SELECT_ISA(max_pool_table);
  const int t = s.pool.dtype == DType::float64;
  const bool blocks = table.blocks_apply[t](w);
  const PoolPairsTable& by_two = DLX_SELECT_ISA(pool_pairs_table);
  const bool pairs = !places.indices && by_two.apply(w);
  const int64_t width = size_of(s.pool.dtype);
  const PoolTraffic traffic((s.pool.x_size() + s.pool.y_size()) * width, w.columns.m * width);
  const int algorithm = forward.pick(pairs    ? kPairs
                                     : blocks ? kBlocks
                                              : kWindows,
                                     1 << kWindows | blocks << kBlocks | pairs << kPairs);
  const auto f = algorithm == kPairs    ? by_two.max[traffic.far][t]
                 : algorithm == kBlocks ? table.blocks[t]
                                        : table.windows[t];
  const int64_t rows = w.planes * w.rows.m, work = w.columns.m * s.pool.taps();
  const int64_t grain = algorithm == kPairs ? pairs_grain(rows, work) : pool_grain(rows, work);
  traffic.write_rows(rows, grain, buffers[1], [&](int64_t begin, int64_t end, void* y) {
    f(w, begin, end, buffers[0], y, places);
  });
}

void max_pool2d_backward(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MaxPoolShape*>(shape);
  const PoolWindows& w = s.pool.windows;
  const MaxPlaces places = places_at(s, buffers[1]);
  const MaxPoolTable& table = DLX_SELECT_ISA(max_pool_table);
  const int t = s.pool.dtype == DType::float64;
  const bool gather = places.bytes && table.gather_applies[t](w);
  const PoolPairsTable& by_two = DLX_SELECT_ISA(pool_pairs_table);
  const bool pairs = places.bytes && by_two.apply(w);
  const void* y = s.relu_backward ? buffers[2] : nullptr;
  const int64_t width = size_of(s.pool.dtype);
  const PoolTraffic traffic((s.pool.x_size() + s.pool.y_size()) * width, w.columns.n * width);
  const int algorithm = backward.pick(pairs    ? kWritePairs
                                      : gather ? kGather
                                               : kScatter,
                                      1 << kScatter | gather << kGather | pairs << kWritePairs);
  const auto f = algorithm == kWritePairs ? by_two.max_backward[t]
                 : algorithm == kGather   ? table.gather[t]
                                          : table.scatter[t];
  const int64_t rows = w.planes * w.rows.n, work = w.columns.n;
  const int64_t grain =
      algorithm == kWritePairs ? pairs_grain(rows, 2 * work) : pool_grain(rows, work);
  traffic.write_rows(
      rows, grain, buffers[2 + s.relu_backward],
      [&](int64_t begin, int64_t end, void* dx) { f(w, begin, end, buffers[0], places, y, dx); });
}

void max_pool2d_gather(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MaxPoolShape*>(shape);
  const PoolWindows& w = s.pool.windows;
  const MaxPlaces places = places_at(s, buffers[1]);
  const int64_t x_plane = w.rows.n * w.columns.n, y_plane = w.rows.m * w.columns.m;
  const auto run = [&]<class T>(T) {
    const T* x = static_cast<const T*>(buffers[0]);
    T* y = static_cast<T*>(buffers[2]);
    parallel_for(s.pool.y_size(), effective_grain(16384), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = index_of(w, places, i);
        const bool inside = static_cast<uint64_t>(at) < static_cast<uint64_t>(x_plane);
        y[i] = inside ? x[i / y_plane * x_plane + at] : T{};
      }
    });
  };
  s.pool.dtype == DType::float64 ? run(double{}) : run(float{});
}

}  // namespace cpu
}  // namespace dlx
