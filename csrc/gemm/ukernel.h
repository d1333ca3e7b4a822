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
  int64_t lines = 0, stride = 0;  // in bytes
};
constexpr Ahead kNothingAhead;  // a reference: a copy for each tile would stall on its own stores

// Steps of k by which B is asked for ahead: some 100 cycles, enough for L2.
constexpr int kStepsAhead = 8;

// a: panel (k, mr)  b: panel (k, nr)  c: (ROWS, (NRV - 1) * width + tail), 1 <= tail <= width
// Unrolled, so that gcc gives every accumulator a register of its own.
template <class T, int ROWS, int NRV>
void micro_tile(int64_t k, const T* a, const T* b, T* c, int64_t c_row, int tail, bool accumulate,
                const Ahead& ahead = kNothingAhead) {
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
    if (i < ahead.lines) __builtin_prefetch(ahead.first + i * ahead.stride, 0, 2);
    const int64_t steps = i + 1 < kPieces && piece < left ? piece : left;
    left -= steps;
    for (int64_t p = 0; p < steps; ++p, a += kTiles<T>.mr, b += kTiles<T>.nr) {
      Vec<T> row[NRV];
      for (int v = 0; v < NRV; ++v) {
        row[v] = Vec<T>::load(b + v * W);
        __builtin_prefetch(b + kStepsAhead * kTiles<T>.nr + v * W);
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
