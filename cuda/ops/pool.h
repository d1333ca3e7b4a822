// What the kernels of pooling share.
#pragma once
#include "cuda/core/context.h"
#include "cuda/core/grid.h"
#include "ops/pool.h"

namespace dlx::cuda {

// Element i of (planes, rows, columns).
struct PoolPlace {
  int64_t plane, row, column;
  __device__ PoolPlace(int64_t i, int64_t rows, int64_t columns)
      : plane(i / columns / rows), row(i / columns % rows), column(i % columns) {}
};

__host__ __device__ inline int64_t size_of_x(const PoolWindows& w) {
  return w.planes * w.rows.n * w.columns.n;
}
__host__ __device__ inline int64_t size_of_y(const PoolWindows& w) {
  return w.planes * w.rows.m * w.columns.m;
}

// f(T{}) with the type of the elements.
template <class F>
void with_pool_dtype(DType t, const F& f) {
  t == DType::float64 ? f(double{}) : f(float{});
}

}  // namespace dlx::cuda
