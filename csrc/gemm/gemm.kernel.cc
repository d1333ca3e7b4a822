// The five loops around the micro-kernel.
#include "core/parallel.h"
#include "gemm/epilogue.h"
#include "gemm/pack.h"
#include "gemm/plan.h"
#include "gemm/ukernel.h"

namespace dlx::DLX_ISA {
namespace {

int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// What one parallel pass works on: columns [first_col, first_col + cols), depth [first_k, end_k).
// B is packed in panels of nr columns, the one of columns first_col + j at packed_b + j * depth.
template <class T>
struct Pass {
  const GemmPlan& plan;
  const T* a;
  const T* b;
  T* c;
  const T* bias;
  char* privates;  // plan.private_bytes for each worker
  int64_t cols, end_k;
  int64_t first_batch = 0, first_col = 0, first_k = 0;
  T* packed_b = nullptr;  // null: each task packs the panel it needs
};

// Element offset of matrix `index` of the batch.
int64_t batch_offset(const GemmShape& s, const int64_t* strides, int64_t index) {
  int64_t offset = 0;
  for (int d = s.batch_ndim - 1; d >= 0; --d) {
    offset += index % s.batch[d] * strides[d];
    index /= s.batch[d];
  }
  return offset;
}

template <class T>
void pack_b_panel(const GemmShape& s, const T* b, int64_t j, int64_t n_end, int64_t p,
                  int64_t depth, T* panel) {
  constexpr int NR = kTiles<T>.nr;
  pack_panel<T, NR>(b + p * s.b_row + j * s.b_col, s.b_col, s.b_row, min(NR, n_end - j), depth,
                    panel);
}

// Panels [begin, end) of the shared B.
template <class T>
void pack_shared_b(void* state, int64_t begin, int64_t end, int) {
  const auto& pass = *static_cast<const Pass<T>*>(state);
  const GemmShape& s = pass.plan.shape;
  constexpr int NR = kTiles<T>.nr;
  const T* b = pass.b + batch_offset(s, s.b_batch, pass.first_batch);
  const int64_t depth = pass.end_k - pass.first_k;
  for (int64_t j = begin * NR; j < end * NR; j += NR) {
    pack_b_panel(s, b, pass.first_col + j, pass.first_col + pass.cols, pass.first_k, depth,
                 pass.packed_b + j * depth);
  }
}

// One task: C[i0:i1, j0:j1] of one matrix, over the depth of the pass.
template <class T>
void multiply_block(const Pass<T>& pass, int64_t batch, int64_t i0, int64_t i1, int64_t j0,
                    int64_t j1, T* packed_a, T* own_panel) {
  const GemmShape& s = pass.plan.shape;
  constexpr int MR = kTiles<T>.mr, NR = kTiles<T>.nr;
  const T* a = pass.a + batch_offset(s, s.a_batch, batch);
  const T* b = pass.b + batch_offset(s, s.b_batch, batch);
  T* c = pass.c + batch_offset(s, s.c_batch, batch);
  for (int64_t p = pass.first_k; p < pass.end_k; p += pass.plan.kc) {  // loop 4
    const int64_t depth = min(pass.plan.kc, pass.end_k - p);
    for (int64_t i = i0; i < i1; i += MR) {
      pack_panel<T, MR>(a + i * s.a_row + p * s.a_col, s.a_row, s.a_col, min(MR, i1 - i), depth,
                        packed_a + (i - i0) * depth);
    }
    for (int64_t j = j0; j < j1; j += NR) {  // loop 2
      const T* panel = pass.packed_b + (j - pass.first_col) * depth;
      if (!pass.packed_b) {
        pack_b_panel(s, b, j, j1, p, depth, own_panel);
        panel = own_panel;
      }
      for (int64_t i = i0; i < i1; i += MR) {  // loop 1
        micro_kernel<T>(min(MR, i1 - i), min(NR, j1 - j), depth, packed_a + (i - i0) * depth, panel,
                        c + i * s.c_row + j, s.c_row, p > 0);
        if (p + depth == s.k) {
          finish_block(c + i * s.c_row + j, s.c_row, min(MR, i1 - i), min(NR, j1 - j),
                       pass.bias ? pass.bias + j : nullptr, s.relu);
        }
      }
    }
  }
}

// Tasks [begin, end) of (batch, columns, rows): loop 3, and 5 within the pass.
template <class T>
void multiply(void* state, int64_t begin, int64_t end, int worker) {
  const auto& pass = *static_cast<const Pass<T>*>(state);
  const GemmPlan& plan = pass.plan;
  T* packed_a = reinterpret_cast<T*>(pass.privates + worker * plan.private_bytes);
  T* own_panel = packed_a + plan.mc * plan.kc;
  const int64_t col_tasks = ceil_div(pass.cols, plan.cols), n_end = pass.first_col + pass.cols;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t i0 = task % plan.row_tasks * plan.mc;
    const int64_t j0 = pass.first_col + task / plan.row_tasks % col_tasks * plan.cols;
    const int64_t batch = pass.first_batch + task / plan.row_tasks / col_tasks;
    multiply_block(pass, batch, i0, min(i0 + plan.mc, plan.shape.m), j0, min(j0 + plan.cols, n_end),
                   packed_a, own_panel);
  }
}

template <class T>
void gemm(const GemmPlan& plan, const void* a, const void* b, void* c, const void* bias,
          void* workspace) {
  const GemmShape& s = plan.shape;
  Pass<T> pass{.plan = plan,
               .a = static_cast<const T*>(a),
               .b = static_cast<const T*>(b),
               .c = static_cast<T*>(c),
               .bias = static_cast<const T*>(bias),
               .privates = static_cast<char*>(workspace) + plan.shared_bytes,
               .cols = s.n,
               .end_k = s.k};
  if (!plan.share_b) {  // one pass, whose tasks run loops 4 to 1
    parallel_run(plan.batches * plan.row_tasks * ceil_div(s.n, plan.cols), plan.grain, multiply<T>,
                 &pass);
    return;
  }
  pass.packed_b = static_cast<T*>(workspace);
  for (int64_t batch = 0; batch < plan.batches; ++batch) {
    pass.first_batch = batch;
    for (int64_t j = 0; j < s.n; j += plan.nc) {  // loop 5
      pass.first_col = j;
      pass.cols = min(plan.nc, s.n - j);
      for (int64_t p = 0; p < s.k; p += plan.kc) {  // loop 4
        pass.first_k = p;
        pass.end_k = min(p + plan.kc, s.k);
        parallel_run(ceil_div(pass.cols, kTiles<T>.nr), kGemmPackPanels, pack_shared_b<T>, &pass);
        parallel_run(plan.row_tasks * ceil_div(pass.cols, plan.cols), plan.grain, multiply<T>,
                     &pass);
      }
    }
  }
}

}  // namespace

const GemmKernels gemm_kernels = {gemm<float>, gemm<double>};

}  // namespace dlx::DLX_ISA
