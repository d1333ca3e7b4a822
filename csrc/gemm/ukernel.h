// The micro-kernel: one tile of C in registers, a rank-1 update of it for each step of k.
#pragma once
#include "core/simd.h"
#include "gemm/tiles.h"

namespace dlx::DLX_ISA {

template <class T>
constexpr GemmTiles kTiles =
    kGemmTiles[static_cast<int>(Isa::DLX_ISA)][static_cast<int>(DTypeOf<T>::value)];

// Where a tile finds A, and what it does between pieces of k for the tiles to come.
// A panel step by step: element (i, p) at p * MR + i. The tiles on it ask for cache lines, a part
// each.
template <int MR>
struct StepsOfA {
  static constexpr int kRow = 1, kStep = MR;
  const char* first = nullptr;              // of this tile's part
  int64_t rows = 0, stride = 0, lines = 0;  // of a part, lines of each row; stride: in bytes
  int64_t part = 0, parts = 0;              // bytes from one part to the next; tiles that have one

  // Steps from one request to the next: all are made in the first half of k.
  static int64_t piece(int64_t k, int tile_rows) {
    return (k + 2 * tile_rows - 1) / (2 * tile_rows);
  }
  void begin_piece(int64_t i) const {
    if (i >= rows) return;
    for (int64_t l = 0; l < lines; ++l) __builtin_prefetch(first + i * stride + l * 64, 0, 2);
  }
  void end_tile() {
    first += part;
    if (--parts <= 0) rows = 0;
  }
};

// A panel line by line: 64 bytes of each row, then the next 64 of each. Rows become one as they
// are, so the tiles on one panel copy the next one's lines between their steps. Word: of a panel's
// size of elements.
template <class Word, int MR>
struct LinesOfA {
  static constexpr int kLine = 64 / sizeof(Word), kRow = kLine, kStep = 1;
  const char* row = nullptr;  // of the next panel, which is copied row by row
  int64_t stride = 0;         // bytes from row to row
  int64_t depth = 0;
  Word* panel = nullptr;
  int64_t left = 0;  // lines
  int64_t lines_a_piece = 0;
  int64_t done = 0;  // words of this row

  static int64_t piece(int64_t, int) { return kLine; }
  void copy_line() {
    constexpr int W = Vec<Word>::kWidth;
    const Word* const from = reinterpret_cast<const Word*>(row) + done;
    Word* const to = panel + done * MR;
    for (int64_t v = 0; v < kLine; v += W) {
      const int64_t words = depth - done - v;
      Vec<Word>::load(from + v, static_cast<int>(words < 0   ? 0
                                                 : words < W ? words
                                                             : W))
          .store(to + v);
    }
    // The same of the row below, for a tile or so later.
    __builtin_prefetch(reinterpret_cast<const char*>(from) + stride, 0, 2);
    done += kLine, --left;
    if (done >= depth) done = 0, row += stride, panel += kLine;
  }
  void begin_piece(int64_t) {
    for (int64_t l = 0; l < lines_a_piece && left > 0; ++l) copy_line();
  }
  void end_tile() {}
  void copy_rest() {
    while (left > 0) copy_line();
  }
};

// Steps of k by which B is asked for ahead: some 100 cycles, enough for L2.
constexpr int kStepsAhead = 8;
// The same where B's rows lie apart and in L3, some 500 cycles.
constexpr int kRowsAhead = 32;

// Where a tile finds B, and what it does at each step of k for the tiles to come.
// A panel, NR wide.
template <class Packed, int NR>
struct PanelOfB {
  using Element = Packed;
  static constexpr bool kPacks = false;
  static constexpr int64_t row = NR;
  static int64_t ahead(int64_t) { return kStepsAhead * NR; }
  void step() {}
};

// A panel. The next columns of B, k side by side, are asked for in the order in which pack_panel
// will read them: a line of each, then the next lines.
template <class Packed, int NR>
struct PanelThenColumns : PanelOfB<Packed, NR> {
  static constexpr int64_t kSteps = 64 / sizeof(Packed), kLines = NR / kSteps;
  const char* columns;
  int64_t stride;  // bytes
  int64_t done = 0;
  const char* line = nullptr;
  PanelThenColumns(const void* first, int64_t stride_)
      : columns(static_cast<const char*>(first)), stride(stride_) {}
  void step() {
    if (done % kSteps == 0) line = columns + done * static_cast<int64_t>(sizeof(Packed));
    for (int i = 0; i < kLines; ++i, line += stride) __builtin_prefetch(line, 0, 2);
    ++done;
  }
};

// B's rows where they lie, which become the panel that the tiles below read.
template <class Element_, class Packed, int NR>
struct RowsOfB {
  using Element = Element_;
  static constexpr bool kPacks = true;
  int64_t row;  // elements of a step
  int64_t depth;
  Packed* panel;
  // Beyond these columns' last row the next columns' first.
  int64_t ahead(int64_t left) const {
    return left > kRowsAhead ? kRowsAhead * row : (kRowsAhead - depth) * row + NR;
  }
  void step() { panel += NR; }
};

// a: panel (k, mr)  b: panel (k, nr)  c: (ROWS, (NRV - 1) * width + tail), 1 <= tail <= width
// Unrolled, so that gcc gives every accumulator a register of its own.
template <class T, int ROWS, int NRV, class A, class B = PanelOfB<T, kTiles<T>.nr>>
void micro_tile(int64_t k, const T* a, const T* b, T* c, int64_t c_row, int tail, bool accumulate,
                A& source_a, B source = {}) {
  constexpr int W = Vec<T>::kWidth;
  Vec<T> sum[ROWS][NRV];
#pragma GCC unroll 14
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < NRV; ++v) sum[i][v] = Vec<T>::zero();
  }
  // C is wanted at the end: its rows are asked for one after the other, as requests made at once
  // would hold up those for B; some at a time where k is short. What lies beyond C does no harm.
  const int64_t piece = A::piece(k, ROWS), at_once = k < ROWS * piece ? 4 : 1;
  const T* wanted = c;
  for (int64_t i = 0, left = k; left > 0; ++i, a += piece * kTiles<T>.mr) {
    for (int64_t r = i * at_once; r < (i + 1) * at_once && r < ROWS; ++r, wanted += c_row)
      for (int v = 0; v < NRV; ++v) __builtin_prefetch(wanted + v * W, 1);
    source_a.begin_piece(i);
    const int64_t steps = piece < left ? piece : left;
    const int64_t b_ahead = source.ahead(left);
    left -= steps;
    const T* of_step = a;
    for (int64_t p = 0; p < steps; ++p, of_step += A::kStep, b += source.row, source.step()) {
      Vec<T> row[NRV];
      for (int v = 0; v < NRV; ++v) {
        row[v] = Vec<T>::load(b + v * W);
        __builtin_prefetch(b + b_ahead + v * W);
        if constexpr (B::kPacks) row[v].store(source.panel + v * W);
      }
#pragma GCC unroll 14
      for (int i = 0; i < ROWS; ++i) {
        const Vec<T> x = Vec<T>::broadcast(of_step[i * A::kRow]);
        for (int v = 0; v < NRV; ++v) sum[i][v] = fma(x, row[v], sum[i][v]);
      }
    }
  }
#pragma GCC unroll 14
  for (int i = 0; i < ROWS; ++i, c += c_row) {
    for (int v = 0; v < NRV; ++v) {
      const int n = v + 1 < NRV ? W : tail;
      const Vec<T> y = accumulate ? Vec<T>::load(c + v * W, n) + sum[i][v] : sum[i][v];
      y.store(c + v * W, n);
    }
  }
}

// The tile of rows <= mr, cols <= nr: the micro_tile of just so many rows and vectors.
template <class T, int ROWS = kTiles<T>.mr, class A>
void micro_kernel(int64_t rows, int64_t cols, int64_t k, const T* a, const T* b, T* c,
                  int64_t c_row, bool accumulate, A& source_a) {
  constexpr int W = Vec<T>::kWidth;
  static_assert(kTiles<T>.nr == 2 * W);
  if (rows == ROWS) {
    if (cols > W) {
      micro_tile<T, ROWS, 2>(k, a, b, c, c_row, static_cast<int>(cols) - W, accumulate, source_a);
    } else {
      micro_tile<T, ROWS, 1>(k, a, b, c, c_row, static_cast<int>(cols), accumulate, source_a);
    }
  } else if constexpr (ROWS > 1) {
    micro_kernel<T, ROWS - 1>(rows, cols, k, a, b, c, c_row, accumulate, source_a);
  }
}

// The same, A step by step, nothing to come.
template <class T>
void micro_kernel(int64_t rows, int64_t cols, int64_t k, const T* a, const T* b, T* c,
                  int64_t c_row, bool accumulate) {
  StepsOfA<kTiles<T>.mr> steps;
  micro_kernel<T>(rows, cols, k, a, b, c, c_row, accumulate, steps);
}

}  // namespace dlx::DLX_ISA
