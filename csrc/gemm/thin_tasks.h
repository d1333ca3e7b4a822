// The tasks of a thin product, shared by its kernels. For kernel files only.
#pragma once
#include <stdint.h>

#include "core/parallel.h"
#include "gemm/thin.h"

namespace dlx::DLX_ISA {

inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
// The size of equal parts of n > 0, each at most `most`.
inline int64_t even(int64_t n, int64_t most) { return ceil_div(n, ceil_div(n, most)); }

template <class T>
struct ThinRun {
  const ThinPlan& plan;
  const T* a;
  const T* b;
  T* c;
  const T* bias;
  char* privates;
};

// One task: C (rows, cols) from the first elements of its operands.
template <class T>
struct ThinTask {
  int64_t rows, cols;
  const T* a;
  const T* b;
  T* c;
  const T* bias;
};

template <class T>
ThinTask<T> thin_task(const ThinRun<T>& run, int64_t task) {
  const ThinPlan& plan = run.plan;
  const GemmShape& s = plan.shape;
  const int64_t i = task % plan.row_tasks * plan.rows;
  const int64_t j = task / plan.row_tasks % plan.col_tasks * plan.cols;
  ThinTask<T> t{.rows = min(plan.rows, s.m - i),
                .cols = min(plan.cols, s.n - j),
                .a = run.a + i * s.a_row,
                .b = run.b + j * s.b_col,
                .c = run.c + i * s.c_row + j,
                .bias = run.bias ? run.bias + j : nullptr};
  int64_t index = task / plan.row_tasks / plan.col_tasks;
  for (int d = s.batch_ndim - 1; d >= 0; index /= s.batch[d--]) {
    const int64_t at = index % s.batch[d];
    t.a += at * s.a_batch[d], t.b += at * s.b_batch[d], t.c += at * s.c_batch[d];
  }
  return t;
}

template <class T>
void run_thin(const ThinPlan& plan, const void* a, const void* b, void* c, const void* bias,
              void* workspace, ChunkBody multiply) {
  ThinRun<T> run{.plan = plan,
                 .a = static_cast<const T*>(a),
                 .b = static_cast<const T*>(b),
                 .c = static_cast<T*>(c),
                 .bias = static_cast<const T*>(bias),
                 .privates = static_cast<char*>(workspace)};
  parallel_run(plan.batches * plan.row_tasks * plan.col_tasks, plan.grain, multiply, &run);
}

}  // namespace dlx::DLX_ISA
