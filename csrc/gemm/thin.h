// GEMM without packing A, and B only where its rows are not contiguous: for matrices so small or so
// thin that packing costs more than it saves. Two kernels of one plan, made by gemm_choice.cc:
//   direct  B's rows are vectors, A's elements are broadcast: each sum runs over k in order
//   dot     A's rows and B's columns are contiguous: vectors run along k, each sum in as many
//           parts as a vector has lanes
#pragma once
#include "core/cpu_features.h"
#include "gemm/gemm.h"

namespace dlx {

constexpr int64_t kL1Bytes = 32 << 10;  // of the smallest L1 cache around
constexpr int kThinPanelBytes = 512;    // most bytes of a row of the panel that `direct` packs

struct ThinPlan {
  GemmShape shape;               // of C or, where C is one column, of its transpose
  bool transposed;               // then a and b change places
  int64_t batches;               // product of shape.batch
  int64_t rows, cols;            // of a task
  int64_t row_tasks, col_tasks;  // along m and n
  int64_t grain;                 // tasks in a chunk
  int64_t private_bytes;         // of each worker: a panel of B; 0 where B is read in place
};

struct ThinKernels {
  using Run = void (*)(const ThinPlan& plan, const void* a, const void* b, void* c,
                       const void* bias, void* workspace);
  Run run[4];  // of float32, float64, bfloat16, float16; null for halves but of dot
};
DLX_EACH_ISA(extern const ThinKernels direct_kernels; extern const ThinKernels dot_kernels;)

enum class GemmAlgorithm { packed, direct, dot };

// Whether `dot` applies.
bool lies_along_k(const GemmShape& s);
// The table, or what tests force. `shape`: none of m, n, k, batch is 0.
GemmAlgorithm choose_gemm(const GemmShape& shape);
ThinPlan make_thin_plan(const GemmShape& shape, GemmAlgorithm algorithm);
void run_thin_plan(const ThinPlan& plan, GemmAlgorithm algorithm, const void* a, const void* b,
                   void* c, const void* bias, void* workspace);

}  // namespace dlx
