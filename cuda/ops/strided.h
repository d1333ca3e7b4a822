// Walking strided operands in kernels.
#pragma once
#include <cstdint>

#include "cuda/core/device.h"

namespace dlx::cuda {

// Where element i of a strided array lies, counted in row-major order. ndim >= 1
__device__ inline int64_t offset_of(int64_t i, int ndim, const int64_t* extent,
                                    const int64_t* stride) {
  int64_t offset = 0;
  for (int d = ndim - 1; d > 0; --d) {
    offset += i % extent[d] * stride[d];
    i /= extent[d];
  }
  return offset + i * stride[0];
}

}  // namespace dlx::cuda
