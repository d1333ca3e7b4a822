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

// What one parallel pass works on: rows, columns and depth [first, end) of one matrix, or of all.
// Packed, the panel of row i (of column j) lies at (i - first_row) * depth.
template <class T>
struct Pass {
  const GemmPlan& plan;
  const T* a;
  const T* b;
  T* c;
  const T* bias;
  T* packed_a;     // null: each task packs the rows it needs
  T* packed_b;     // null: each task packs the columns it needs
  char* privates;  // plan.private_bytes for each worker
  int64_t first_batch, first_row, end_row, first_col, end_col, first_k, end_k;
  int64_t a_strips = 0;  // of the packing pass: tasks that pack A, before those that pack B
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

// Rows [i, i_end), depth [p, p + depth).
template <class T>
void pack_a(const GemmShape& s, const T* a, int64_t i, int64_t i_end, int64_t p, int64_t depth,
            T* packed) {
  pack_panels<T, kTiles<T>.mr>(a + i * s.a_row + p * s.a_col, s.a_row, s.a_col, i_end - i, depth,
                               packed);
}

template <class T>
void pack_b(const GemmShape& s, const T* b, int64_t j, int64_t j_end, int64_t p, int64_t depth,
            T* packed) {
  pack_panels<T, kTiles<T>.nr>(b + p * s.b_row + j * s.b_col, s.b_col, s.b_row, j_end - j, depth,
                               packed);
}

// Strips [begin, end) of the shared operands.
template <class T>
void pack_shared(void* state, int64_t begin, int64_t end, int) {
  constexpr int kRows = kGemmStripPanels * kTiles<T>.mr, kCols = kGemmStripPanels * kTiles<T>.nr;
  const auto& pass = *static_cast<const Pass<T>*>(state);
  const GemmShape& s = pass.plan.shape;
  const T* a = pass.a + batch_offset(s, s.a_batch, pass.first_batch);
  const T* b = pass.b + batch_offset(s, s.b_batch, pass.first_batch);
  const int64_t depth = pass.end_k - pass.first_k;
  for (int64_t strip = begin; strip < end; ++strip) {
    const int64_t i = strip * kRows, j = (strip - pass.a_strips) * kCols;
    if (strip < pass.a_strips) {
      pack_a(s, a, pass.first_row + i, min(pass.first_row + i + kRows, pass.end_row), pass.first_k,
             depth, pass.packed_a + i * depth);
    } else {
      pack_b(s, b, pass.first_col + j, min(pass.first_col + j + kCols, pass.end_col), pass.first_k,
             depth, pass.packed_b + j * depth);
    }
  }
}

// One task: C[i0:i1, j0:j1] of one matrix, over the depth of the pass.
template <class T>
void multiply_block(const Pass<T>& pass, int64_t batch, int64_t i0, int64_t i1, int64_t j0,
                    int64_t j1, T* own) {
  const GemmPlan& plan = pass.plan;
  const GemmShape& s = plan.shape;
  constexpr int MR = kTiles<T>.mr, NR = kTiles<T>.nr;
  const T* a = pass.a + batch_offset(s, s.a_batch, batch);
  const T* b = pass.b + batch_offset(s, s.b_batch, batch);
  T* c = pass.c + batch_offset(s, s.c_batch, batch);
  T* own_a = own;
  T* own_b = pass.packed_a ? own : own + plan.rows * plan.kc;
  for (int64_t p = pass.first_k; p < pass.end_k; p += plan.kc) {  // loop 4 where nothing is shared
    const int64_t depth = min(plan.kc, pass.end_k - p);
    const T* a_panels = pass.packed_a ? pass.packed_a + (i0 - pass.first_row) * depth : own_a;
    const T* b_panels = pass.packed_b ? pass.packed_b + (j0 - pass.first_col) * depth : own_b;
    if (!pass.packed_a) pack_a(s, a, i0, i1, p, depth, own_a);
    if (!pass.packed_b) pack_b(s, b, j0, j1, p, depth, own_b);
    for (int64_t i = i0; i < i1; i += MR) {    // loop 2
      for (int64_t j = j0; j < j1; j += NR) {  // loop 1: along C's rows, the panel of A stays in L1
        micro_kernel<T>(min(MR, i1 - i), min(NR, j1 - j), depth, a_panels + (i - i0) * depth,
                        b_panels + (j - j0) * depth, c + i * s.c_row + j, s.c_row, p > 0);
        if (p + depth == s.k) {
          finish_block(c + i * s.c_row + j, s.c_row, min(MR, i1 - i), min(NR, j1 - j),
                       pass.bias ? pass.bias + j : nullptr, s.relu);
        }
      }
    }
  }
}

// Tasks [begin, end) of (batch, columns, rows): loop 3, and 5 within the pass. Neighbours read the
// same columns of B, which stay in L2.
template <class T>
void multiply(void* state, int64_t begin, int64_t end, int worker) {
  const auto& pass = *static_cast<const Pass<T>*>(state);
  const GemmPlan& plan = pass.plan;
  const int64_t row_tasks = ceil_div(pass.end_row - pass.first_row, plan.rows);
  const int64_t col_tasks = ceil_div(pass.end_col - pass.first_col, plan.cols);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t i0 = pass.first_row + task % row_tasks * plan.rows;
    const int64_t j0 = pass.first_col + task / row_tasks % col_tasks * plan.cols;
    const int64_t batch = pass.first_batch + task / row_tasks / col_tasks;
    multiply_block(pass, batch, i0, min(i0 + plan.rows, pass.end_row), j0,
                   min(j0 + plan.cols, pass.end_col),
                   reinterpret_cast<T*>(pass.privates + worker * plan.private_bytes));
  }
}

template <class T>
void run_multiply(Pass<T>& pass, int64_t batches) {
  const GemmPlan& plan = pass.plan;
  parallel_run(batches * ceil_div(pass.end_row - pass.first_row, plan.rows) *
                   ceil_div(pass.end_col - pass.first_col, plan.cols),
               plan.grain, multiply<T>, &pass);
}

template <class T>
void gemm(const GemmPlan& plan, const void* a, const void* b, void* c, const void* bias,
          void* workspace) {
  const GemmShape& s = plan.shape;
  char* const shared_b = static_cast<char*>(workspace) + plan.shared_a_bytes;
  Pass<T> pass{.plan = plan,
               .a = static_cast<const T*>(a),
               .b = static_cast<const T*>(b),
               .c = static_cast<T*>(c),
               .bias = static_cast<const T*>(bias),
               .packed_a = plan.share_a ? static_cast<T*>(workspace) : nullptr,
               .packed_b = plan.share_b ? reinterpret_cast<T*>(shared_b) : nullptr,
               .privates = shared_b + plan.shared_b_bytes,
               .first_batch = 0,
               .first_row = 0,
               .end_row = s.m,
               .first_col = 0,
               .end_col = s.n,
               .first_k = 0,
               .end_k = s.k};
  if (!plan.share_a && !plan.share_b) return run_multiply(pass, plan.batches);
  for (int64_t batch = 0; batch < plan.batches; ++batch) {
    pass.first_batch = batch;
    for (int64_t j = 0; j < s.n; j += plan.n_step) {  // loop 5
      pass.first_col = j;
      pass.end_col = min(j + plan.n_step, s.n);
      for (int64_t p = 0; p < s.k; p += plan.kc) {  // loop 4
        pass.first_k = p;
        pass.end_k = min(p + plan.kc, s.k);
        for (int64_t i = 0; i < s.m; i += plan.m_step) {  // loop 3
          pass.first_row = i;
          pass.end_row = min(i + plan.m_step, s.m);
          pass.a_strips =
              plan.share_a ? ceil_div(pass.end_row - i, kGemmStripPanels * kTiles<T>.mr) : 0;
          const int64_t b_strips = plan.share_b && i == 0
                                       ? ceil_div(pass.end_col - j, kGemmStripPanels * kTiles<T>.nr)
                                       : 0;
          parallel_run(pass.a_strips + b_strips, 1, pack_shared<T>, &pass);
          run_multiply(pass, 1);
        }
      }
    }
  }
}

}  // namespace

const GemmKernels gemm_kernels = {gemm<float>, gemm<double>};

}  // namespace dlx::DLX_ISA
