// How one GEMM is cut into tasks: made by gemm.cc from the shape alone, obeyed by gemm.kernel.cc.
#pragma once
#include "core/cpu_features.h"
#include "gemm/gemm.h"

namespace dlx {

// A task is a block (rows, cols) of C. An operand that several tasks of a matrix read is packed
// once for all of them, by a pass of its own; one that a single task reads, by that task.
struct GemmPlan {
  GemmShape shape;
  int64_t batches;     // product of shape.batch
  int64_t kc;          // depth of a packed block
  int64_t rows, cols;  // of a task, multiples of mr and nr
  int64_t grain;       // tasks in a chunk
  bool share_a, share_b;
  // Rows of A and columns of B packed at once for all tasks: multiples of rows and cols, or more
  // than there are.
  int64_t m_step, n_step;
  int64_t shared_a_bytes, shared_b_bytes;  // at the start of the workspace, A first
  int64_t private_bytes;  // of each worker after that: (rows, kc) of A and (kc, cols) of B
};

struct GemmKernels {
  using Run = void (*)(const GemmPlan& plan, const void* a, const void* b, void* c,
                       const void* bias, void* workspace);
  Run float32, float64;
};
DLX_EACH_ISA(extern const GemmKernels gemm_kernels;)

}  // namespace dlx
