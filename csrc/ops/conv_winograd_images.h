// Tiles of images to points: what Winograd's forward and weight gradient kernels share. Transforms
// run with one pixel a lane down the columns, then with one tile a lane along the rows. For kernel
// files only.
#pragma once
#include "ops/conv_winograd_transforms.h"

namespace dlx::DLX_ISA {

inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// Tiles of one row of tiles of one image: `count` of them from lane `lane` of the block on.
struct Run {
  int64_t lane, count, n, row, col;
};

// A part of an image, or of the result, to points: how many pixels of a row or column, and how.
template <class T, int O>
struct ImageMap {
  static constexpr int kPixels = O + 2;
  static void apply(const Vec<T>* d, Vec<T>* v) { Winograd<T, O>::image(d, v); }
};
template <class T, int O>
struct TileMap {
  static constexpr int kPixels = O;
  static void apply(const Vec<T>* d, Vec<T>* v) { Winograd<T, O>::tile(d, v); }
};

// Shape: N images with `rows` by `cols` tiles of O x O; tile (0,0) begins at (-top, -left) of H x W
// pixels.
template <class Shape>
int64_t find_runs(const Shape& s, int64_t t0, int64_t t1, Run* runs) {
  int64_t count = 0;
  for (int64_t t = t0; t < t1; t += runs[count++].count) {
    const int64_t row = t / s.cols, col = t % s.cols;
    runs[count] = {t - t0, min(s.cols - col, t1 - t), row / s.rows, row % s.rows, col};
  }
  return count;
}

// Down the columns of pixels that a run sees, in the image's own order. Tile i of the run reads the
// columns from i O on: lines[k][i O + j], j < O, and next_lines[k][i O + j], j < 2, which are the
// first of the next tile. What lies beyond the image is zero in the lines already, except where the
// vectors of the run after this one, done before, have reached back into its last tile.
template <class T, int O, class Map, bool WHOLE, class Shape>
void transform_columns(const Shape& s, const Run& run, const T* plane, int64_t pitch, T* lines,
                       T* next_lines) {
  constexpr int A = O + 2, W = Vec<T>::kWidth, kNext = Map::kPixels - O;
  const int64_t top = run.row * O - s.top, left = run.col * O - s.left, width = run.count * O;
  const int64_t begin = max(0, -left), end = min(width + kNext, s.W - left);
  const T* row[Map::kPixels];
  bool inside[Map::kPixels];
  for (int r = 0; r < Map::kPixels; ++r) {
    inside[r] = WHOLE || (top + r >= 0 && top + r < s.H);
    row[r] = plane + (inside[r] ? top + r : 0) * s.W + left;
  }
  lines += run.lane * O;
  next_lines += run.lane * O;
  for (int64_t p = begin; p < end; p += W) {
    const int n = static_cast<int>(min(W, end - p));
    const int n_here = static_cast<int>(max(0, min(n, width - p)));
    Vec<T> d[Map::kPixels], v[A];
    for (int r = 0; r < Map::kPixels; ++r)
      d[r] = inside[r] ? Vec<T>::load(row[r] + p, n) : Vec<T>::zero();
    Map::apply(d, v);
    for (int k = 0; k < A; ++k) {
      v[k].store(lines + k * pitch + p, n_here);
      if (kNext > 0) v[k].store(next_lines + k * pitch + p - O, n);
    }
  }
  if (kNext == 0) return;
  const int64_t last = max(max(0, end) - O, width - O);
  if (const int n = static_cast<int>(width - last); n > 0)
    for (int k = 0; k < A; ++k) Vec<T>::zero().store(next_lines + k * pitch + last, n);
}

// All runs of a block; image n's plane lies at x + n image.
template <class T, int O, class Map, class Shape>
void transform_columns(const Shape& s, const Run* runs, int64_t count, const T* x, int64_t image,
                       int64_t pitch, T* lines, T* next_lines) {
  for (int64_t i = count - 1; i >= 0; --i) {
    const Run& run = runs[i];
    const int64_t top = run.row * O - s.top;
    if (top >= 0 && top + Map::kPixels <= s.H)
      transform_columns<T, O, Map, true>(s, run, x + run.n * image, pitch, lines, next_lines);
    else
      transform_columns<T, O, Map, false>(s, run, x + run.n * image, pitch, lines, next_lines);
  }
}

// Every O-th element: d[j] = x[j + O i], j < COUNT, i < width.
template <class T, int O, int COUNT>
void split(const T* x, Vec<T>* d) {
  using S = Shuffle<T>;
  constexpr int W = Vec<T>::kWidth;
  const Vec<T> x0 = Vec<T>::load(x), x1 = Vec<T>::load(x + W);
  if constexpr (O == 2) {
    d[0] = S::even(x0, x1);
    d[1] = S::odd(x0, x1);
  } else {
    const Vec<T> x2 = Vec<T>::load(x + 2 * W), x3 = Vec<T>::load(x + 3 * W);
    const Vec<T> even0 = S::even(x0, x1), even1 = S::even(x2, x3);
    const Vec<T> odd0 = S::odd(x0, x1), odd1 = S::odd(x2, x3);
    d[0] = S::even(even0, even1);
    d[1] = S::even(odd0, odd1);
    if constexpr (COUNT == 4) {
      d[2] = S::odd(even0, even1);
      d[3] = S::odd(odd0, odd1);
    }
  }
}

// Along the rows of tiles [t, t + width) of a block: store(point, values) of each point.
template <class T, int O, class Map, class Store>
void transform_rows(const T* lines, const T* next_lines, int64_t pitch, int64_t t,
                    const Store& store) {
  constexpr int A = O + 2;
  for (int k = 0; k < A; ++k) {
    Vec<T> in[A], out[A];
    split<T, O, O>(lines + k * pitch + t * O, in);
    if constexpr (Map::kPixels > O) split<T, O, 2>(next_lines + k * pitch + t * O, in + O);
    Map::apply(in, out);
    for (int j = 0; j < A; ++j) store(k * A + j, out[j]);
  }
}

}  // namespace dlx::DLX_ISA
