// How one GEMM is cut into tasks: made by gemm.cc from the shape alone, obeyed by gemm.kernel.cc.
#pragma once
#include "core/cpu_features.h"
#include "gemm/gemm.h"

namespace dlx {

struct GemmPlan {
  GemmShape shape;
  int64_t batches;        // product of shape.batch
  int64_t kc;             // depth of a packed block
  int64_t mc, row_tasks;  // rows of a task; tasks along m
  int64_t nc;             // columns of B packed at once where B is shared, otherwise n
  int64_t cols;           // columns of a task, a multiple of nr
  int64_t grain;          // tasks in a chunk
  bool share_b;           // several tasks read a panel of B: pack it once for all of them
  int64_t shared_bytes;   // (kc, nc) of B, at the start of the workspace
  int64_t private_bytes;  // of each worker after that: (mc, kc) of A, then one (kc, nr) panel of B
};

struct GemmKernels {
  using Run = void (*)(const GemmPlan& plan, const void* a, const void* b, void* c,
                       const void* bias, void* workspace);
  Run float32, float64;
};
DLX_EACH_ISA(extern const GemmKernels gemm_kernels;)

}  // namespace dlx
