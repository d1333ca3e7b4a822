// y = a @ b with NumPy's rules: a: (..., M, K)  b: (..., K, N)  y: (..., M, N), batch dimensions
// broadcast, a 1-d operand is a row (a) or column (b) whose dimension is dropped. Any strides, no
// copies: the kernels read them. With a bias (N), dense, y = a @ b + bias.
#pragma once
#include <string>
#include <utility>

#include "core/launch.h"
#include "gemm/gemm.h"

namespace dlx {

struct MatmulShape {
  GemmShape gemm;

  // bias: null, or as long as y's rows, as its caller has checked
  static MatmulShape make(const Array& a, const Array& b, const Array* bias, Dims* y_shape);
  bool operator==(const MatmulShape&) const = default;
};

DLX_DECLARE_KERNEL(matmul)
namespace cpu {
int64_t matmul_workspace(const void* shape);
}
namespace cuda {
int64_t matmul_workspace(const void* shape);
}

namespace ops {
inline constexpr Op matmul{
    .name = "matmul",
    .kernels = DLX_KERNELS(matmul),
    .strided = true,
    .cost =
        [](const void* shape) {
          const auto& s = *static_cast<const MatmulShape*>(shape);
          const auto& g = s.gemm;
          int64_t a = g.m * g.k, b = g.k * g.n, y = g.batches() * g.m * g.n;
          for (int i = 0; i < g.batch_ndim; ++i) {  // an operand shared by the batch is read once
            if (g.a_batch[i]) a *= g.batch[i];
            if (g.b_batch[i]) b *= g.batch[i];
          }
          const int64_t sums = g.bias ? y : 0, bias = g.bias ? g.n : 0;
          return Cost{2 * y * g.k + sums, (a + b + bias + y) * size_of(g.dtype)};
        },
    .workspace = {cpu::matmul_workspace, DLX_IF_CUDA(cuda::matmul_workspace)},
    .absorb =
        [](void* shape, Epilogue epilogue) {
          GemmShape& g = static_cast<MatmulShape*>(shape)->gemm;
          const bool wide = g.dtype == DType::float32 || g.dtype == DType::float64;
          // Half precision: -0 comes of rounding, and relu keeps it.
          return epilogue == Epilogue::relu && wide && !std::exchange(g.relu, true);
        },
    .label = [](const void* shape) -> std::string {
      return static_cast<const MatmulShape*>(shape)->gemm.relu ? "matmul + relu" : "matmul";
    },
};
}  // namespace ops

}  // namespace dlx
