// How one GEMM is cut into tasks: made by gemm.cc, obeyed by gemm.kernel.cc.
#pragma once
#include "core/cpu_features.h"
#include "gemm/gemm.h"
#include "gemm/tiles.h"

namespace dlx {

// A task is a block (rows, cols) of C. It packs for itself all that it reads.
struct GemmPlan {
  GemmShape shape;
  int64_t batches;        // product of shape.batch
  int64_t steps;          // of k: elements, or pairs of bfloat16
  int64_t kc;             // steps of a packed block
  int64_t rows, cols;     // of a task
  int64_t block;          // columns of B packed at once, a multiple of nr
  bool lines, columns;    // panels of A are copied from its rows or columns, two in memory
  int64_t grain;          // tasks in a chunk
  int64_t sums_bytes;     // of a task's tiles in float32, where C is narrower and k has many blocks
  int64_t private_bytes;  // of each worker in the workspace: sums, (kc, block) of B, then A
};

// step: elements of k in 4 bytes of a panel, or in an element wider than that. The order of the
// sums follows from kc, hence from k, never from the threads.
GemmPlan make_gemm_plan(const GemmShape& shape, const GemmTiles& tiles, int64_t step = 1);

struct GemmKernels {
  using Run = void (*)(const GemmPlan& plan, const void* a, const void* b, void* c,
                       const void* bias, void* workspace);
  Run float32, float64;
};
DLX_EACH_ISA(extern const GemmKernels gemm_kernels;)

}  // namespace dlx
