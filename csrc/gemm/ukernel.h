// The micro-kernel: one tile of C in registers, a rank-1 update of it for each step of k.
#pragma once
#include "core/simd.h"
#include "gemm/tiles.h"

namespace dlx::DLX_ISA {

template <class T>
constexpr GemmTiles kTiles =
    kGemmTiles[static_cast<int>(Isa::DLX_ISA)][static_cast<int>(DTypeOf<T>::value)];

// Cache lines that a tile asks for ahead of their use, while it computes.
struct Ahead {
  const char* first = nullptr;
  int64_t rows = 0, stride = 0, lines = 0;  // lines of each row; stride: in bytes
};
inline void ask(const Ahead& ahead, int64_t row) {
  for (int64_t l = 0; l < ahead.lines; ++l)
    __builtin_prefetch(ahead.first + row * ahead.stride + l * 64, 0, 2);
}
constexpr Ahead kNothingAhead;  // a reference: a copy for each tile would stall on its own stores

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
template <class T, int ROWS, int NRV, class B = PanelOfB<T, kTiles<T>.nr>>
void micro_tile(int64_t k, const T* a, const T* b, T* c, int64_t c_row, int tail, bool accumulate,
                const Ahead& ahead = kNothingAhead, B source = {}) {
  constexpr int W = Vec<T>::kWidth;
  Vec<T> sum[ROWS][NRV];
#pragma GCC unroll 14
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < NRV; ++v) sum[i][v] = Vec<T>::zero();
  }
  // C is wanted at the end: its rows are asked for one after the other during the first half of k,
  // as requests made at once would hold up those for B. What lies beyond C does no harm.
  constexpr int kPieces = 2 * ROWS;
  const int64_t piece = k < kPieces ? 1 : k / kPieces;
  const T* wanted = c;
  for (int64_t i = 0, left = k; left > 0; ++i) {
    if (i < ROWS) {
      for (int v = 0; v < NRV; ++v) __builtin_prefetch(wanted + v * W, 1);
      wanted += c_row;
    }
    if (i < ahead.rows) ask(ahead, i);
    const int64_t steps = i + 1 < kPieces && piece < left ? piece : left;
    const int64_t b_ahead = source.ahead(left);
    left -= steps;
    for (int64_t p = 0; p < steps; ++p, a += kTiles<T>.mr, b += source.row, source.step()) {
      Vec<T> row[NRV];
      for (int v = 0; v < NRV; ++v) {
        row[v] = Vec<T>::load(b + v * W);
        __builtin_prefetch(b + b_ahead + v * W);
        if constexpr (B::kPacks) row[v].store(source.panel + v * W);
      }
#pragma GCC unroll 14
      for (int i = 0; i < ROWS; ++i) {
        const Vec<T> x = Vec<T>::broadcast(a[i]);
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
template <class T, int ROWS = kTiles<T>.mr>
void micro_kernel(int64_t rows, int64_t cols, int64_t k, const T* a, const T* b, T* c,
                  int64_t c_row, bool accumulate, const Ahead& ahead = kNothingAhead) {
  constexpr int W = Vec<T>::kWidth;
  static_assert(kTiles<T>.nr == 2 * W);
  if (rows == ROWS) {
    if (cols > W) {
      micro_tile<T, ROWS, 2>(k, a, b, c, c_row, static_cast<int>(cols) - W, accumulate, ahead);
    } else {
      micro_tile<T, ROWS, 1>(k, a, b, c, c_row, static_cast<int>(cols), accumulate, ahead);
    }
  } else if constexpr (ROWS > 1) {
    micro_kernel<T, ROWS - 1>(rows, cols, k, a, b, c, c_row, accumulate, ahead);
  }
}

}  // namespace dlx::DLX_ISA
