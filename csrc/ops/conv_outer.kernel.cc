// The weight gradient as a sum of outer products: at each pixel, a vector of one side's channels
// times single elements of the other side's, which are read where they lie. One side is copied
// first, so that its channels are lanes.
#include "ops/conv_kernels.h"
#include "ops/conv_quads.h"

namespace dlx::DLX_ISA {

namespace {

// Sums of a tile (rows, vectors): as many as registers allow beside a row of vectors and a factor.
constexpr int kMostCols = 3;
#if defined(__AVX512F__)
constexpr int kMostRows[] = {0, 28, 14, 9};  // 28 + 1, 14x2 + 2 + 1 or 9x3 + 3 + 1 of 32
#elif defined(__AVX2__)
constexpr int kMostRows[] = {0, 12, 6, 4};  // 12 + 2, 6x2 + 2 + 1 or 4x3 + 3 + 1 of 16
#else
constexpr int kMostRows[] = {0, 10, 5, 3};  // two more for products, without fma
#endif
// Rows are TAPS neighbours of each group's first element, whose address takes a register.
constexpr int most_groups(int taps, int cols) {
  const int most = kMostRows[cols] / taps, limit = taps == 1 ? kMostRows[2] : 8;
  return most < limit ? most : limit;
}

int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

// Neighbouring pixels: where the elements and the vectors of the first are.
struct Run {
  int64_t element, vector, count;
};
constexpr int kRuns = 64;
constexpr int64_t kPixels = 384;  // of a tile at a time: 24 KB of vectors and 14 KB of elements

// sums (GROUPS TAPS, COLS vectors) += or =; groups of elements lie s.element.channel apart, or at
// elements + groups[g]; columns at vectors + cols[c]
template <class T, int TAPS, int COLS, int GROUPS>
void tile(const ConvOuter& s, const Run* runs, int count, const T* elements, const int64_t* groups,
          const T* vectors, const int64_t* cols, bool first, T* sums, int64_t pitch) {
  constexpr int W = Vec<T>::kWidth;
  Vec<T> sum[GROUPS][TAPS][COLS];
#pragma GCC unroll 14
  for (int g = 0; g < GROUPS; ++g)
#pragma GCC unroll 7
    for (int t = 0; t < TAPS; ++t)
      for (int c = 0; c < COLS; ++c) sum[g][t][c] = Vec<T>::zero();
  const int64_t row = s.element.channel, element_step = s.element.v, vector_step = s.vector.v;
  for (int r = 0; r < count; ++r) {
    const T* a = elements + runs[r].element;
    const T* from[GROUPS];
    if constexpr (TAPS > 1)
      for (int g = 0; g < GROUPS; ++g) from[g] = a + groups[g];
    const T* b[COLS];
    for (int c = 0; c < COLS; ++c) b[c] = vectors + runs[r].vector + cols[c];
    const int64_t end = runs[r].count * element_step;
    for (int64_t j = 0; j != end; j += element_step) {
      Vec<T> v[COLS];
#pragma GCC unroll 3
      for (int c = 0; c < COLS; ++c) {
        v[c] = Vec<T>::load(b[c]);
        b[c] += vector_step;
      }
      const T* x = a + j;
#pragma GCC unroll 14
      for (int g = 0; g < GROUPS; ++g, x += row)
#pragma GCC unroll 7
        for (int t = 0; t < TAPS; ++t) {
          const Vec<T> factor = Vec<T>::broadcast(TAPS > 1 ? from[g][j + t] : *x);
#pragma GCC unroll 3
          for (int c = 0; c < COLS; ++c) sum[g][t][c] = fma(factor, v[c], sum[g][t][c]);
        }
    }
  }
#pragma GCC unroll 14
  for (int g = 0; g < GROUPS; ++g)
#pragma GCC unroll 7
    for (int t = 0; t < TAPS; ++t, sums += pitch)
#pragma GCC unroll 3
      for (int c = 0; c < COLS; ++c) {
        T* y = sums + c * W;
        (first ? sum[g][t][c] : Vec<T>::load(y) + sum[g][t][c]).store(y);
      }
}

template <class T>
using Tile = void (*)(const ConvOuter&, const Run*, int, const T*, const int64_t*, const T*,
                      const int64_t*, bool, T*, int64_t);

template <class T, int TAPS, int COLS, int GROUPS = most_groups(TAPS, COLS)>
Tile<T> tile_of(int64_t groups) {
  if constexpr (GROUPS > 1)
    if (groups < GROUPS) return tile_of<T, TAPS, COLS, GROUPS - 1>(groups);
  return tile<T, TAPS, COLS, GROUPS>;
}
template <class T, int TAPS>
Tile<T> tile_of(int64_t cols, int64_t groups) {
  if constexpr (most_groups(TAPS, 3) > 0)
    if (cols == 3) return tile_of<T, TAPS, 3>(groups);
  if constexpr (most_groups(TAPS, 2) > 0)
    if (cols == 2) return tile_of<T, TAPS, 2>(groups);
  return tile_of<T, TAPS, 1>(groups);
}

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

// All tiles of a block, for some runs. Groups are (channel, row of taps), or channels at each tap.
template <class T, int TAPS>
void tiles(const ConvOuter& s, const ConvBlock& block, const Run* runs, int count,
           const T* elements, const T* vectors, bool first, T* sums) {
  constexpr int W = Vec<T>::kWidth;
  int64_t most_cols = s.cols % 3 == 0 ? 3 : 2;
  while (most_groups(TAPS, static_cast<int>(most_cols)) == 0) --most_cols;
  const int64_t pitch = s.cols * W, each = s.element_taps / TAPS;
  const int64_t outer = TAPS > 1 ? 1 : each, inner = TAPS > 1 ? each : 1;
  const int64_t begin = block.m0 * inner, end = block.m1 * inner;
  for (int64_t c = block.c0, cols; c < block.c1; c += cols) {
    cols = min(most_cols, block.c1 - c);
    const int64_t most = most_groups(TAPS, static_cast<int>(cols));
    const int64_t panels = (end - begin + most - 1) / most;
    const int64_t height = (end - begin + panels - 1) / panels;
    for (int64_t m = begin, count_of; m < end; m += count_of) {
      count_of = min(height, end - m);
      int64_t groups[8];
      if (TAPS > 1)
        for (int64_t g = 0; g < count_of; ++g)
          groups[g] =
              (m + g) / inner * s.element.channel + s.element_offset[(m + g) % inner * TAPS];
      for (int64_t t = 0; t < outer; ++t)
        tile_of<T, TAPS>(cols, count_of)(
            s, runs, count, elements + (TAPS > 1 ? 0 : m * s.element.channel + s.element_offset[t]),
            groups, vectors, s.vector_offset + c, first,
            sums + (m * TAPS * outer + t) * pitch + c * W, outer * pitch);
    }
  }
}

}  // namespace

// A plane of W channels (rows, width, W): zeros outside of the image and beyond its last channel.
template <class T>
void conv_lanes(const ConvLanes& c, const void* images, int64_t begin, int64_t end, void* lanes) {
  constexpr int W = Vec<T>::kWidth, kLine = 64 / sizeof(T);
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
      if (right > left) {
        const T* row = x + h * c.W + c.first_col + left;
        if (i + 1 < end) {  // the next vector's planes: too many streams for the hardware
          const T* next = row + W * c.H * c.W;
          for (int64_t p = 0; p < W; ++p, next += c.H * c.W)
            for (int64_t j = 0; j < right - left; j += kLine) __builtin_prefetch(next + j);
        }
        planes_to_vectors(row, c.H * c.W, channels, right - left, y + left * W);
      }
      memset(y + right * W, 0, static_cast<size_t>((c.width - right) * W) * sizeof(T));
    }
  }
}

template <class T>
void conv_outer(const ConvOuter& s, const ConvBlock& block, const void* elements,
                const void* vectors, bool first, void* sums) {
  constexpr int W = Vec<T>::kWidth;
  const T* a = static_cast<const T*>(elements) + block.group * s.element.group;
  const T* b = static_cast<const T*>(vectors) + block.group * s.vector.group;
  T* y = static_cast<T*>(sums) + block.group * s.rows * s.element_taps * s.cols * W;
  const auto multiply = s.neighbours == 3   ? tiles<T, 3>
                        : s.neighbours == 4 ? tiles<T, 4>
                        : s.neighbours == 5 ? tiles<T, 5>
                        : s.neighbours == 7 ? tiles<T, 7>
                                            : tiles<T, 1>;
  Run runs[kRuns];
  for (int64_t j = block.j0; j < block.j1; first = false) {
    const int count = find_runs(s, &j, block.j1, runs);
    multiply(s, block, runs, count, a, b, first, y);
  }
}

// dw[k, c, tap] = the sum of all pieces' sums, of vectors [begin, end) of them: sums (group, K,
// vector of C, taps, W) or (group, C, taps, vector of K, W).
template <class T>
void conv_outer_total(const ConvOuterSums& s, const void* sums, int64_t begin, int64_t end,
                      void* dw) {
  constexpr int64_t W = Vec<T>::kWidth;
  const int64_t lanes = s.lanes_of_x ? s.C : s.K, vectors = (lanes + W - 1) / W;
  const int64_t step = s.lanes_of_x ? s.taps : s.C * s.taps;  // in dw from lane to lane
  for (int64_t i = begin; i < end; ++i) {
    const T* part = static_cast<const T*>(sums) + i * W;
    Vec<T> total = Vec<T>::load(part);
    for (int64_t p = 1; p < s.pieces; ++p) total = total + Vec<T>::load(part + p * s.piece);
    int64_t lane, at;  // the vector's first lane, and where dw has it
    if (s.lanes_of_x) {
      lane = i / s.taps % vectors * W;
      at = (i / s.taps / vectors * s.C + lane) * s.taps + i % s.taps;
    } else {
      const int64_t row = i / vectors, group = row / (s.C * s.taps);
      lane = i % vectors * W;
      at = (group * s.K + lane) * step + row % (s.C * s.taps);
    }
    T values[W];
    total.store(values);
    T* y = static_cast<T*>(dw) + at;
    for (int64_t l = 0; l < min(W, lanes - lane); ++l) y[l * step] = values[l];
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
