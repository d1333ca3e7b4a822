// The five loops of BLIS around a micro-kernel. For kernel files only. A Kind is what they
// multiply:
//   Element                           of A, B and C in memory
//   Packed                            kStep elements along k side by side: what a micro-kernel's
//                                     step of k takes of each row of A and column of B
//   Word                              a number of that size
//   kRows, kCols                      the micro-tile
//   pack<W>(x, across, along, ...)    pack.h's pack_panel; depth counts elements
//   copy_step(x, along, rows, packed) the same of one step of `rows` rows, whose columns are dense
//   multiply(tile, depth, a, source_a, b)
//   multiply_whole(tile, depth, a, source_a, b, source_b)
//                                     the same of a whole tile; source_a, source_b: of ukernel.h
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

// A panel step by step, whose tiles ask for the next one.
template <class Kind>
StepsOfA<Kind::kRows> ask_for_panel(const typename Kind::Packed* next, int64_t depth,
                                    int64_t tiles) {
  constexpr int64_t kBytes = sizeof *next;
  const int64_t lines = ceil_div(Kind::kRows * depth * kBytes, kLine * tiles);
  return {reinterpret_cast<const char*>(next), lines, kLine, 1, kLine * lines, tiles};
}

// A panel step by step, whose tiles copy the next one from A's columns. Memory is asked for some
// steps ahead, enough for L3, and no more: columns a power of two apart share a set of the caches.
template <class Kind>
struct ColumnsOfA {
  using Element = typename Kind::Element;
  static constexpr int kRow = 1, kStep = Kind::kRows, kPiece = 16, kAhead = 16;
  const Element* from = nullptr;  // of the next panel, which is copied step by step
  int64_t column = 0;             // elements from step to step
  int64_t along = 0;              // and from column to column
  int64_t rows = 0;
  typename Kind::Packed* panel = nullptr;
  int64_t left = 0;  // steps
  int64_t steps_a_piece = 0;

  static int64_t piece(int64_t, int) { return kPiece; }
  void copy_step() {
    Kind::copy_step(from, along, rows, panel);
    for (int64_t c = 0; c < Kind::kStep; ++c) {
      const Element* const wanted = from + kAhead * column + c * along;
      __builtin_prefetch(wanted, 0, 2);
      __builtin_prefetch(wanted + Kind::kRows - 1, 0, 2);
    }
    from += column, panel += kStep, --left;
  }
  void begin_piece(int64_t) {
    for (int64_t l = 0; l < steps_a_piece && left > 0; ++l) copy_step();
  }
  void end_tile() {}
  void copy_rest() {
    while (left > 0) copy_step();
  }
};

// A task: C[i0:i1, j0:j1] of one matrix of the batch. Nothing is shared with other tasks: what
// another core has packed would come slowly out of that core's cache.
template <class Kind>
struct Task {
  using Element = typename Kind::Element;
  using Packed = typename Kind::Packed;
  using Word = typename Kind::Word;
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
  template <class A>
  void multiply_first(const Tile<Element>& tile, int64_t j, int64_t p, int64_t depth,
                      const Packed* a_panel, A& source_a, Packed* b_panel) const {
    const GemmShape& s = plan.shape;
    const Element* const from = b + p * kStep * s.b_row + j * s.b_col;
    if (s.b_col == 1 && (p + depth) * kStep <= s.k) {
      const RowsOfB<Element, Packed, NR> rows{kStep * s.b_row, depth, b_panel};
      return Kind::multiply_whole(tile, depth, a_panel, source_a, from, rows);
    }
    pack_b(j, j + NR, p, depth, b_panel);
    if (s.b_row != 1) return Kind::multiply(tile, depth, a_panel, source_a, b_panel);
    const PanelThenColumns<Packed, NR> panel(from + NR * s.b_col, s.b_col * sizeof *from);
    Kind::multiply_whole(tile, depth, a_panel, source_a, b_panel, panel);
  }

  // C[i : i + rows, j : j_end] += A B over steps [p, p + depth), from packed panels: loop 1, along
  // C's rows, so that the panel of A stays in L1. packs: B's panels are yet to be made.
  template <class A>
  void multiply_panel(int64_t i, int64_t rows, int64_t j, int64_t j_end, int64_t p, int64_t depth,
                      const Packed* a_panel, A& source_a, bool packs) const {
    const GemmShape& s = plan.shape;
    Packed* b_panel = packed_b;
    for (; j < j_end; j += NR, b_panel += NR * depth, source_a.end_tile()) {
      const Tile<Element> tile{.rows = rows,
                               .cols = min(NR, j_end - j),
                               .c = c + i * s.c_row + j,
                               .c_row = s.c_row,
                               .sums = sums + ceil_div(i - i0, MR) * MR * plan.cols + (j - j0) * MR,
                               .bias = bias ? bias + j : nullptr,
                               .relu = s.relu,
                               .first = p == 0,
                               .last = p + depth == plan.steps};
      if (packs && rows == MR && tile.cols == NR) {
        multiply_first(tile, j, p, depth, a_panel, source_a, b_panel);
      } else {
        if (packs) pack_b(j, min(j + NR, j_end), p, depth, b_panel);
        Kind::multiply(tile, depth, a_panel, source_a, b_panel);
      }
    }
  }

  void run() const {
    if (plan.lines) return run_copying(&Task::lines_of);
    if (plan.columns) return run_copying(&Task::columns_of);
    const bool keep_a = j1 - j0 > plan.block;
    for (int64_t p = 0; p < plan.steps; p += plan.kc) {  // loop 4
      const int64_t depth = min(plan.kc, plan.steps - p);
      for (int64_t j = j0; j < j1; j += plan.block) {  // loop 5
        const int64_t j_end = min(j + plan.block, j1), tiles = ceil_div(j_end - j, NR);
        for (int64_t i = i0; i < i1; i += MR) {  // loop 2
          const int64_t i_end = min(i + MR, i1);
          Packed* panel = packed_a + (keep_a ? i - i0 : 0) * depth;
          StepsOfA<MR> steps;
          if (j == j0) {
            pack_a(i, i_end, p, depth, panel);
          } else if (i_end < i1) {
            steps = ask_for_panel<Kind>(panel + MR * depth, depth, tiles);
          }
          multiply_panel(i, i_end - i, j, j_end, p, depth, panel, steps, i == i0);
        }
      }
    }
  }

  // Of the panel from row i on. The last two share evenly what is left: few rows take as long as
  // several.
  int64_t rows_at(int64_t i) const {
    const int64_t left = i1 - i;
    return left <= MR || i == i0 || left >= 2 * MR ? min(left, MR) : ceil_div(left, 2);
  }

  // The panel of rows from i on, to be copied while `tiles` tiles are computed.
  LinesOfA<Word, MR> lines_of(int64_t i, int64_t p, int64_t tiles, Packed* panel) const {
    const GemmShape& s = plan.shape;
    using Lines = LinesOfA<Word, MR>;
    const int64_t depth = min(plan.kc, plan.steps - p), rows = rows_at(i);
    return {.row = reinterpret_cast<const char*>(a + i * s.a_row + p * kStep),
            .stride = s.a_row * static_cast<int64_t>(sizeof *a),
            .depth = depth,
            .panel = reinterpret_cast<Word*>(panel),
            .left = rows * ceil_div(depth, Lines::kLine),
            .lines_a_piece = ceil_div(rows, tiles)};
  }

  // The same where A's columns are contiguous.
  ColumnsOfA<Kind> columns_of(int64_t i, int64_t p, int64_t tiles, Packed* panel) const {
    const GemmShape& s = plan.shape;
    using Columns = ColumnsOfA<Kind>;
    const int64_t depth = min(plan.kc, plan.steps - p);
    return {.from = a + i + p * kStep * s.a_col,
            .column = kStep * s.a_col,
            .along = s.a_col,
            .rows = rows_at(i),
            .panel = panel,
            .left = depth,
            .steps_a_piece = ceil_div(depth, tiles * ceil_div(depth, Columns::kPiece))};
  }

  // Where A's rows or columns are contiguous: the tiles on each panel copy the next one, and every
  // block of columns its own, which costs less than to keep them.
  template <class A>
  void run_copying(A (Task::*panel_of)(int64_t, int64_t, int64_t, Packed*) const) const {
    Packed *panel = packed_a, *next = panel + MR * plan.kc;
    (this->*panel_of)(i0, 0, 1, panel).copy_rest();
    for (int64_t p = 0; p < plan.steps; p += plan.kc) {  // loop 4
      const int64_t depth = min(plan.kc, plan.steps - p);
      for (int64_t j = j0; j < j1; j += plan.block) {  // loop 5
        const int64_t j_end = min(j + plan.block, j1), tiles = ceil_div(j_end - j, NR);
        for (int64_t i = i0, i_end; i < i1; i = i_end) {  // loop 2
          i_end = i + rows_at(i);
          A to_come;
          if (i_end < i1) {
            to_come = (this->*panel_of)(i_end, p, tiles, next);
          } else if (j_end < j1) {
            to_come = (this->*panel_of)(i0, p, tiles, next);
          } else if (p + depth < plan.steps) {
            to_come = (this->*panel_of)(i0, p + depth, tiles, next);
          }
          multiply_panel(i, i_end - i, j, j_end, p, depth, panel, to_come, i == i0);
          to_come.copy_rest();
          Packed* const done = panel;
          panel = next, next = done;
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
