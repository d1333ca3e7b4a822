#include "ops/pool.h"

#include <algorithm>

#include "core/check.h"
#include "core/parallel.h"
#include "core/view.h"

namespace dlx {

int64_t pool_grain(int64_t rows, int64_t work) {
  constexpr int64_t kLeast = 16384, kMost = 262144;  // elements
  work = std::max<int64_t>(work, 1);
  return long_grain(rows, kLeast / work + 1, kMost / work + 1);
}

int64_t pairs_grain(int64_t rows, int64_t work) {
  constexpr int64_t kVector = 64, kLeast = 32768, kMost = 524288;
  work = std::max(work, kVector);
  return long_grain(rows, kLeast / work + 1, kMost / work + 1);
}

namespace {

constexpr int64_t kLargest = int64_t{1} << 31;  // of one option: products stay countable

struct Asking {
  const char* op;
  const Dims& x;
  const PoolOptions& o;
};

PoolAxis adaptive_axis(int64_t n, int64_t m) {
  PoolAxis a{};
  a.n = n, a.m = m;
  a.dilation = 1;
  if (m > 0 && n % m == 0) {  // windows side by side
    a.kernel = a.stride = n / m;
  }
  return a;
}

PoolAxis axis(const Asking& ask, int i, int64_t n) {
  const PoolOptions& o = ask.o;
  if (o.mode == PoolMode::adaptive) return adaptive_axis(n, o.kernel[i]);
  PoolAxis a{};
  a.n = n;
  a.kernel = o.kernel[i], a.stride = o.stride[i], a.dilation = o.dilation[i];
  const int64_t reach = (a.kernel - 1) * a.dilation + 1;
  if (o.mode == PoolMode::same) {
    a.m = (n + a.stride - 1) / a.stride;
    const int64_t total = std::max<int64_t>((a.m - 1) * a.stride + reach - n, 0);
    a.before = total / 2, a.after = total - total / 2;
    return a;
  }
  a.before = a.after = o.mode == PoolMode::valid ? 0 : o.padding[i];
  DLX_CHECK(2 * a.before <= a.kernel, ask.op, ": expected padding of at most half the kernel, got ",
            "padding=", o.padding, " kernel_size=", o.kernel);
  const int64_t room = n + 2 * a.before - reach;
  const bool up = o.mode == PoolMode::ceil;
  a.m = room >= 0 ? (room + (up ? a.stride - 1 : 0)) / a.stride + 1
                  : (up && room + a.stride - 1 >= 0);
  if (up && (a.m - 1) * a.stride >= n + a.before) --a.m;
  DLX_CHECK(a.m > 0, ask.op, ": the kernel is larger than the image, nothing is left; x=", ask.x,
            " kernel_size=", o.kernel, " padding=", o.padding, " dilation=", o.dilation);
  return a;
}

void check(const Asking& ask, int n) {
  const auto& [op, x, o] = ask;
  const bool adaptive = o.mode == PoolMode::adaptive;
  DLX_CHECK(n == 1 || n == 2, op, ": expected one or two axes, got ", n);
  DLX_CHECK(x.ndim == n + 1 || x.ndim == n + 2, op, ": expected x of shape ",
            n == 2 ? "(N, C, H, W) or (C, H, W)" : "(N, C, L) or (C, L)", "; x=", x);
  for (int i = x.ndim - n; i < x.ndim; ++i)
    DLX_CHECK(x[i] > 0, op, ": expected an image of at least one element; x=", x);
  const auto least = [&](const char* name, const Dims& d, int64_t lowest) {
    DLX_CHECK(d.ndim == n, op, ": expected ", name, " of ", n, " numbers, got ", d);
    for (int64_t v : d) {
      DLX_CHECK(v >= lowest, op, ": expected ", name, " of at least ", lowest, ", got ", d);
      DLX_CHECK(v < kLargest, op, ": ", name, " is out of range; got ", d);
    }
  };
  least(adaptive ? "output_size" : "kernel_size", o.kernel, adaptive ? 0 : 1);
  if (adaptive) return;
  least("stride", o.stride, 1);
  least("padding", o.padding, 0);
  least("dilation", o.dilation, 1);
}

}  // namespace

PoolShape PoolShape::make(const char* op, const Dims& x, DType dtype, const PoolOptions& o,
                          Dims* y_shape) {
  DLX_CHECK_AS(TypeError, dtype == DType::float32 || dtype == DType::float64, op,
               ": no kernel for ", dtype, "; it works on float32, float64");
  const int n = o.kernel.ndim;
  const Asking ask{op, x, o};
  check(ask, n);
  PoolShape s{};
  s.dtype = dtype;
  s.windows.planes = 1;
  for (int i = 0; i < x.ndim - n; ++i) s.windows.planes *= x[i];
  s.windows.rows = n == 2 ? axis(ask, 0, x[x.ndim - 2]) : adaptive_axis(1, 1);
  s.windows.columns = axis(ask, n - 1, x[x.ndim - 1]);
  *y_shape = x;
  if (n == 2) (*y_shape)[x.ndim - 2] = s.windows.rows.m;
  (*y_shape)[x.ndim - 1] = s.windows.columns.m;
  check_extents(*y_shape, op);
  return s;
}

}  // namespace dlx
