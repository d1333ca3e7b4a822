// y[p, q] = max of x over window (p, q), and where it stands: indices[p, q] = h W + w. The first of
// equals; the last NaN where there are any; -1 and -inf for a window without an element.
// x, dx: (..., H, W)  y, dy: (..., P, Q)  indices: (..., P, Q) int64
#pragma once
#include "ops/pool.h"

namespace dlx {

struct MaxPoolShape {
  PoolShape pool;
  bool indexed;  // indices are an output

  static MaxPoolShape make(const char* op, const Dims& x, DType dtype, const PoolOptions&,
                           bool indexed, Dims* y_shape);
};

namespace cpu {
void max_pool2d(Ctx&, const void* shape, void* const* buffers, void* workspace);
void max_pool2d_backward(Ctx&, const void* shape, void* const* buffers, void* workspace);
void max_pool2d_gather(Ctx&, const void* shape, void* const* buffers, void* workspace);
}  // namespace cpu

namespace ops {

// x -> y, indices
inline constexpr Op max_pool2d{
    .name = "max_pool2d", .kernels = {cpu::max_pool2d}, .cost = [](const void* shape) {
      const auto& s = *static_cast<const MaxPoolShape*>(shape);
      const int64_t width = size_of(s.pool.dtype), n = s.pool.y_size();
      return Cost{s.pool.taps() * n, (s.pool.x_size() + n) * width + (s.indexed ? 8 * n : 0)};
    }};
// dy, indices -> dx: dx[i] = sum of dy[p, q] where indices[p, q] = i
inline constexpr Op max_pool2d_backward{.name = "max_pool2d_backward",
                                        .kernels = {cpu::max_pool2d_backward},
                                        .cost = [](const void* shape) {
                                          const auto& s = *static_cast<const PoolShape*>(shape);
                                          const int64_t width = size_of(s.dtype), n = s.y_size();
                                          return Cost{n, (s.x_size() + n) * width + 8 * n};
                                        }};
// x, indices -> y: y[p, q] = x[indices[p, q]], 0 for -1; the transpose of max_pool2d_backward
inline constexpr Op max_pool2d_gather{
    .name = "max_pool2d_gather",
    .kernels = {cpu::max_pool2d_gather},
    .baseline = true,
    .cost = [](const void* shape) {
      const auto& s = *static_cast<const PoolShape*>(shape);
      return Cost{0, s.y_size() * (2 * size_of(s.dtype) + 8)};  // what is not taken is not read
    }};

}  // namespace ops

}  // namespace dlx
