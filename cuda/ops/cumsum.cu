// Running sums; x is read twice where the vectors are long and few.
#include "cuda/core/context.h"
#include "cuda/core/running_sums.h"
#include "ops/cumsum.h"

namespace dlx::cuda {
namespace {

ScanPlan plan_of(const CumsumShape& s) { return plan_scan(s.outer, s.n, s.inner, s.reverse); }

template <class Sum, class T, class Y>
void run(const CumsumShape& s, void* const* buffers, void* workspace, Stream stream) {
  run_scan<Sum>(plan_of(s), static_cast<const T*>(buffers[0]), static_cast<Y*>(buffers[1]),
                workspace, stream);
}

}  // namespace

int64_t cumsum_workspace(const void* shape) {
  const auto& s = *static_cast<const CumsumShape*>(shape);
  if (s.outer * s.n * s.inner == 0) return 0;
  const ScanPlan p = plan_of(s);
  return p.pieces > 1 ? p.vectors() * p.pieces * int64_t{sizeof(uint64_t)} : 0;
}

void cumsum(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const CumsumShape*>(shape);
  if (s.outer * s.n * s.inner == 0) return;
  const Stream stream = context(ctx).stream;
  switch (s.dtype) {
    case DType::float32:
      return run<double, float, float>(s, buffers, workspace, stream);
    case DType::float64:
      return run<double, double, double>(s, buffers, workspace, stream);
    case DType::int32:
      return run<uint64_t, int32_t, int64_t>(s, buffers, workspace, stream);
    case DType::int64:
      return run<uint64_t, int64_t, int64_t>(s, buffers, workspace, stream);
    default:  // bools are bytes 0 and 1
      return run<uint64_t, uint8_t, int64_t>(s, buffers, workspace, stream);
  }
}

}  // namespace dlx::cuda
