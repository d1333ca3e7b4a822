// How the work of batch normalisation is cut into sums.
#pragma once
#include <algorithm>

#include "ops/batch_norm.h"
#include "ops/norm_table.h"

namespace dlx {

constexpr int64_t kShort = 16;         // planes below it are summed across, as columns
constexpr int64_t kLong = 512;         // planes below it are brought together
constexpr int64_t kPiece = 4096;       // elements of a longer plane that one sum has at most
constexpr int64_t kRowsOfBlock = 128;  // rows of columns that one sum has

// By the shape alone, so that sums add up in one order on any number of threads.
struct BatchNormCut {
  bool columns;    // x is taken as (N, C * L)
  int64_t pieces;  // of a plane
  int64_t piece;   // elements of one
  int64_t planes;  // that one sum has
  int64_t blocks;  // sums of a channel, or of a column
  int64_t N, C, L;

  explicit BatchNormCut(const BatchNormShape& s)
      : columns(s.L < kShort), pieces(1), piece(s.L), planes(1), N(s.N), C(s.C), L(s.L) {
    if (columns) {
      blocks = (s.N + kRowsOfBlock - 1) / kRowsOfBlock;
    } else if (s.L < kLong) {
      planes = kNormGather / s.L;
      blocks = (s.N + planes - 1) / planes;
    } else {
      pieces = (s.L + kPiece - 1) / kPiece;
      piece = (s.L + pieces - 1) / pieces;
      pieces = (s.L + piece - 1) / piece;
      blocks = s.N * pieces;
    }
  }
  int64_t sums_of_channel() const { return blocks * (columns ? L : 1); }
  int64_t sums() const { return C * sums_of_channel(); }
  // Of the sums of channel c, where i stands, and of how many values it is.
  int64_t place(int64_t c, int64_t i) const {
    return columns ? (i / L * C + c) * L + i % L : c * blocks + i;
  }
  double count(int64_t i) const {
    if (columns) return static_cast<double>(std::min(kRowsOfBlock, N - i / L * kRowsOfBlock));
    if (pieces == 1) return static_cast<double>(std::min(planes, N - i * planes) * L);
    return static_cast<double>(std::min(piece, L - i % pieces * piece));
  }
};

}  // namespace dlx
