// The weight gradient as a sum of outer products: at each pixel, a vector of one side's channels
// times single elements of the other side's, which are read where they lie. One side is copied
// first, so that its channels are lanes.
#include "gemm/pack.h"
#include "ops/conv_kernels.h"

namespace dlx::DLX_ISA {

namespace {

// Sums of a tile (rows, vectors): as many as registers allow beside a row of vectors and a factor.
#if defined(__AVX512F__)
constexpr int kMostCols = 3, kMostRows[] = {0, 14, 14, 9};  // 14x2 + 2 + 1 or 9x3 + 3 + 1 = 31
#elif defined(__AVX2__)
constexpr int kMostCols = 3, kMostRows[] = {0, 6, 6, 4};  // 6x2 + 2 + 1 = 15, 4x3 + 3 + 1 = 16
#else
constexpr int kMostCols = 3, kMostRows[] = {0, 5, 5, 3};  // two more for products, without fma
#endif

int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

// Neighbouring pixels: where the elements and the vectors of the first are.
struct Run {
  int64_t element, vector, count;
};
constexpr int kRuns = 64;
constexpr int64_t kPixels = 384;  // of a tile at a time: 24 KB of vectors and 14 KB of elements

// sums (ROWS, COLS vectors) += or =; rows of elements lie `row` apart, columns at vectors + cols[c]
template <class T, int ROWS, int COLS>
void tile(const ConvOuter& s, const Run* runs, int count, const T* elements, const T* vectors,
          const int64_t* cols, bool first, T* sums, int64_t pitch) {
  constexpr int W = Vec<T>::kWidth;
  Vec<T> sum[ROWS][COLS];
#pragma GCC unroll 14
  for (int i = 0; i < ROWS; ++i)
    for (int c = 0; c < COLS; ++c) sum[i][c] = Vec<T>::zero();
  const int64_t row = s.element.channel, element_step = s.element.v, vector_step = s.vector.v;
  for (int r = 0; r < count; ++r) {
    const T* a = elements + runs[r].element;
    const T* b[COLS];
    for (int c = 0; c < COLS; ++c) b[c] = vectors + runs[r].vector + cols[c];
    for (int64_t j = 0; j < runs[r].count; ++j, a += element_step) {
      Vec<T> v[COLS];
#pragma GCC unroll 3
      for (int c = 0; c < COLS; ++c) {
        v[c] = Vec<T>::load(b[c]);
        b[c] += vector_step;
      }
      const T* x = a;
#pragma GCC unroll 14
      for (int i = 0; i < ROWS; ++i) {
        const Vec<T> factor = Vec<T>::broadcast(*x);
        x += row;
#pragma GCC unroll 3
        for (int c = 0; c < COLS; ++c) sum[i][c] = fma(factor, v[c], sum[i][c]);
      }
    }
  }
#pragma GCC unroll 14
  for (int i = 0; i < ROWS; ++i, sums += pitch)
#pragma GCC unroll 3
    for (int c = 0; c < COLS; ++c) {
      T* y = sums + c * W;
      (first ? sum[i][c] : Vec<T>::load(y) + sum[i][c]).store(y);
    }
}

template <class T, int COLS, int ROWS = kMostRows[COLS]>
void by_rows(int64_t rows, const ConvOuter& s, const Run* runs, int count, const T* elements,
             const T* vectors, const int64_t* cols, bool first, T* sums, int64_t pitch) {
  if (rows == ROWS)
    return tile<T, ROWS, COLS>(s, runs, count, elements, vectors, cols, first, sums, pitch);
  if constexpr (ROWS > 1)
    by_rows<T, COLS, ROWS - 1>(rows, s, runs, count, elements, vectors, cols, first, sums, pitch);
}

template <class T>
using Tile = void (*)(int64_t, const ConvOuter&, const Run*, int, const T*, const T*,
                      const int64_t*, bool, T*, int64_t);

// Pixels [*j, end) as runs, as many as a tile takes at a time; advances *j.
int find_runs(const ConvOuter& s, int64_t* j, int64_t end, Run* runs) {
  const int64_t pixels = s.U * s.V;
  int count = 0;
  for (int64_t taken = 0; count < kRuns && taken < kPixels && *j < end;) {
    const int64_t n = *j / pixels, u = *j % pixels / s.V, v = *j % s.V;
    const int64_t run = min(min(s.V - v, end - *j), kPixels - taken);
    runs[count++] = {n * s.element.image + u * s.element.u + v * s.element.v,
                     n * s.vector.image + u * s.vector.u + v * s.vector.v, run};
    taken += run, *j += run;
  }
  return count;
}

// y (count, W): planes x, `plane` elements apart, of which there are `channels`; zero beyond.
template <class T>
void transpose(const T* x, int64_t plane, int64_t channels, int64_t count, T* y) {
  constexpr int64_t W = Vec<T>::kWidth;
  if (channels < W) memset(y, 0, static_cast<size_t>(count * W) * sizeof(T));
  if (channels < 4 || count < 4) {
    for (int64_t j = 0; j < count; ++j)
      for (int64_t c = 0; c < channels; ++c) y[j * W + c] = x[c * plane + j];
    return;
  }
  for (int64_t i = 0; i < count; i += 4) {  // the last four once more, whole
    const int64_t j = min(i, count - 4);
    for (int64_t c = 0; c < channels; c += 4) {
      const int64_t from = min(c, channels - 4);
      transpose_4x4(x + from * plane + j, plane, y + j * W + from, W);
    }
  }
}

}  // namespace

// A plane of W channels (rows, width, W): zeros outside of the image and beyond its last channel.
template <class T>
void conv_lanes(const ConvLanes& c, const void* images, int64_t begin, int64_t end, void* lanes) {
  constexpr int W = Vec<T>::kWidth;
  const int64_t vectors = (c.channels + W - 1) / W, plane = c.rows * c.width * W;
  const int64_t from = min(max(-c.first_col, 0), c.width);
  const int64_t to = max(min(c.W - c.first_col, c.width), from);
  for (int64_t i = begin; i < end; ++i) {  // (image and group, vector of channels)
    const int64_t channel = i % vectors * W, channels = min(W, c.channels - channel);
    const T* x = static_cast<const T*>(images) + (i / vectors * c.channels + channel) * c.H * c.W;
    T* y = static_cast<T*>(lanes) + i * plane;
    for (int64_t r = 0; r < c.rows; ++r, y += c.width * W) {
      const int64_t h = c.first_row + r;
      const bool outside = h < 0 || h >= c.H;
      const int64_t left = outside ? c.width : from, right = outside ? c.width : to;
      memset(y, 0, static_cast<size_t>(left * W) * sizeof(T));
      if (right > left)
        transpose(x + h * c.W + c.first_col + left, c.H * c.W, channels, right - left,
                  y + left * W);
      memset(y + right * W, 0, static_cast<size_t>((c.width - right) * W) * sizeof(T));
    }
  }
}

template <class T>
void conv_outer(const ConvOuter& s, const ConvBlock& block, const void* elements,
                const void* vectors, bool first, void* sums) {
  constexpr int W = Vec<T>::kWidth;
  const int64_t row_pitch = s.element_taps * s.cols * W;
  const T* a = static_cast<const T*>(elements) + block.group * s.element.group;
  const T* b = static_cast<const T*>(vectors) + block.group * s.vector.group;
  T* y = static_cast<T*>(sums) + block.group * s.rows * row_pitch;
  const int cols = s.cols % 3 == 0 ? 3 : 2;
  const int64_t rows = block.m1 - block.m0, most = kMostRows[cols];
  const int64_t panels = (rows + most - 1) / most, height = (rows + panels - 1) / panels;
  Run runs[kRuns];
  for (int64_t j = block.j0; j < block.j1; first = false) {
    const int count = find_runs(s, &j, block.j1, runs);
    for (int64_t c = block.c0; c < block.c1; c += cols)
      for (int64_t m = block.m0; m < block.m1; m += height)
        for (int64_t t = 0; t < s.element_taps; ++t) {
          const int64_t wide = min(cols, block.c1 - c);
          const Tile<T> tiles = wide == 3   ? by_rows<T, 3>
                                : wide == 2 ? by_rows<T, 2>
                                            : by_rows<T, 1>;
          tiles(min(height, block.m1 - m), s, runs, count,
                a + m * s.element.channel + s.element_offset[t], b, s.vector_offset + c, first,
                y + m * row_pitch + (t * s.cols + c) * W, row_pitch);
        }
  }
}

// dw[k, c, tap] = the sum of all pieces' sums.
template <class T>
void conv_outer_total(const ConvOuterSums& s, const void* sums, int64_t begin, int64_t end,
                      void* dw) {
  constexpr int W = Vec<T>::kWidth;
  const T* parts = static_cast<const T*>(sums);
  T* y = static_cast<T*>(dw) + begin * s.C * s.taps;
  for (int64_t k = begin; k < end; ++k) {
    const int64_t group = k / s.K, m = k % s.K;
    for (int64_t c = 0; c < s.C; ++c)
      for (int64_t t = 0; t < s.taps; ++t) {
        // sums (group, K, vector of C, taps, W) or (group, C, taps, vector of K, W)
        const int64_t vectors = ((s.lanes_of_x ? s.C : s.K) + W - 1) / W;
        const int64_t at = s.lanes_of_x
                               ? (((group * s.K + m) * vectors + c / W) * s.taps + t) * W + c % W
                               : (((group * s.C + c) * s.taps + t) * vectors + m / W) * W + m % W;
        T total = parts[at];
        for (int64_t p = 1; p < s.pieces; ++p) total += parts[p * s.piece + at];
        *y++ = total;
      }
  }
}

template void conv_lanes<float>(const ConvLanes&, const void*, int64_t, int64_t, void*);
template void conv_lanes<double>(const ConvLanes&, const void*, int64_t, int64_t, void*);
template void conv_outer<float>(const ConvOuter&, const ConvBlock&, const void*, const void*, bool,
                                void*);
template void conv_outer<double>(const ConvOuter&, const ConvBlock&, const void*, const void*, bool,
                                 void*);
template void conv_outer_total<float>(const ConvOuterSums&, const void*, int64_t, int64_t, void*);
template void conv_outer_total<double>(const ConvOuterSums&, const void*, int64_t, int64_t, void*);

}  // namespace dlx::DLX_ISA
