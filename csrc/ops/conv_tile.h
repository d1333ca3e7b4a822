// GEMM's micro-kernel on whole vectors of pixels that lie in the images. For kernel files only.
#pragma once
#include "gemm/epilogue.h"
#include "gemm/ukernel.h"

namespace dlx::DLX_ISA {

// Vectors at x + offset[d], d < count.
template <class T>
struct ConvRows {
  const T* x;
  const int64_t* offset;
  int64_t count;
};

// What becomes of a tile's sums: added to the result's, or to a number for each row, or, as they
// are, the elements of two rows in turn.
template <class T>
struct ConvFinish {
  const T* bias;  // or null
  bool accumulate, relu, pairs;
};

// y (4 W): elements of the rows a and b (2 W) in turn
template <class T>
[[gnu::always_inline]] inline void store_pairs(const Vec<T>* a, const Vec<T>* b, T* y) {
  constexpr int W = Vec<T>::kWidth;
  decltype(a->raw == a->raw) lower, upper;
  for (int l = 0; l < W; ++l) lower[l] = l / 2 + l % 2 * W, upper[l] = lower[l] + W / 2;
  for (int v = 0; v < 2; ++v) {
    Vec<T>{__builtin_shuffle(a[v].raw, b[v].raw, lower)}.store(y + 2 * v * W);
    Vec<T>{__builtin_shuffle(a[v].raw, b[v].raw, upper)}.store(y + 2 * v * W + W);
  }
}

// y (ROWS, NR) = a (ROWS, depth) b (depth, NR), finished. KEEPS: b is read from the images and kept
// in the panel, for the tiles below; else it is read from the panel. Meanwhile `next`, some rows of
// the next panel, is asked for: rows of different planes, which no hardware fetches ahead.
template <class T, int ROWS, bool KEEPS>
void conv_tile(const T* a, const ConvRows<T>& b, T* panel, const ConvFinish<T>& finish, T* y,
               int64_t y_row, const ConvRows<T>& next) {
  constexpr int W = Vec<T>::kWidth, NR = kTiles<T>.nr, MR = kTiles<T>.mr;
  static_assert(NR == 2 * W);
  constexpr int64_t kSteps = 8;  // between requests
  Vec<T> sum[ROWS][2];
#pragma GCC unroll 14
  for (int i = 0; i < ROWS; ++i)
    for (int v = 0; v < 2; ++v) sum[i][v] = Vec<T>::zero();
  const int64_t depth = b.count, pieces = (depth + kSteps - 1) / kSteps;
  const int64_t rows = ROWS / (pieces + 1) + 1, share = next.count / (pieces + 1) + 1;
  const T* wanted = y;  // unless in L1: there it does no harm
  const int64_t *ahead = next.offset, *last = next.offset + next.count, *offset = b.offset;
  for (int64_t p = 0, row = 0; p < depth; p += kSteps) {
    for (const int64_t end = row + rows; row < end && row < ROWS; ++row, wanted += y_row)
      for (int v = 0; v < 2; ++v) __builtin_prefetch(wanted + v * W, 1);
    for (int64_t i = 0; i < share && ahead < last; ++i, ++ahead)
      for (int v = 1; v < 3; ++v) __builtin_prefetch(next.x + *ahead + v * W - 1, 0, 2);
    const int64_t steps = kSteps < depth - p ? kSteps : depth - p;
    for (int64_t d = 0; d < steps; ++d, a += MR, panel += NR) {
      Vec<T> row[2];
      for (int v = 0; v < 2; ++v) {
        if (KEEPS) {
          row[v] = Vec<T>::load(b.x + *offset + v * W);
          row[v].store(panel + v * W);
        } else {
          row[v] = Vec<T>::load(panel + v * W);
          __builtin_prefetch(panel + kStepsAhead * NR + v * W);
        }
      }
      ++offset;
#pragma GCC unroll 14
      for (int i = 0; i < ROWS; ++i) {
        const Vec<T> x = Vec<T>::broadcast(a[i]);
        for (int v = 0; v < 2; ++v) sum[i][v] = fma(x, row[v], sum[i][v]);
      }
    }
  }
  if constexpr (ROWS % 2 == 0)
    if (finish.pairs) {
#pragma GCC unroll 7
      for (int i = 0; i < ROWS; i += 2) store_pairs(sum[i], sum[i + 1], y + i * y_row);
      return;
    }
#pragma GCC unroll 14
  for (int i = 0; i < ROWS; ++i, y += y_row)
    for (int v = 0; v < 2; ++v) {
      Vec<T> total = sum[i][v];
      if (finish.accumulate)
        total = Vec<T>::load(y + v * W) + total;
      else if (finish.bias)
        total = Vec<T>::broadcast(finish.bias[i]) + total;
      relu_if(finish.relu, total).store(y + v * W);
    }
}

template <class T>
using ConvTile = void (*)(const T* a, const ConvRows<T>& b, T* panel, const ConvFinish<T>&, T* y,
                          int64_t y_row, const ConvRows<T>& next);

template <class T, bool KEEPS, int ROWS = kTiles<T>.mr>
ConvTile<T> conv_tile_of(int64_t rows) {
  if constexpr (ROWS > 1)
    if (rows < ROWS) return conv_tile_of<T, KEEPS, ROWS - 1>(rows);
  return conv_tile<T, ROWS, KEEPS>;
}

}  // namespace dlx::DLX_ISA
