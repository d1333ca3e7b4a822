#include "cuda/gemm/gemm.h"
#include "ops/matmul.h"

namespace dlx::cuda {

int64_t matmul_workspace(const void* shape) {
  return cuda::gemm_workspace(static_cast<const MatmulShape*>(shape)->gemm);
}

void matmul(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const GemmShape& s = static_cast<const MatmulShape*>(shape)->gemm;
  void* y = buffers[s.bias ? 3 : 2];
  gemm(context(ctx).stream, s, buffers[0], buffers[1], y, workspace, s.bias ? buffers[2] : nullptr);
}

}  // namespace dlx::cuda
