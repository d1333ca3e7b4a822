// y[p, q] = max of x over window (p, q), and where it stands: indices[p, q] = h W + w. The first of
// equals; the last NaN where there are any; -1 and -inf for a window without an element.
// Kept for the gradient alone it takes a byte: which element of its window (MaxPlaces).
// x, dx: (..., H, W)  y, dy: (..., P, Q)  places: (..., P, Q) int64 (indices) or uint8 (bytes)
#pragma once
#include <string>
#include <utility>

#include "ops/pool.h"

namespace dlx {

enum class Places : int32_t { none, indices, bytes };

struct MaxPoolShape {
  PoolShape pool;
  Places places;  // bytes are indices where a window is too large for them
  // Of max_pool2d_backward: x came from a relu, whose gradient is taken, too. It follows from y,
  // the maxima, one more input: an element that gets anything from dy is one of them.
  bool relu_backward = false;

  int64_t places_bytes() const {
    return places == Places::none ? 0 : pool.y_size() * size_of(places_dtype());
  }
  DType places_dtype() const { return places == Places::bytes ? DType::uint8 : DType::int64; }
  static MaxPoolShape make(const char* op, const Dims& x, DType dtype, const PoolOptions&, Places,
                           Dims* y_shape);
  bool operator==(const MaxPoolShape&) const = default;
};

DLX_DECLARE_KERNEL(max_pool2d)
DLX_DECLARE_KERNEL(max_pool2d_backward)
DLX_DECLARE_KERNEL(max_pool2d_gather)

namespace ops {

// x -> y, places
inline constexpr Op max_pool2d{
    .name = "max_pool2d", .kernels = DLX_KERNELS(max_pool2d), .cost = [](const void* shape) {
      const auto& s = *static_cast<const MaxPoolShape*>(shape);
      const int64_t width = size_of(s.pool.dtype), n = s.pool.y_size();
      return Cost{s.pool.taps() * n, (s.pool.x_size() + n) * width + s.places_bytes()};
    }};
// dy, places -> dx: dx[i] = sum of dy[p, q] where indices[p, q] = i
inline constexpr Op max_pool2d_backward{
    .name = "max_pool2d_backward",
    .kernels = DLX_KERNELS(max_pool2d_backward),
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const MaxPoolShape*>(shape);
          const int64_t width = size_of(s.pool.dtype), n = s.pool.y_size();
          return Cost{n, (s.pool.x_size() + (1 + s.relu_backward) * n) * width + s.places_bytes()};
        },
    .absorb =
        [](void* shape, Epilogue epilogue) {
          return epilogue == Epilogue::relu_backward &&
                 !std::exchange(static_cast<MaxPoolShape*>(shape)->relu_backward, true);
        },
    .label = [](const void* shape) -> std::string {
      const bool both = static_cast<const MaxPoolShape*>(shape)->relu_backward;
      return both ? "max_pool2d_backward + relu_backward" : "max_pool2d_backward";
    },
};
// x, places -> y: y[p, q] = x[indices[p, q]], 0 for -1; the transpose of max_pool2d_backward
inline constexpr Op max_pool2d_gather{
    .name = "max_pool2d_gather",
    .kernels = DLX_KERNELS(max_pool2d_gather),
    .baseline = true,
    .cost = [](const void* shape) {
      const auto& s = *static_cast<const MaxPoolShape*>(shape);
      // what is not taken is not read
      return Cost{0, s.pool.y_size() * 2 * size_of(s.pool.dtype) + s.places_bytes()};
    }};

}  // namespace ops

}  // namespace dlx
