// Pooling: y[p, q] from the window (p, q) of a plane of x. x: (..., H, W) or (..., L), (..., P, Q)
// or (..., Q) being y; one axis is a plane of one row.
#pragma once
#include "core/launch.h"
#include "ops/pool_table.h"

namespace dlx {

enum class PoolMode : int32_t {
  floor,  // as many whole windows as there are
  ceil,   // one more where it starts within x or the padding before it
  valid,  // floor without padding
  same,   // ceil(n / stride) windows, what they need of padding half before and half behind
  adaptive
};

// One number for each axis; adaptive: kernel is the size of y, the others are empty.
struct PoolOptions {
  Dims kernel, stride, padding, dilation;
  PoolMode mode;
};

struct PoolShape {
  DType dtype;  // float32 or float64
  PoolWindows windows;
  PoolDivisor divisor;

  int64_t x_size() const { return windows.planes * windows.rows.n * windows.columns.n; }
  int64_t y_size() const { return windows.planes * windows.rows.m * windows.columns.m; }
  int64_t taps() const {  // elements of the largest window
    const auto elements = [](const PoolAxis& a) {
      if (a.stride) return a.kernel < a.n ? a.kernel : a.n;
      return a.m ? (a.n + a.m - 1) / a.m : 0;
    };
    return elements(windows.rows) * elements(windows.columns);
  }
  // op: the caller's name in messages
  static PoolShape make(const char* op, const Dims& x, DType dtype, const PoolOptions&,
                        Dims* y_shape);
  bool operator==(const PoolShape&) const = default;
};

// Rows at a time, 10 us at least; rows: all of them, work: elements read or written for one.
int64_t pool_grain(int64_t rows, int64_t work);
// Of windows of two columns, which take less. A row takes as long as a vector.
int64_t pairs_grain(int64_t rows, int64_t work);

}  // namespace dlx
