// The weight gradient: dot products over pixels, which lie side by side in dy and in the images, so
// that nothing is transposed. A vector of sums for each pair of a row of dy and a column of dw.
#include "ops/conv_kernels.h"

namespace dlx::DLX_ISA {

namespace {

#if defined(__AVX512F__)
constexpr int kRows = 4, kCols = 6;  // 24 sums + 4 of dy + 1 image = 29 of 32 registers
#else
constexpr int kRows = 2, kCols = 5;  // 10 sums + 2 of dy + 1 image = 13 of 16
#endif

int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }

// Pixels side by side: in dy and in the images.
struct Run {
  int64_t dy, image, count;
};
constexpr int kRuns = 256;  // of one pass of a tile

// Pairs of neighbouring lanes added up: those of a, then those of b.
template <class T>
[[gnu::always_inline]] inline Vec<T> pair_sums(Vec<T> a, Vec<T> b) {
  using Index = decltype(a.raw == a.raw);
  Index even, odd;
  for (int i = 0; i < Vec<T>::kWidth; ++i) even[i] = 2 * i, odd[i] = 2 * i + 1;
  return {__builtin_shuffle(a.raw, b.raw, even) + __builtin_shuffle(a.raw, b.raw, odd)};
}

// With N = width: lane i is the sum of all lanes of v[i].
template <class T, int N = Vec<T>::kWidth>
[[gnu::always_inline]] inline Vec<T> lane_sums(const Vec<T>* v) {
  if constexpr (N == 1)
    return v[0];
  else
    return pair_sums(lane_sums<T, N / 2>(v), lane_sums<T, N / 2>(v + N / 2));
}

// dw (ROWS, COLS) += or =: rows of dy dy_row apart, columns of images at offset[c].
template <class T, int ROWS, int COLS>
void tile(const Run* runs, int count, const T* dy, int64_t dy_row, const T* images,
          const int64_t* offset, bool first, T* dw, int64_t dw_row) {
  constexpr int W = Vec<T>::kWidth;
  Vec<T> sum[ROWS][COLS];
  for (int i = 0; i < ROWS; ++i)
    for (int c = 0; c < COLS; ++c) sum[i][c] = Vec<T>::zero();
  for (int r = 0; r < count; ++r) {
    const T* a = dy + runs[r].dy;
    const T* x[COLS];
    for (int c = 0; c < COLS; ++c) x[c] = images + runs[r].image + offset[c];
    int64_t j = 0;
    for (; j + W <= runs[r].count; j += W) {
      Vec<T> g[ROWS];
#pragma GCC unroll 4
      for (int i = 0; i < ROWS; ++i) g[i] = Vec<T>::load(a + i * dy_row + j);
#pragma GCC unroll 6
      for (int c = 0; c < COLS; ++c) {
        const Vec<T> b = Vec<T>::load(x[c] + j);
#pragma GCC unroll 4
        for (int i = 0; i < ROWS; ++i) sum[i][c] = fma(g[i], b, sum[i][c]);
      }
    }
    if (j < runs[r].count) {
      const int rest = static_cast<int>(runs[r].count - j);
      Vec<T> g[ROWS];
#pragma GCC unroll 4
      for (int i = 0; i < ROWS; ++i) g[i] = {load_first(a + i * dy_row + j, rest)};
#pragma GCC unroll 6
      for (int c = 0; c < COLS; ++c) {
        const Vec<T> b = {load_first(x[c] + j, rest)};
#pragma GCC unroll 4
        for (int i = 0; i < ROWS; ++i) sum[i][c] = fma(g[i], b, sum[i][c]);
      }
    }
  }
  constexpr int kSums = ROWS * COLS, kPadded = (kSums + W - 1) / W * W;
  Vec<T> sums[kPadded];
#pragma GCC unroll 4
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 6
    for (int c = 0; c < COLS; ++c) sums[i * COLS + c] = sum[i][c];
  for (int k = kSums; k < kPadded; ++k) sums[k] = Vec<T>::zero();
  T totals[kPadded];
  for (int k = 0; k < kPadded; k += W) lane_sums<T>(sums + k).store(totals + k);
  for (int i = 0; i < ROWS; ++i)
    for (int c = 0; c < COLS; ++c) {
      T& to = dw[i * dw_row + c];
      to = first ? totals[i * COLS + c] : to + totals[i * COLS + c];
    }
}

template <class T>
using Tile = void (*)(const Run*, int, const T*, int64_t, const T*, const int64_t*, bool, T*,
                      int64_t);
template <class T, int ROWS, int... COLS>
constexpr Tile<T> tiles_of_row(int cols) {
  Tile<T> found = nullptr;
  ((cols == COLS ? void(found = tile<T, ROWS, COLS>) : void()), ...);
  return found;
}
template <class T, int ROWS = kRows>
Tile<T> tile_of(int rows, int cols) {
  if constexpr (ROWS > 1)
    if (rows < ROWS) return tile_of<T, ROWS - 1>(rows, cols);
#if defined(__AVX512F__)
  return tiles_of_row<T, ROWS, 1, 2, 3, 4, 5, 6>(cols);
#else
  return tiles_of_row<T, ROWS, 1, 2, 3, 4, 5>(cols);
#endif
}

// All tiles of a block, for some runs.
template <class T>
void tiles(const ConvBlock& block, const Run* runs, int count, const T* dy, int64_t dy_row,
           const T* images, const int64_t* offset, bool first, T* dw, int64_t dw_row) {
  for (int64_t c = block.c0; c < block.c1; c += kCols) {
    const int cols = static_cast<int>(min(kCols, block.c1 - c));
    for (int64_t m = block.m0; m < block.m1; m += kRows) {
      const int rows = static_cast<int>(min(kRows, block.m1 - m));
      tile_of<T>(rows, cols)(runs, count, dy + (m - block.m0) * dy_row, dy_row, images,
                             offset + (c - block.c0), first, dw + m * dw_row + c, dw_row);
    }
  }
}

// y: the runs of x side by side; `length` of each, or 0 where they differ.
template <class T>
void pack_runs(const T* x, const Run* runs, int count, int64_t length, T* y) {
  if (length == 0 || length > Vec<T>::kWidth) {
    for (int r = 0; r < count; y += runs[r++].count) copy_run(x + runs[r].image, runs[r].count, y);
    return;
  }
  const int n = static_cast<int>(length);
  for (int r = 0; r < count; ++r, y += n) store_first(y, load_first(x + runs[r].image, n), n);
}

}  // namespace

template <class T>
void conv_dot(const ConvDot& s, const ConvBlock& block, const void* images, const void* dy_all,
              bool first, void* scratch, void* dw_all) {
  const ConvSource& from = s.source;
  const int64_t pixels = from.U * from.V, rows = block.m1 - block.m0;
  const T* x = static_cast<const T*>(images) + block.group * from.group;
  const T* dy = static_cast<const T*>(dy_all) + block.group * s.dy_group + block.m0 * pixels;
  T* dw = static_cast<T*>(dw_all) + block.group * s.M * s.D;
  constexpr int64_t kPixels = kConvDotBytes / static_cast<int64_t>(sizeof(T));
  constexpr int64_t kPitch = kPixels + kConvDotPad / static_cast<int64_t>(sizeof(T));
  T* dy_block = static_cast<T*>(scratch);
  T* x_block = dy_block + rows * kPitch;
  int64_t packed_offset[kConvDotCols];
  for (int64_t c = 0; c < kConvDotCols; ++c) packed_offset[c] = c * kPitch;
  // Passes of even length, in whole rows: block.j0 begins a row.
  const int64_t whole = block.j1 - block.j0, passes = (whole + kPixels - 1) / kPixels;
  int64_t most = (whole / passes + from.V) / from.V * from.V;
  if (most > kPixels) most = from.V <= kPixels ? kPixels / from.V * from.V : kPixels;
  Run runs[kRuns];
  for (int64_t j = block.j0; j < block.j1;) {
    int count = 0;
    int64_t taken = 0;
    bool even = true;
    while (count < kRuns && j < block.j1 && taken < most) {
      const int64_t n = j / pixels, at = j % pixels, v = at % from.V;
      const int64_t run = min(min(from.V - v, block.j1 - j), most - taken);
      runs[count++] = {n * s.dy_image + at, n * from.image + at / from.V * from.row + v, run};
      taken += run, j += run;
      even &= run == runs[0].count;
    }
    if (!s.packs) {
      tiles(block, runs, count, dy, pixels, x, from.offset + block.c0, first, dw, s.D);
    } else {
      for (int64_t m = 0; m < rows; ++m) {
        T* y = dy_block + m * kPitch;
        for (int r = 0; r < count;) {  // runs of one image lie side by side in dy
          int64_t length = runs[r].count;
          const int64_t begin = runs[r++].dy;
          for (; r < count && runs[r].dy == begin + length; ++r) length += runs[r].count;
          copy_run(dy + m * pixels + begin, length, y);
          y += length;
        }
      }
      for (int64_t c = block.c0; c < block.c1; ++c)
        pack_runs(x + from.offset[c], runs, count, even ? runs[0].count : 0,
                  x_block + (c - block.c0) * kPitch);
      const Run packed = {0, 0, taken};
      tiles(block, &packed, 1, dy_block, kPitch, x_block, packed_offset, first, dw, s.D);
    }
    first = false;
  }
}

template void conv_dot<float>(const ConvDot&, const ConvBlock&, const void*, const void*, bool,
                              void*, void*);
template void conv_dot<double>(const ConvDot&, const ConvBlock&, const void*, const void*, bool,
                               void*, void*);

}  // namespace dlx::DLX_ISA
