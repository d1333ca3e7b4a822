// y = x, on another device.  x, y: the same number of bytes, dense
#pragma once
#include "core/launch.h"

namespace dlx {

struct MoveShape {
  int64_t bytes;
  Device from, to;
  bool operator==(const MoveShape&) const = default;
};

DLX_DECLARE_KERNEL(move)

namespace ops {
inline constexpr Op move{
    .name = "move",
    .kernels = DLX_KERNELS(move),
    .crosses = true,
    .baseline = true,
    .cost =
        [](const void* shape) { return Cost{0, 2 * static_cast<const MoveShape*>(shape)->bytes}; },
};
}  // namespace ops

}  // namespace dlx
