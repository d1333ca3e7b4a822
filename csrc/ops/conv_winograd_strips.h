// Where the pixels of a block of tiles lie. For kernel files only.
#pragma once
#include "core/simd_lanes.h"

namespace dlx::DLX_ISA {

inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// Neighbouring lanes of a strip: lane i is x[offset + i]. `next`: those of the pixels O further on,
// of which only the first ones of each tile count.
struct Piece {
  int64_t offset;
  Lanes here, next;
};

// A strip is a vector of pixels, a row's share of width / O tiles. It has `per` pieces, for as many
// rows of tiles as it may meet: one where they are a multiple of its tiles. Lanes that lie in no
// image are in no piece. ROWS: of pixels of a tile.
template <int ROWS>
struct Strips {
  static constexpr int kMost = 64;  // tiles of a block, or twice the vectors of one each
  int per, count;                   // pieces of a strip, and of all in a row
  Piece pieces[kMost][ROWS];

  // body(piece) for those of row r. PER: `per`, or 0
  template <int PER, class F>
  [[gnu::always_inline]] void each(int strip, int r, const F& body) const {
    if constexpr (PER == 1) {
      body(pieces[strip][r]);
    } else if constexpr (PER == 2) {
      body(pieces[2 * strip][r]);
      body(pieces[2 * strip + 1][r]);
    } else {
      for (int i = per * strip; i < per * (strip + 1); ++i) body(pieces[i][r]);
    }
  }
};

// Images of H x W pixels, `image` elements apart, with `rows` by `cols` tiles of O x O, of which
// tile (0,0) begins at (-top, -left).
struct TiledPlanes {
  int64_t H, W, image, rows, cols, top, left;
};

// Those of tiles [t0, t1), up to a whole number of vectors of tiles; t0 is a multiple of that.
template <class T, int O, int ROWS>
void find_strips(const TiledPlanes& s, int64_t t0, int64_t t1, Strips<ROWS>& strips) {
  constexpr int W = Vec<T>::kWidth, kTiles = W / O;
  const bool two = s.cols >= kTiles - 1 || 2 * s.cols == kTiles;
  strips.per = s.cols % kTiles == 0 ? 1 : two ? 2 : kTiles;
  int64_t row = t0 / s.cols, col = t0 % s.cols, n = row / s.rows;
  row %= s.rows;
  int count = 0;
  while (t0 < t1) {
    const int64_t end = min(t0 + kTiles, t1);
    for (int64_t lane = 0; t0 < end;) {
      const int64_t tiles = min(s.cols - col, end - t0), last = lane + tiles * O;
      const int64_t left = col * O - s.left - lane, top = row * O - s.top;  // of lane 0
      const Lanes here = lanes_between(max(lane, -left), min(last, s.W - left));
      const Lanes next = lanes_between(max(lane, -left - O), min(last, s.W - left - O));
      for (int r = 0; r < ROWS; ++r) {
        const bool inside = top + r >= 0 && top + r < s.H;
        strips.pieces[count][r] = {n * s.image + (inside ? top + r : 0) * s.W + left,
                                   inside ? here : Lanes{}, inside ? next : Lanes{}};
      }
      ++count;
      lane = last, t0 += tiles, col += tiles;
      if (col == s.cols) {
        col = 0;
        if (++row == s.rows) row = 0, ++n;
      }
    }
    // Beyond the last strip those that fill its vector of tiles: empty.
    for (const int unit = t0 < t1 ? strips.per : O * strips.per; count % unit != 0; ++count)
      for (int r = 0; r < ROWS; ++r)
        strips.pieces[count][r] = {strips.pieces[count - 1][r].offset, {}, {}};
  }
  strips.count = count;
}

}  // namespace dlx::DLX_ISA
