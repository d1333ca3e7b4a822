// GEMM on a GPU, of the shapes that csrc/gemm/gemm.h describes. Halves are summed in float32 and
// rounded once, at the end. The order of each sum depends on the shape alone.
#pragma once
#include "cuda/core/context.h"
#include "gemm/gemm.h"

namespace dlx::cuda {

int64_t gemm_workspace(const GemmShape& shape);  // bytes
// As gemm() of the CPU, in the stream of the device.
void gemm(Stream, const GemmShape& shape, const void* a, const void* b, void* c, void* workspace,
          const void* bias);

}  // namespace dlx::cuda
