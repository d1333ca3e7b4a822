// Where a mask is true. The result's size depends on the data: the host counts first, then makes
// the positions.
#pragma once
#include "core/launch.h"

namespace dlx {

// mask: (n) bool  count_nonzero's y: () int64  nonzero's y: (count) int64, rising
struct NonzeroShape {
  int64_t n, count;  // count_nonzero does not look at `count`

  static NonzeroShape make(const Array& mask, int64_t count);
  int64_t chunks() const;
  bool operator==(const NonzeroShape&) const = default;
};

DLX_DECLARE_KERNEL(count_nonzero)
DLX_DECLARE_KERNEL(nonzero)

namespace cuda {
int64_t count_nonzero_workspace(const void* shape);
int64_t nonzero_workspace(const void* shape);
}  // namespace cuda

namespace ops {
inline constexpr auto nonzero_workspace = [](const void* shape) {  // a count per chunk
  return static_cast<const NonzeroShape*>(shape)->chunks() * int64_t{sizeof(int64_t)};
};
inline constexpr Op count_nonzero{
    .name = "count_nonzero",
    .kernels = DLX_KERNELS(count_nonzero),
    .baseline = true,
    .cost =
        [](const void* shape) {
          const int64_t n = static_cast<const NonzeroShape*>(shape)->n;
          return Cost{n, n + 8};
        },
    .workspace = {nonzero_workspace, DLX_IF_CUDA(cuda::count_nonzero_workspace)},
};
inline constexpr Op nonzero{
    .name = "nonzero",
    .kernels = DLX_KERNELS(nonzero),
    .baseline = true,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const NonzeroShape*>(shape);
          return Cost{0, s.n + 8 * s.count};
        },
    .workspace = {nonzero_workspace, DLX_IF_CUDA(cuda::nonzero_workspace)},
};
}  // namespace ops

}  // namespace dlx
