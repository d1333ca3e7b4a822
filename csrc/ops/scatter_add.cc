#include "ops/scatter_add.h"

#include <algorithm>
#include <cstring>

#include "core/choice.h"
#include "ops/scatter_table.h"

namespace dlx {

ScatterAddShape ScatterAddShape::make(const Array& g, const Array& indices, int axis,
                                      int64_t extent, Dims* y_shape) {
  DLX_CHECK_AS(TypeError, indices.dtype == DType::int64,
               "scatter_add: expected int64 indices, got ", indices.dtype);
  DLX_CHECK_AS(TypeError,
               g.dtype == DType::float32 || g.dtype == DType::float64 || is_integer(g.dtype),
               "scatter_add: no kernel for ", g.dtype,
               "; it works on float32, float64, int32, int64, uint8");
  const int behind = axis + indices.shape.ndim;
  bool fits = axis >= 0 && extent >= 0 && behind <= g.shape.ndim;
  for (int i = 0; fits && i < indices.shape.ndim; ++i) fits = g.shape[axis + i] == indices.shape[i];
  DLX_CHECK(fits, "scatter_add: expected g to have the shape of the indices at axis ", axis,
            " and an extent >= 0; g=", g.shape, " indices=", indices.shape, " extent=", extent);
  ScatterAddShape s{};
  s.dtype = g.dtype;
  s.axis = axis;
  s.n = indices.size();
  s.extent = extent;
  s.outer = s.inner = 1;
  *y_shape = Dims{};
  for (int i = 0; i < axis; ++i) {
    s.outer *= g.shape[i];
    y_shape->push_back(g.shape[i]);
  }
  DLX_CHECK(g.shape.ndim - indices.shape.ndim < kMaxDims, "scatter_add: at most ", kMaxDims,
            " dimensions are possible");
  y_shape->push_back(extent);
  for (int i = behind; i < g.shape.ndim; ++i) {
    s.inner *= g.shape[i];
    y_shape->push_back(g.shape[i]);
  }
  return s;
}

namespace cpu {
namespace {

constexpr int64_t kScatterGrain = 32768;  // additions
constexpr int64_t kBlock = 256;           // accumulators at a time: 2 KB of the first-level cache

// Each row of y sums its rows of g, found by sorting the positions; or numbers, one after the
// other, are added where they belong.
enum Algorithm { kSorted, kDirect };
Choice choice("scatter_add", {"sorted", "direct"});
bool direct_applies(const ScatterAddShape& s) { return s.outer == 1 && s.inner == 1; }

// begin[l] ... begin[l + 1] in `order` are the positions i with indices[i] == l, rising: a counting
// sort.
void sort_positions(const ScatterAddShape& s, const int64_t* indices, int64_t* begin,
                    int64_t* order) {
  std::fill_n(begin, s.extent + 1, 0);
  for (int64_t i = 0; i < s.n; ++i) ++begin[wrap(indices[i], s.extent)];
  int64_t total = 0;
  for (int64_t l = 0; l <= s.extent; ++l) total += std::exchange(begin[l], total);
  for (int64_t i = 0; i < s.n; ++i) order[begin[wrap(indices[i], s.extent)]++] = i;
  for (int64_t l = s.extent; l > 0; --l) begin[l] = begin[l - 1];
  begin[0] = 0;
}

// count elements of y from the rows g + order[j] * inner, j < rows, added in rising order of
// position; `ahead` positions follow from order on.
template <class T>
void add_rows(const T* g, int64_t inner, const int64_t* order, int64_t rows, int64_t ahead, T* y,
              int64_t count) {
  if (rows == 0) return void(std::fill_n(y, count, T{}));
  if (rows == 1)
    return void(std::memcpy(y, g + order[0] * inner, static_cast<size_t>(count) * sizeof(T)));
  if constexpr (std::is_floating_point_v<T>) {
    constexpr int t = sizeof(T) == 8;
    DLX_SELECT_ISA(scatter_table).add_rows[t](g, inner, order, rows, ahead, y, count);
  } else {
    uint64_t sum[kBlock];
    for (int64_t at = 0; at < count; at += kBlock) {
      const int64_t width = std::min(kBlock, count - at);
      std::fill_n(sum, width, 0);
      for (int64_t j = 0; j < rows; ++j) {
        const T* row = g + order[j] * inner + at;
        for (int64_t k = 0; k < width; ++k) sum[k] += static_cast<uint64_t>(row[k]);
      }
      for (int64_t k = 0; k < width; ++k) y[at + k] = static_cast<T>(sum[k]);
    }
  }
}

// Elements [begin, end) of y: every one is summed in the same order wherever the range is cut.
template <class T>
void scatter_elements(const ScatterAddShape& s, const T* g, const int64_t* starts,
                      const int64_t* order, T* y, int64_t begin, int64_t end) {
  int64_t row = begin / s.inner, first = begin % s.inner;
  int64_t o = row / s.extent, l = row % s.extent;
  while (begin < end) {
    const int64_t count = std::min(s.inner - first, end - begin);
    add_rows(g + o * s.n * s.inner + first, s.inner, order + starts[l], starts[l + 1] - starts[l],
             s.n - starts[l], y + begin, count);
    begin += count;
    first = 0;
    if (++l == s.extent) l = 0, ++o;
  }
}

// The same sums in the same order; sum: (L).
template <class T>
void add_numbers(const ScatterAddShape& s, const T* g, const int64_t* indices, SumOf<T>* sum,
                 T* y) {
  std::fill_n(sum, s.extent, SumOf<T>{});
  for (int64_t i = 0; i < s.n; ++i) sum[wrap(indices[i], s.extent)] += static_cast<SumOf<T>>(g[i]);
  for (int64_t l = 0; l < s.extent; ++l) y[l] = static_cast<T>(sum[l]);
}

}  // namespace

void scatter_add(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const ScatterAddShape*>(shape);
  const auto* indices = static_cast<const int64_t*>(buffers[1]);
  if (!check_indices(ctx.error, indices, s.n, s.extent)) return;
  const bool direct = direct_applies(s);
  if (choice.pick(direct ? kDirect : kSorted, 1 << kSorted | direct << kDirect) == kDirect)
    return with_sum_type(s.dtype, [&]<class T>(T) {
      add_numbers(s, static_cast<const T*>(buffers[0]), indices, static_cast<SumOf<T>*>(workspace),
                  static_cast<T*>(buffers[2]));
    });
  auto* starts = static_cast<int64_t*>(workspace);
  int64_t* order = starts + s.extent + 1;
  sort_positions(s, indices, starts, order);
  if (s.outer * s.extent * s.inner == 0) return;
  const int64_t adds_each = s.n / s.extent + 1;  // additions per element of y, on average
  const int64_t grain = std::max<int64_t>(kScatterGrain / adds_each, 1);
  parallel_for(s.outer * s.extent * s.inner, effective_grain(grain),
               [&](int64_t begin, int64_t end) {
                 with_sum_type(s.dtype, [&]<class T>(T) {
                   scatter_elements(s, static_cast<const T*>(buffers[0]), starts, order,
                                    static_cast<T*>(buffers[2]), begin, end);
                 });
               });
}

}  // namespace cpu
}  // namespace dlx
