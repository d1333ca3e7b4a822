// y = a @ b with NumPy's rules: a: (..., M, K)  b: (..., K, N)  y: (..., M, N), batch dimensions
// broadcast, a 1-d operand is a row (a) or column (b) whose dimension is dropped. Any strides, no
// copies: packing reads them.
#pragma once
#include "core/launch.h"
#include "gemm/gemm.h"

namespace dlx {

struct MatmulShape {
  GemmShape gemm;

  static MatmulShape make(const Array& a, const Array& b, Dims* y_shape);
  int64_t batches() const {
    int64_t n = 1;
    for (int i = 0; i < gemm.batch_ndim; ++i) n *= gemm.batch[i];
    return n;
  }
};

namespace cpu {
void matmul(Ctx&, const void* shape, void* const* buffers, void* workspace);
}

namespace ops {
inline constexpr Op matmul{
    .name = "matmul",
    .kernels = {cpu::matmul},
    .strided = true,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const MatmulShape*>(shape);
          const auto& g = s.gemm;
          int64_t a = g.m * g.k, b = g.k * g.n, y = s.batches() * g.m * g.n;
          for (int i = 0; i < g.batch_ndim; ++i) {  // an operand shared by the batch is read once
            if (g.a_batch[i]) a *= g.batch[i];
            if (g.b_batch[i]) b *= g.batch[i];
          }
          return Cost{2 * s.batches() * g.m * g.n * g.k, (a + b + y) * size_of(g.dtype)};
        },
    .workspace =
        [](const void* shape) {
          return gemm_workspace(static_cast<const MatmulShape*>(shape)->gemm);
        },
};
}  // namespace ops

}  // namespace dlx
