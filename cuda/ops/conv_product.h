// The three directions of a convolution as products of matrices, C (m,n) = A (m,k) B (k,n) for each
// group, whose elements stand where the images and kernels have them:
//   conv2d                  y (channel, pixel)  = w (channel, tap)    x (tap, pixel)
//   conv_transpose2d        dx (channel, pixel) = w (channel, tap)    dy (tap, pixel)
//   conv2d_backward_weight  dw (channel, tap)   = dy (channel, pixel) x (pixel, tap)
// A pixel is an (image, p, q) of N P Q, a tap a (channel, r, s) of a group's channels.
//
// Int: of rows and columns; int where conv_is_small says that they and their sums fit.
#pragma once
#include <cstdint>

#include "cuda/core/divide.h"
#include "ops/conv2d.h"

namespace dlx::cuda {

inline const Conv2dShape& conv_shape(const void* shape) {
  return *static_cast<const Conv2dShape*>(shape);
}

// Where one index of a matrix leads: plane after plane, a grid of rows x cols places in each.
template <class Int>
struct Places {
  Int rows, cols;
  Int first_row, first_col, row_step, col_step;
  int64_t plane;  // elements from one plane to the next
  int64_t end;    // and of all planes

  struct Place {
    int64_t plane;  // its first element
    Int i, j;       // row and column of the grid
  };

  constexpr Place at(int64_t index) const {
    const Division by_cols = divide(index, cols), by_rows = divide(by_cols.quotient, rows);
    return {by_rows.quotient * plane, static_cast<Int>(by_rows.rest),
            static_cast<Int>(by_cols.rest)};
  }
  // Goes on by as many as `by` is from the first: digits with carries, no division.
  constexpr void advance(Place& p, const Place& by) const {
    p.j += by.j;
    if (p.j >= cols) p.j -= cols, ++p.i;
    p.i += by.i;
    if (p.i >= rows) p.i -= rows, p.plane += plane;
    p.plane += by.plane;
  }
  constexpr Int row(const Place& p) const { return first_row + p.i * row_step; }
  constexpr Int col(const Place& p) const { return first_col + p.j * col_step; }
};

// A, w or dy: (row, k) stands where k leads, so many planes behind row 0.
template <class Int>
struct ConvChannels {
  int64_t group, row;  // elements from one to the next
  Int width;
  Places<Int> steps;
};

// B, x or dy: (k, column) stands in the plane that both indices lead to together, at the sum of
// their rows and columns; it is 0 where that is outside of the plane.
template <class Int>
struct ConvImages {
  int64_t group;
  Int height, width;
  Places<Int> columns, steps;
};

// C: (row, column) stands where the column leads, so many planes behind row 0.
template <class Int>
struct ConvResults {
  int64_t group, row;
  Int width;
  Places<Int> columns;

  // Whether four columns that begin at a multiple of four are contiguous.
  constexpr bool fours() const {
    const int64_t grid = int64_t{columns.rows} * columns.cols;
    return columns.row_step == 1 && columns.col_step == 1 && columns.cols == width &&
           row % 4 == 0 && (grid % 4 == 0 || grid == columns.plane);
  }
};

template <class Int>
struct ConvProduct {
  int64_t m, n, k;
  int64_t planes;  // that k leads to, in both operands
  ConvChannels<Int> a;
  ConvImages<Int> b;
  ConvResults<Int> c;
};

// x's places as pixels and as taps.
template <class Int>
constexpr Places<Int> pixels_of_x(const Conv2dShape& s) {
  return {Int(s.P),        Int(s.Q),        Int(-s.pad_top), Int(-s.pad_left),
          Int(s.stride_h), Int(s.stride_w), s.C * s.H * s.W, s.N * s.C * s.H * s.W};
}
template <class Int>
constexpr Places<Int> taps_of_x(const Conv2dShape& s) {
  const int64_t channels = s.C / s.groups, plane = s.H * s.W;
  return {Int(s.R), Int(s.S), 0, 0, Int(s.dil_h), Int(s.dil_w), plane, channels * plane};
}
// All of y's pixels, all of w's taps.
template <class Int>
constexpr Places<Int> pixels_of_y(const Conv2dShape& s) {
  return {Int(s.P), Int(s.Q), 0, 0, 1, 1, s.K * s.P * s.Q, s.N * s.K * s.P * s.Q};
}
template <class Int>
constexpr Places<Int> taps_of_w(const Conv2dShape& s) {
  const int64_t channels = s.C / s.groups, plane = s.R * s.S;
  return {Int(s.R), Int(s.S), 0, 0, 1, 1, plane, channels * plane};
}

template <class Int>
constexpr ConvProduct<Int> conv2d_product(const Conv2dShape& s) {
  const int64_t C = s.C / s.groups, K = s.K / s.groups, taps = C * s.R * s.S;
  return {.m = K,
          .n = s.N * s.P * s.Q,
          .k = taps,
          .planes = C,
          .a = {K * taps, taps, Int(s.S), taps_of_w<Int>(s)},
          .b = {C * s.H * s.W, Int(s.H), Int(s.W), pixels_of_x<Int>(s), taps_of_x<Int>(s)},
          .c = {K * s.P * s.Q, s.P * s.Q, Int(s.Q), pixels_of_y<Int>(s)}};
}

template <class Int>
constexpr ConvProduct<Int> backward_weight_product(const Conv2dShape& s) {
  const int64_t C = s.C / s.groups, K = s.K / s.groups, taps = C * s.R * s.S;
  return {.m = K,
          .n = taps,
          .k = s.N * s.P * s.Q,
          .planes = s.N,
          .a = {K * s.P * s.Q, s.P * s.Q, Int(s.Q), pixels_of_y<Int>(s)},
          .b = {C * s.H * s.W, Int(s.H), Int(s.W), taps_of_x<Int>(s), pixels_of_x<Int>(s)},
          .c = {K * taps, taps, Int(s.S), taps_of_w<Int>(s)}};
}

// conv2d's only phase (see below).
template <class Int>
struct OneProduct {
  ConvProduct<Int> product;

  explicit OneProduct(const Conv2dShape& s) : product(conv2d_product<Int>(s)) {}
  static constexpr int64_t phases() { return 1; }
  constexpr int64_t deepest() const { return product.k; }
  constexpr const ConvProduct<Int>& at(int64_t) const { return product; }
};

// Row h of dx sees dy's rows p through taps r with p stride = h + pad - r dil, so through no others
// than those with r dil = h + pad (mod stride). The rows first, first + stride, ... (first <
// stride) share them: tap + i tap_step (i < taps); through i, their row number j sees start + j - i
// step.
template <class Int>
struct Phase {
  Int first, count, tap, taps, tap_step, start, step;
};

// The phases of one axis.
template <class Int>
struct PhaseAxis {
  Int extent, taps, stride, dil, pad;
  Int common;   // divisor of stride and dil, the greatest
  Int inverse;  // of dil / common, modulo stride / common

  // Host only: finds the two by Euclid's algorithm.
  static PhaseAxis make(int64_t extent, int64_t taps, int64_t stride, int64_t dil, int64_t pad) {
    int64_t r = stride, next_r = dil, t = 0, next_t = 1;  // t dil = r (mod stride)
    while (next_r) {
      const int64_t q = r / next_r, r_after = r - q * next_r, t_after = t - q * next_t;
      r = next_r, next_r = r_after, t = next_t, next_t = t_after;
    }
    const int64_t period = stride / r;
    return {Int(extent),
            Int(taps),
            Int(stride),
            Int(dil),
            Int(pad),
            Int(r),
            Int((t % period + period) % period)};
  }

  constexpr int64_t phases() const { return extent < stride ? extent : stride; }
  constexpr int64_t most_taps() const { return taps ? (taps - 1) / (stride / common) + 1 : 0; }

  constexpr Phase<Int> at(Int first) const {
    const Int residue = ((first + pad) % stride + stride) % stride, period = stride / common;
    const Int tap = residue % common ? taps : residue / common * inverse % period;
    const Int seen = tap < taps ? (taps - 1 - tap) / period + 1 : 0;
    return {first,  (extent - first + stride - 1) / stride,        tap,         seen,
            period, seen ? (first + pad - tap * dil) / stride : 0, dil / common};
  }
};

template <class Int>
struct TransposedPhases {
  Conv2dShape s;
  PhaseAxis<Int> rows, cols;

  explicit TransposedPhases(const Conv2dShape& shape)
      : s(shape),
        rows(PhaseAxis<Int>::make(s.H, s.R, s.stride_h, s.dil_h, s.pad_top)),
        cols(PhaseAxis<Int>::make(s.W, s.S, s.stride_w, s.dil_w, s.pad_left)) {}

  constexpr int64_t phases() const { return rows.phases() * cols.phases(); }
  constexpr int64_t deepest() const {  // the largest k of a phase, or a little more
    return s.K / s.groups * rows.most_taps() * cols.most_taps();
  }

  constexpr ConvProduct<Int> at(int64_t phase) const {
    const Division which = divide(phase, cols.phases());
    const Phase<Int> y = rows.at(Int(which.quotient)), x = cols.at(Int(which.rest));
    const int64_t C = s.C / s.groups, taps = C * s.R * s.S, pixels = s.P * s.Q;
    const bool blind = y.taps == 0 || x.taps == 0;
    const int64_t K = blind ? 0 : s.K / s.groups;  // channels of dy that are seen
    const Int seen_rows = blind ? 1 : y.taps, seen_cols = blind ? 1 : x.taps;
    return {.m = C,
            .n = s.N * y.count * x.count,
            .k = K * seen_rows * seen_cols,
            .planes = K,
            .a = {s.K / s.groups * taps,
                  s.R * s.S,
                  Int(s.S),
                  {seen_rows, seen_cols, y.tap, x.tap, y.tap_step, x.tap_step, taps, K * taps}},
            .b = {s.K / s.groups * pixels,
                  Int(s.P),
                  Int(s.Q),
                  {y.count, x.count, y.start, x.start, 1, 1, s.K * pixels, s.N * s.K * pixels},
                  {seen_rows, seen_cols, 0, 0, -y.step, -x.step, pixels, K * pixels}},
            .c = {C * s.H * s.W,
                  s.H * s.W,
                  Int(s.W),
                  {y.count, x.count, y.first, x.first, rows.stride, cols.stride, s.C * s.H * s.W,
                   s.N * s.C * s.H * s.W}}};
  }
};

// Whether rows, columns, their sums and the products of two strides fit into an int.
constexpr bool conv_is_small(const Conv2dShape& s) {
  constexpr int64_t kSmall = int64_t{1} << 29;
  const auto small = [](int64_t a, int64_t b) {
    return a < kSmall && b < kSmall && a * b < kSmall;
  };
  return small(s.P, s.stride_h) && small(s.Q, s.stride_w) && small(s.R, s.dil_h) &&
         small(s.S, s.dil_w) && small(s.H, 1) && small(s.W, 1) && small(s.stride_h, s.stride_h) &&
         small(s.stride_w, s.stride_w) && small(s.pad_top, 1) && small(-s.pad_top, 1) &&
         small(s.pad_left, 1) && small(-s.pad_left, 1);
}

}  // namespace dlx::cuda
