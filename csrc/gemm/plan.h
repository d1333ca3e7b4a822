// How one GEMM is cut into tasks: made by gemm.cc, obeyed by gemm.kernel.cc.
#pragma once
#include "core/cpu_features.h"
#include "gemm/gemm.h"

namespace dlx {

// A task is a block (rows, cols) of C. It packs for itself all that it reads.
struct GemmPlan {
  GemmShape shape;
  int64_t batches;        // product of shape.batch
  int64_t kc;             // depth of a packed block
  int64_t rows, cols;     // of a task
  int64_t block;          // columns of B packed at once, a multiple of nr
  int64_t group;          // panels of A packed at once, where a task has but one block
  int64_t grain;          // tasks in a chunk
  int64_t private_bytes;  // of each worker in the workspace: (kc, block) of B, then A
};

struct GemmKernels {
  using Run = void (*)(const GemmPlan& plan, const void* a, const void* b, void* c,
                       const void* bias, void* workspace);
  Run float32, float64;
};
DLX_EACH_ISA(extern const GemmKernels gemm_kernels;)

}  // namespace dlx
