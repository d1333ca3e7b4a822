// A group of pointwise launches and a reduction of what one of them makes as one launch: elements
// are reduced while they lie in a near cache, by the functions of the reduction and in its order,
// so that the result has the same bits. dlx.jit makes these (program/fusion.cc).
#pragma once
#include "ops/fused.h"
#include "ops/reduce.h"

namespace dlx {

struct FusedReduceShape {
  FusedShape fused;
  ReduceShape reduce;  // of the result of step `reduced`, dense
  int32_t reduced;

  // A sum, mean, max or min of elements that lie together, in runs long enough.
  bool is_worth_it() const;
  std::string text() const;  // "fused(relu_backward, sum)"
  Cost cost() const;
  bool operator==(const FusedReduceShape&) const = default;
};

DLX_DECLARE_KERNEL(fused_reduce)

int64_t fused_reduce_workspace(const void* shape);
namespace cuda {
int64_t fused_reduce_workspace(const void* shape);
}

namespace ops {
// inputs -> outputs of the group, as its steps have them, then that of the reduction
inline constexpr Op fused_reduce{
    .name = "fused_reduce",
    .kernels = DLX_KERNELS(fused_reduce),
    .strided = true,
    .cost = [](const void* shape) { return static_cast<const FusedReduceShape*>(shape)->cost(); },
    .workspace = {fused_reduce_workspace, DLX_IF_CUDA(cuda::fused_reduce_workspace)},
    .cheap = true,
    .label = [](const void* shape) { return static_cast<const FusedReduceShape*>(shape)->text(); },
};
}  // namespace ops

}  // namespace dlx
