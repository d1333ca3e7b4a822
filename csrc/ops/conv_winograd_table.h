// What the Winograd kernels give for each instruction set. [0]: float32, [1]: float64.
//
// Minimal filtering (Winograd 1980; for networks Lavin and Gray 2015): a tile of O x O pixels of
// the result is A^T [sum over d of (G w[m,d] G^T) * (B^T x[d] B)] A, where x[d] is the (O+2) x
// (O+2) part of the image that the tile sees and * multiplies point by point: (O+2)^2 products
// instead of 9 O^2. Over many tiles each of the points is one matrix product.
#pragma once
#include <cstdint>

namespace dlx {

// y[n,g,m,p,q] = bias[g,m] + sum over d,r,s of w[g,m,d,r,s] x[n,g,d, p - top + r, q - left + s],
// or 0 where that is negative (relu)
struct WinogradShape {
  int64_t N, groups, D, M;        // images, groups, their channels in x and in y
  int64_t H, W, P, Q, top, left;  // top, left: of any sign
  int64_t w_group, w_row, w_col;  // w[g,m,d,r,s] = w[g w_group + m w_row + d w_col + 3r + s],
  bool flipped;                   // or its mirror image: 8 - 3r - s
  bool relu;                      // of y
  int64_t rows, cols;             // tiles of an image
  int64_t depth;                  // channels transformed at a time, a multiple of kWinogradSlab
  int64_t mr;                     // rows of a panel of weights, at most the micro-kernel's
  int64_t block;                  // most tiles transformed at a time

  int64_t tiles() const { return N * rows * cols; }
};

constexpr int64_t kWinogradSlab = 16;  // channels of a task of `weights`

// Part of the result: rows of a group, m0 a multiple of mr, and tiles, at most `block`.
struct WinogradBlock {
  int64_t group, m0, m1, t0, t1;
};

struct WinogradKernels {
  // Panels of G w G^T, (group, pass of depth, panel of mr rows, point, channel, row), zeros in the
  // rows beyond M. Tasks [begin, end) are (group, panel, slab of channels).
  void (*weights[2])(const WinogradShape&, const void* w, int64_t begin, int64_t end, void* packed);
  void (*multiply[2])(const WinogradShape&, const WinogradBlock&, const void* x, const void* packed,
                      const void* bias, void* scratch, void* y);
  // Elements of scratch
  int64_t (*scratch[2])(const WinogradShape&);
};

struct WinogradTable {
  WinogradKernels tile2, tile4;  // O = 2, 4; the latter for float32 alone
};

}  // namespace dlx
