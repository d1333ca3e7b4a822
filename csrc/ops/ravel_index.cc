#include "ops/ravel_index.h"

#include <algorithm>

#include "core/view.h"
#include "ops/index_range.h"
#include "ops/strided.h"

namespace dlx {

RavelIndexShape RavelIndexShape::make(int count, const Array* const* indices, const Dims& limits,
                                      const Dims& axes, Dims* y_shape) {
  DLX_CHECK(count >= 1 && count <= kMaxDims && limits.ndim == count && axes.ndim == count,
            "getitem: expected 1 to ", kMaxDims, " index arrays, got ", count);
  Dims y;
  std::string shapes;
  for (int k = 0; k < count; ++k) {
    DLX_CHECK_AS(TypeError, indices[k]->dtype == DType::int64,
                 "getitem: expected int64 indices, got ", indices[k]->dtype);
    y.ndim = std::max(y.ndim, indices[k]->shape.ndim);
    shapes += message(k ? ", " : "", indices[k]->shape);
  }
  for (int i = 0; i < y.ndim; ++i) {
    y[i] = 1;
    for (int k = 0; k < count; ++k) {
      const int at = i - (y.ndim - indices[k]->shape.ndim);
      if (at < 0 || indices[k]->shape[at] == 1) continue;
      DLX_CHECK_AS(std::out_of_range, y[i] == 1 || y[i] == indices[k]->shape[at],
                   "getitem: expected index arrays whose shapes broadcast together, got ", shapes);
      y[i] = indices[k]->shape[at];
    }
  }
  check_extents(y, "getitem");
  RavelIndexShape s{};
  s.count = count;
  int64_t weight = 1;
  for (int k = count - 1; k >= 0; --k) {
    s.limit[k] = limits[k];
    s.axis[k] = axes[k];
    s.weight[k] = weight;
    weight *= limits[k];
    for (int i = 0; i < y.ndim; ++i) {
      const int at = i - (y.ndim - indices[k]->shape.ndim);
      s.stride[k][i] = at < 0 || indices[k]->shape[at] == 1 ? 0 : indices[k]->strides[at];
    }
  }
  std::copy(y.begin(), y.end(), s.extent);
  s.ndim = merge_dims(y.ndim, s.extent, s.stride, count);
  for (int i = s.ndim; i < kMaxDims; ++i) {
    s.extent[i] = 0;
    for (int k = 0; k < count; ++k) s.stride[k][i] = 0;
  }
  *y_shape = y;
  return s;
}

// The slot's row is which of the index arrays * n + position.
std::string explain_ravel_index(const void* shape, const ErrorSlot& error) {
  const auto& s = *static_cast<const RavelIndexShape*>(shape);
  ErrorSlot one;
  one.report(error.row % s.size(), error.value, error.limit);
  return explain_index("getitem", one, static_cast<int>(s.axis[error.row / s.size()]));
}

namespace cpu {
namespace {

constexpr int64_t kRavelGrain = 32768;

// Positions [begin, end) of y. False, and nothing said, where an index is out of range.
bool ravel_range(const RavelIndexShape& s, void* const* buffers, int64_t* y, int64_t begin,
                 int64_t end) {
  bool good = true;
  std::fill(y + begin, y + end, 0);
  for (int k = 0; k < s.count; ++k) {
    const auto* indices = static_cast<const int64_t*>(buffers[k]);
    for_each_run(s.ndim, s.extent, s.stride[k], begin, end - begin,
                 [&](int64_t offset, int64_t step, int64_t done, int64_t count) {
                   for (int64_t i = 0; i < count; ++i) {
                     const int64_t index = indices[offset + i * step];
                     const bool fits = in_range(index, s.limit[k]);
                     good &= fits;
                     y[begin + done + i] += fits ? wrap(index, s.limit[k]) * s.weight[k] : 0;
                   }
                 });
  }
  return good;
}

void report_first(const RavelIndexShape& s, void* const* buffers, int64_t n, ErrorSlot& error) {
  for (int k = 0; k < s.count; ++k) {
    const auto* indices = static_cast<const int64_t*>(buffers[k]);
    for_each_run(s.ndim, s.extent, s.stride[k], 0, n,
                 [&](int64_t offset, int64_t step, int64_t done, int64_t count) {
                   for (int64_t i = 0; i < count; ++i) {
                     const int64_t index = indices[offset + i * step];
                     if (!in_range(index, s.limit[k]))
                       error.report(k * n + done + i, index, s.limit[k]);
                   }
                 });
  }
}

}  // namespace

void ravel_index(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const RavelIndexShape*>(shape);
  auto* y = static_cast<int64_t*>(buffers[s.count]);
  const int64_t n = s.size();
  std::atomic<bool> bad{false};
  parallel_for(n, effective_grain(kRavelGrain), [&](int64_t begin, int64_t end) {
    if (!ravel_range(s, buffers, y, begin, end)) bad.store(true, std::memory_order_relaxed);
  });
  if (bad) report_first(s, buffers, n, ctx.error);
}

}  // namespace cpu
}  // namespace dlx
