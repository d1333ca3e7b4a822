// The five loops of BLIS around a micro-kernel. For kernel files only. A Kind is what they
// multiply:
//   Element                           of A, B and C in memory
//   Packed                            kStep elements along k side by side: what a micro-kernel's
//                                     step of k takes of each row of A and column of B
//   kRows, kCols                      the micro-tile
//   pack<W>(x, across, along, ...)    pack.h's pack_panels; depth counts elements
//   multiply(tile, depth, a, b, ahead)
//   multiply_whole(tile, depth, a, b, ahead, source)
//                                     the same of a whole tile; source: RowsOfB or another of
//                                     ukernel.h
#pragma once
#include "core/parallel.h"
#include "gemm/plan.h"
#include "gemm/ukernel.h"

namespace dlx::DLX_ISA {
namespace {

int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t kLine = 64;  // bytes of a cache line

template <class Kind>
struct Product {
  using Element = typename Kind::Element;
  const GemmPlan& plan;
  const Element* a;
  const Element* b;
  Element* c;
  const Element* bias;
  char* workspace;
};

// A tile of C, and what a block of depth does to it.
template <class Element>
struct Tile {
  int64_t rows, cols;
  Element* c;
  int64_t c_row;
  float* sums;          // (kRows, kCols) of the depth so far, where plan.sums_bytes is not 0
  const Element* bias;  // of these columns, or null
  bool relu, first, last;
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

// What the tiles of a panel's rows ask for, a part each: what the next panel of A is, or will be
// packed from.
struct Coming {
  Ahead part;
  int64_t step = 0, parts = 0;  // bytes from one part to the next; tiles that have one
};

template <class Kind>
Coming coming_panel(const typename Kind::Packed* panel, int64_t depth, int64_t tiles) {
  constexpr int64_t kBytes = sizeof *panel;
  const int64_t lines = ceil_div(Kind::kRows * depth * kBytes, kLine * tiles);
  return {{reinterpret_cast<const char*>(panel), lines, kLine, 1}, kLine * lines, tiles};
}

// a: the first element of a panel. Where A's columns are contiguous `share` of a group's panels
// asks for so many lines of them as it has rows.
template <class Kind>
Coming coming_rows(const GemmShape& s, const typename Kind::Element* a, int64_t share,
                   int64_t depth, int64_t tiles) {
  constexpr int64_t kBytes = sizeof *a;
  const char* first = reinterpret_cast<const char*>(a);
  if (s.a_col == 1) {
    const int64_t all = ceil_div(depth * Kind::kStep * kBytes, kLine), lines = ceil_div(all, tiles);
    return {{first, Kind::kRows, s.a_row * kBytes, lines}, lines * kLine, ceil_div(all, lines)};
  }
  if (s.a_row != 1) return {};
  const int64_t rows = ceil_div(depth * Kind::kStep, tiles);
  const int64_t lines = ceil_div(Kind::kRows * kBytes, kLine), row = s.a_col * kBytes;
  return {{first + share * lines * kLine, rows, row, lines}, rows * row, tiles};
}

// A task: C[i0:i1, j0:j1] of one matrix of the batch. Nothing is shared with other tasks: what
// another core has packed would come slowly out of that core's cache.
template <class Kind>
struct Task {
  using Element = typename Kind::Element;
  using Packed = typename Kind::Packed;
  static constexpr int MR = Kind::kRows, NR = Kind::kCols, kStep = Kind::kStep;

  const GemmPlan& plan;
  const Element* a;
  const Element* b;
  Element* c;
  const Element* bias;
  int64_t i0, i1, j0, j1;
  Packed* packed_b;
  Packed* packed_a;
  float* sums;

  // Rows [i, i_end), steps of depth [p, p + depth).
  void pack_a(int64_t i, int64_t i_end, int64_t p, int64_t depth, Packed* packed) const {
    const GemmShape& s = plan.shape;
    Kind::template pack<MR>(a + i * s.a_row + p * kStep * s.a_col, s.a_row, s.a_col, i_end - i,
                            min(depth * kStep, s.k - p * kStep), packed);
  }

  void pack_b(int64_t j, int64_t j_end, int64_t p, int64_t depth, Packed* packed) const {
    const GemmShape& s = plan.shape;
    Kind::template pack<NR>(b + p * kStep * s.b_row + j * s.b_col, s.b_col, s.b_row, j_end - j,
                            min(depth * kStep, s.k - p * kStep), packed);
  }

  // A whole tile, the first on columns of B that are not yet packed. Where B lies along rows the
  // tile makes the panel as it reads; where along columns they are packed before it, and the next
  // ones asked for meanwhile. Packing a whole block at once waited for memory, 3 to 4 % of the
  // time.
  void multiply_first(const Tile<Element>& tile, int64_t j, int64_t p, int64_t depth,
                      const Packed* a_panel, Packed* b_panel, const Ahead& ahead) const {
    const GemmShape& s = plan.shape;
    const Element* const from = b + p * kStep * s.b_row + j * s.b_col;
    if (s.b_col == 1 && (p + depth) * kStep <= s.k) {
      const RowsOfB<Element, Packed, NR> rows{kStep * s.b_row, depth, b_panel};
      return Kind::multiply_whole(tile, depth, a_panel, from, ahead, rows);
    }
    pack_b(j, j + NR, p, depth, b_panel);
    if (s.b_row != 1) return Kind::multiply(tile, depth, a_panel, b_panel, ahead);
    const PanelThenColumns<Packed, NR> panel(from + NR * s.b_col, s.b_col * sizeof *from);
    Kind::multiply_whole(tile, depth, a_panel, b_panel, ahead, panel);
  }

  // C[i : i + rows, j : j_end] += A B over steps [p, p + depth), from packed panels: loop 1, along
  // C's rows, so that the panel of A stays in L1. packs: B's panels are yet to be made.
  void multiply_panel(int64_t i, int64_t rows, int64_t j, int64_t j_end, int64_t p, int64_t depth,
                      const Packed* a_panel, bool packs, Coming coming) const {
    const GemmShape& s = plan.shape;
    Packed* b_panel = packed_b;
    for (; j < j_end; j += NR, b_panel += NR * depth, coming.part.first += coming.step) {
      const Tile<Element> tile{.rows = rows,
                               .cols = min(NR, j_end - j),
                               .c = c + i * s.c_row + j,
                               .c_row = s.c_row,
                               .sums = sums + (i - i0) * plan.cols + (j - j0) * MR,
                               .bias = bias ? bias + j : nullptr,
                               .relu = s.relu,
                               .first = p == 0,
                               .last = p + depth == plan.steps};
      const Ahead& ahead = coming.parts-- > 0 ? coming.part : kNothingAhead;
      if (packs && rows == MR && tile.cols == NR) {
        multiply_first(tile, j, p, depth, a_panel, b_panel, ahead);
      } else {
        if (packs) pack_b(j, min(j + NR, j_end), p, depth, b_panel);
        Kind::multiply(tile, depth, a_panel, b_panel, ahead);
      }
    }
  }

  void run() const {
    const GemmShape& s = plan.shape;
    const int64_t group = plan.group * MR;
    const bool keep_a = j1 - j0 > plan.block;
    for (int64_t p = 0; p < plan.steps; p += plan.kc) {  // loop 4
      const int64_t depth = min(plan.kc, plan.steps - p);
      for (int64_t j = j0; j < j1; j += plan.block) {  // loop 5
        const int64_t j_end = min(j + plan.block, j1), tiles = ceil_div(j_end - j, NR);
        for (int64_t i = i0; i < i1; i += MR) {  // loop 2
          const int64_t in_group = (i - i0) % group, i_end = min(i + MR, i1);
          Packed* panel = packed_a + (keep_a ? i - i0 : in_group) * depth;
          Coming coming;
          if (j == j0) {
            const int64_t next_group = i - in_group + group;
            if (in_group == 0) pack_a(i, min(next_group, i1), p, depth, panel);
            const Element* next = a + next_group * s.a_row + p * kStep * s.a_col;
            if (next_group < i1) coming = coming_rows<Kind>(s, next, in_group / MR, depth, tiles);
          } else if (i_end < i1) {
            coming = coming_panel<Kind>(panel + MR * depth, depth, tiles);
          }
          multiply_panel(i, i_end - i, j, j_end, p, depth, panel, i == i0, coming);
        }
      }
    }
  }
};

// Tasks [begin, end) of (batch, columns, rows): neighbours read the same columns of B.
template <class Kind>
void run_tasks(void* state, int64_t begin, int64_t end, int worker) {
  const auto& product = *static_cast<const Product<Kind>*>(state);
  const GemmPlan& plan = product.plan;
  const GemmShape& s = plan.shape;
  const int64_t row_tasks = ceil_div(s.m, plan.rows), col_tasks = ceil_div(s.n, plan.cols);
  char* const own = product.workspace + worker * plan.private_bytes;
  auto* const packed = reinterpret_cast<typename Kind::Packed*>(own + plan.sums_bytes);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t batch = task / row_tasks / col_tasks;
    const int64_t i = task % row_tasks * plan.rows;
    const int64_t j = task / row_tasks % col_tasks * plan.cols;
    Task<Kind>{.plan = plan,
               .a = product.a + batch_offset(s, s.a_batch, batch),
               .b = product.b + batch_offset(s, s.b_batch, batch),
               .c = product.c + batch_offset(s, s.c_batch, batch),
               .bias = product.bias,
               .i0 = i,
               .i1 = min(i + plan.rows, s.m),
               .j0 = j,
               .j1 = min(j + plan.cols, s.n),
               .packed_b = packed,
               .packed_a = packed + plan.block * plan.kc,
               .sums = reinterpret_cast<float*>(own)}
        .run();
  }
}

template <class Kind>
void run_plan(const GemmPlan& plan, const void* a, const void* b, void* c, const void* bias,
              void* workspace) {
  using Element = typename Kind::Element;
  const GemmShape& s = plan.shape;
  Product<Kind> product{.plan = plan,
                        .a = static_cast<const Element*>(a),
                        .b = static_cast<const Element*>(b),
                        .c = static_cast<Element*>(c),
                        .bias = static_cast<const Element*>(bias),
                        .workspace = static_cast<char*>(workspace)};
  parallel_run(plan.batches * ceil_div(s.m, plan.rows) * ceil_div(s.n, plan.cols), plan.grain,
               run_tasks<Kind>, &product);
}

}  // namespace
}  // namespace dlx::DLX_ISA
