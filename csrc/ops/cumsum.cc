#include "ops/cumsum.h"

#include <algorithm>

#include "core/check.h"
#include "core/parallel.h"

namespace dlx {

CumsumShape CumsumShape::make(const Array& x, int axis, bool reverse) {
  DLX_CHECK_AS(TypeError, x.dtype != DType::bfloat16 && x.dtype != DType::float16,
               "cumsum: no kernel for ", x.dtype,
               "; it works on float32, float64, int32, int64, uint8, bool");
  DLX_CHECK(axis >= 0 && axis < x.shape.ndim, "cumsum: axis ", axis,
            " does not exist; x=", x.shape);
  CumsumShape s{};
  s.dtype = x.dtype;
  s.reverse = reverse;
  s.outer = s.inner = 1;
  s.n = x.shape[axis];
  for (int i = 0; i < axis; ++i) s.outer *= x.shape[i];
  for (int i = axis + 1; i < x.shape.ndim; ++i) s.inner *= x.shape[i];
  return s;
}

namespace cpu {
namespace {

constexpr int64_t kGrain = 16384;  // elements: 10-30 us
constexpr int kRows = 4;           // at a time: chains of additions that overlap
constexpr int64_t kColumns = 64;   // at a time: vectors of them

// Rows of n elements, one behind the other, from their element `first` on.
template <int kCount, class Sum, class T, class Y>
void scan_rows(const T* x, int64_t n, int64_t first, int64_t step, Y* y) {
  Sum sum[kCount] = {};
  for (int64_t i = 0, at = first; i < n; ++i, at += step) {
    for (int r = 0; r < kCount; ++r) {
      sum[r] += static_cast<Sum>(x[r * n + at]);
      y[r * n + at] = static_cast<Y>(sum[r]);
    }
  }
}

// `count` <= kColumns columns side by side.
template <class Sum, class T, class Y>
void scan_columns(const T* x, int64_t n, int64_t count, int64_t first, int64_t step, Y* y) {
  Sum sum[kColumns] = {};
  for (int64_t i = 0, at = first; i < n; ++i, at += step) {
#pragma GCC ivdep
    for (int64_t j = 0; j < count; ++j) {
      sum[j] += static_cast<Sum>(x[at + j]);
      y[at + j] = static_cast<Y>(sum[j]);
    }
  }
}

template <class Sum, class T, class Y>
void scan(const CumsumShape& s, const void* x0, void* y0) {
  const int64_t step = s.reverse ? -s.inner : s.inner, first = s.reverse ? (s.n - 1) * s.inner : 0;
  const int64_t tile = s.inner == 1 ? kRows : effective_grain(kColumns);
  const int64_t grain = std::max(tile, effective_grain(kGrain) / s.n);
  parallel_for(s.outer * s.inner, grain, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin, lines; p < end; p += lines) {
      const int64_t at = p / s.inner * s.n * s.inner + p % s.inner;
      const T* x = static_cast<const T*>(x0) + at;
      Y* y = static_cast<Y*>(y0) + at;
      if (s.inner > 1) {
        lines = std::min({kColumns, end - p, s.inner - p % s.inner});
        scan_columns<Sum>(x, s.n, lines, first, step, y);
      } else if (end - p >= kRows) {
        lines = kRows;
        scan_rows<kRows, Sum>(x, s.n, first, step, y);
      } else {
        lines = 1;
        scan_rows<1, Sum>(x, s.n, first, step, y);
      }
    }
  });
}

}  // namespace

void cumsum(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const CumsumShape*>(shape);
  if (s.outer * s.n * s.inner == 0) return;
  const void* x = buffers[0];
  void* y = buffers[1];
  if (s.dtype == DType::float32) return scan<double, float, float>(s, x, y);
  if (s.dtype == DType::float64) return scan<double, double, double>(s, x, y);
  if (s.dtype == DType::int32) return scan<uint64_t, int32_t, int64_t>(s, x, y);
  if (s.dtype == DType::int64) return scan<uint64_t, int64_t, int64_t>(s, x, y);
  scan<uint64_t, uint8_t, int64_t>(s, x, y);  // bools are bytes 0 and 1
}

}  // namespace cpu
}  // namespace dlx
