// y[p, q] = sum of x over window (p, q) / divisor(p, q), and its gradient.
// x, dx: (..., H, W)  y, dy: (..., P, Q)
#pragma once
#include "ops/pool.h"

namespace dlx {

DLX_DECLARE_KERNEL(avg_pool2d)
DLX_DECLARE_KERNEL(avg_pool2d_backward)

namespace ops {

inline Cost avg_pool_cost(const void* shape) {
  const auto& s = *static_cast<const PoolShape*>(shape);
  return {s.taps() * s.y_size(), (s.x_size() + s.y_size()) * size_of(s.dtype)};
}

// x -> y. The shape's divisor is 1 for the sum.
inline constexpr Op avg_pool2d{
    .name = "avg_pool2d", .kernels = DLX_KERNELS(avg_pool2d), .cost = avg_pool_cost};
// dy -> dx: dx[h, w] = sum over the windows that hold (h, w) of dy[p, q] / divisor(p, q)
inline constexpr Op avg_pool2d_backward{.name = "avg_pool2d_backward",
                                        .kernels = DLX_KERNELS(avg_pool2d_backward),
                                        .cost = avg_pool_cost};

}  // namespace ops

}  // namespace dlx
