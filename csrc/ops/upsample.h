// Images of another size. x, dx: (..., H, W) or (..., L)  y, dy: (..., P, Q) or (..., Q)
// Row p of y looks at x's row step_h p (nearest) or, bilinear, step_h (p + 1/2) - 1/2, at least 0;
// with aligned corners step_h p. Columns alike.
#pragma once
#include "core/launch.h"
#include "ops/upsample_table.h"

namespace dlx {

struct UpsampleOptions {
  Dims size;       // of y, one or two numbers
  double step[2];  // x's pixels for each of y, of as many axes
  bool aligned;    // corners
};

struct UpsampleShape {
  DType dtype;  // float32 or float64
  bool linear, aligned;
  int64_t planes, H, W, P, Q;
  double step_h, step_w;

  int64_t x_size() const { return planes * H * W; }
  int64_t y_size() const { return planes * P * Q; }
  // op: the caller's name in messages
  static UpsampleShape make(const char* op, const Dims& x, DType dtype, bool linear,
                            const UpsampleOptions&, Dims* y_shape);
  bool operator==(const UpsampleShape&) const = default;
};

// Where y's position i of an axis with n pixels in x looks, in pixels of x.
constexpr double upsample_position(const UpsampleShape& s, int64_t n, double step, int64_t i) {
  const double last = static_cast<double>(n - 1);
  double at = step * static_cast<double>(i);
  if (!s.linear) {  // in float32, as PyTorch: elsewhere the product may fall short of an integer
    at = static_cast<double>(static_cast<float>(step) * static_cast<float>(i));
  } else if (!s.aligned) {
    at = step * (static_cast<double>(i) + 0.5) - 0.5;
  }
  return at < 0 ? 0 : at < last ? at : last;
}

// Both axes' tables in a workspace, not filled yet.
struct UpsampleAxes {
  UpsampleAxis rows, columns;
  UpsampleAxes(const UpsampleShape&, void* workspace);
};

DLX_DECLARE_KERNEL(upsample)
DLX_DECLARE_KERNEL(upsample_backward)

namespace ops {

int64_t upsample_workspace(const void* shape);

inline Cost upsample_cost(const void* shape) {
  const auto& s = *static_cast<const UpsampleShape*>(shape);
  const int64_t flops = s.linear ? 7 * s.y_size() : 0;  // four products, three sums
  return {flops, (s.x_size() + s.y_size()) * size_of(s.dtype)};
}
inline Cost upsample_backward_cost(const void* shape) {
  const auto& s = *static_cast<const UpsampleShape*>(shape);
  return {(s.linear ? 8 : 1) * s.y_size(), (s.x_size() + s.y_size()) * size_of(s.dtype)};
}

// x -> y: the pixel that step p, rounded down, points to
inline constexpr Op upsample_nearest2d{
    .name = "upsample_nearest2d",
    .kernels = DLX_KERNELS(upsample),
    .cost = upsample_cost,
    .workspace = {upsample_workspace, DLX_IF_CUDA(upsample_workspace)}};
// dy -> dx: the sum of what went to each pixel
inline constexpr Op upsample_nearest2d_backward{
    .name = "upsample_nearest2d_backward",
    .kernels = DLX_KERNELS(upsample_backward),
    .cost = upsample_backward_cost,
    .workspace = {upsample_workspace, DLX_IF_CUDA(upsample_workspace)}};
// x -> y: between four pixels, weighted by how near they are
inline constexpr Op upsample_bilinear2d{
    .name = "upsample_bilinear2d",
    .kernels = DLX_KERNELS(upsample),
    .cost = upsample_cost,
    .workspace = {upsample_workspace, DLX_IF_CUDA(upsample_workspace)}};
// dy -> dx
inline constexpr Op upsample_bilinear2d_backward{
    .name = "upsample_bilinear2d_backward",
    .kernels = DLX_KERNELS(upsample_backward),
    .cost = upsample_backward_cost,
    .workspace = {upsample_workspace, DLX_IF_CUDA(upsample_workspace)}};

}  // namespace ops

}  // namespace dlx
