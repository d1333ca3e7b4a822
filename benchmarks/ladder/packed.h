// The tile of C in registers, on packed panels of A (depth, kRows) and of B (depth, kCols).
#pragma once
#include <algorithm>

#include "rung.h"

constexpr int kRows = kWidth == 16 ? 14 : 6, kCols = 2 * kWidth;

template <int ROWS>
void packed_tile(int64_t depth, const float* a, const float* b, float* C, int64_t C_row, bool add) {
  Vec sum[ROWS][2] = {};
  for (int64_t p = 0; p < depth; ++p, a += kRows, b += kCols) {
    const Vec b0 = at(b), b1 = at(b + kWidth);
#pragma GCC unroll 14
    for (int i = 0; i < ROWS; ++i) {
      const Vec x = splat(a[i]);
      sum[i][0] += x * b0;
      sum[i][1] += x * b1;
    }
  }
#pragma GCC unroll 14
  for (int i = 0; i < ROWS; ++i, C += C_row) {
    at(C) = add ? at(C) + sum[i][0] : sum[i][0];
    at(C + kWidth) = add ? at(C + kWidth) + sum[i][1] : sum[i][1];
  }
}

template <int ROWS = kRows>
void any_tile(int64_t rows, int64_t depth, const float* a, const float* b, float* C, int64_t C_row,
              bool add) {
  if (rows == ROWS) return packed_tile<ROWS>(depth, a, b, C, C_row, add);
  if constexpr (ROWS > 1) any_tile<ROWS - 1>(rows, depth, a, b, C, C_row, add);
}

// A (rows, depth) into panels of kRows rows, the last one padded.
inline void pack_rows(const float* A, int64_t A_row, int64_t rows, int64_t depth, float* a) {
  for (int64_t i = 0; i < rows; i += kRows)
    for (int64_t p = 0; p < depth; ++p)
      for (int64_t r = i; r < i + kRows; ++r) *a++ = r < rows ? A[r * A_row + p] : 0;
}

// kCols columns of B, `depth` rows.
inline void pack_cols(const float* B, int64_t B_row, int64_t depth, float* b) {
  for (int64_t p = 0; p < depth; ++p, b += kCols) {
    at(b) = at(B + p * B_row);
    at(b + kWidth) = at(B + p * B_row + kWidth);
  }
}
