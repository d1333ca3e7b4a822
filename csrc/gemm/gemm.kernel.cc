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
constexpr int64_t kLine = 64;  // bytes of a cache line

template <class T>
struct Product {
  const GemmPlan& plan;
  const T* a;
  const T* b;
  T* c;
  const T* bias;
  char* workspace;
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

// What the tiles of a panel's rows ask for, a part each: what the next panel of A is, or will be
// packed from.
struct Coming {
  const char* first = nullptr;
  int64_t lines = 0, stride = 0, step = 0;  // of each tile; step: from one tile's to the next one's
};

template <class T>
Coming coming_panel(const T* panel, int64_t depth, int64_t tiles) {
  constexpr int64_t kBytes = sizeof(T);
  const int64_t lines = ceil_div(kTiles<T>.mr * depth * kBytes, kLine * tiles);
  return {reinterpret_cast<const char*>(panel), lines, kLine, kLine * lines};
}

// a: the first element of a panel or, where A's columns are contiguous, of a line of them.
template <class T>
Coming coming_rows(const GemmShape& s, const T* a, int64_t depth, int64_t tiles) {
  constexpr int64_t kBytes = sizeof(T);
  const char* first = reinterpret_cast<const char*>(a);
  if (s.a_col == 1) return {first, kTiles<T>.mr, s.a_row * kBytes, kLine};
  if (s.a_row != 1) return {};
  const int64_t lines = ceil_div(depth, tiles);
  return {first, lines, s.a_col * kBytes, lines * s.a_col * kBytes};
}

// C[i : i + rows, j0:j1] += A B over depth [p, p + depth), from packed panels: loop 1, along C's
// rows, so that the panel of A stays in L1.
template <class T>
void multiply_panel(const GemmShape& s, int64_t i, int64_t rows, int64_t j0, int64_t j1, int64_t p,
                    int64_t depth, const T* a_panel, const T* b_panels, T* c, const T* bias,
                    Coming coming) {
  constexpr int NR = kTiles<T>.nr;
  for (int64_t j = j0; j < j1; j += NR, coming.first += coming.step) {
    T* tile = c + i * s.c_row + j;
    const int64_t cols = min(NR, j1 - j);
    micro_kernel<T>(rows, cols, depth, a_panel, b_panels + (j - j0) * depth, tile, s.c_row, p > 0,
                    {coming.first, coming.lines, coming.stride});
    if (p + depth == s.k)
      finish_block(tile, s.c_row, rows, cols, bias ? bias + j : nullptr, s.relu);
  }
}

// C[i0:i1, j0:j1] of one matrix of the batch. Nothing is shared with other tasks: what another core
// has packed would come slowly out of that core's cache.
template <class T>
void multiply_block(const Product<T>& product, const T* a, const T* b, T* c, int64_t i0, int64_t i1,
                    int64_t j0, int64_t j1, T* workspace) {
  constexpr int MR = kTiles<T>.mr, NR = kTiles<T>.nr;
  const GemmPlan& plan = product.plan;
  const GemmShape& s = plan.shape;
  T* const packed_b = workspace;
  T* const packed_a = workspace + plan.block * plan.kc;
  const int64_t group = plan.group * MR;
  const bool keep_a = j1 - j0 > plan.block;
  for (int64_t p = 0; p < s.k; p += plan.kc) {  // loop 4
    const int64_t depth = min(plan.kc, s.k - p);
    for (int64_t j = j0; j < j1; j += plan.block) {  // loop 5
      const int64_t j_end = min(j + plan.block, j1), tiles = ceil_div(j_end - j, NR);
      pack_b(s, b, j, j_end, p, depth, packed_b);
      for (int64_t i = i0; i < i1; i += MR) {  // loop 2
        const int64_t in_group = (i - i0) % group, i_end = min(i + MR, i1);
        T* panel = packed_a + (keep_a ? i - i0 : in_group) * depth;
        Coming coming;
        if (j == j0) {
          const int64_t next_group = i - in_group + group;
          if (in_group == 0) pack_a(s, a, i, min(next_group, i1), p, depth, panel);
          const T* next = a + next_group * s.a_row + p * s.a_col +
                          in_group / MR * (kLine / static_cast<int64_t>(sizeof(T)));
          if (next_group < i1) coming = coming_rows(s, next, depth, tiles);
        } else if (i_end < i1) {
          coming = coming_panel(panel + MR * depth, depth, tiles);
        }
        multiply_panel(s, i, i_end - i, j, j_end, p, depth, panel, packed_b, c, product.bias,
                       coming);
      }
    }
  }
}

// Tasks [begin, end) of (batch, columns, rows): neighbours read the same columns of B.
template <class T>
void multiply(void* state, int64_t begin, int64_t end, int worker) {
  const auto& product = *static_cast<const Product<T>*>(state);
  const GemmPlan& plan = product.plan;
  const GemmShape& s = plan.shape;
  const int64_t row_tasks = ceil_div(s.m, plan.rows), col_tasks = ceil_div(s.n, plan.cols);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t batch = task / row_tasks / col_tasks;
    const int64_t i = task % row_tasks * plan.rows;
    const int64_t j = task / row_tasks % col_tasks * plan.cols;
    multiply_block(product, product.a + batch_offset(s, s.a_batch, batch),
                   product.b + batch_offset(s, s.b_batch, batch),
                   product.c + batch_offset(s, s.c_batch, batch), i, min(i + plan.rows, s.m), j,
                   min(j + plan.cols, s.n),
                   reinterpret_cast<T*>(product.workspace + worker * plan.private_bytes));
  }
}

template <class T>
void gemm(const GemmPlan& plan, const void* a, const void* b, void* c, const void* bias,
          void* workspace) {
  const GemmShape& s = plan.shape;
  Product<T> product{.plan = plan,
                     .a = static_cast<const T*>(a),
                     .b = static_cast<const T*>(b),
                     .c = static_cast<T*>(c),
                     .bias = static_cast<const T*>(bias),
                     .workspace = static_cast<char*>(workspace)};
  parallel_run(plan.batches * ceil_div(s.m, plan.rows) * ceil_div(s.n, plan.cols), plan.grain,
               multiply<T>, &product);
}

}  // namespace

const GemmKernels gemm_kernels = {gemm<float>, gemm<double>};

}  // namespace dlx::DLX_ISA
