// The weight gradient of a few images: a vector of dy's channels at each pixel, times the elements
// that the kernel's taps see there. One loop over all pixels, whose elements a table finds: no row
// of an image begins or ends in it.
#include "ops/conv_images_weight_table.h"
#include "ops/conv_quads.h"

namespace dlx::DLX_ISA {

namespace {

// Sums of a tile (offsets TAPS, vectors): as many as registers allow beside a row of vectors and a
// factor.
#if defined(__AVX512F__)
constexpr int kMostRows[] = {0, 28, 14, 9};  // 28 + 1, 14x2 + 2 + 1 or 9x3 + 3 + 1 of 32
#elif defined(__AVX2__)
constexpr int kMostRows[] = {0, 12, 6, 4};  // 12 + 2, 6x2 + 2 + 1 or 4x3 + 3 + 1 of 16
#else
constexpr int kMostRows[] = {0, 10, 5, 3};  // two more for products, without fma
#endif
// The address of each offset takes a register.
constexpr int most_offsets(int taps, int cols) {
  const int most = kMostRows[cols] / taps;
  return most < 8 ? most : 8;
}
constexpr int64_t kVectors = 384;  // of a tile at a time: half of L1

int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
void lanes(const ImagesWeight& s, int64_t count, const void* dy, int64_t dy_image, void* to) {
  constexpr int64_t W = Vec<T>::kWidth;
  for (int64_t n = 0; n < count; ++n)
    for (int64_t v = 0; v < s.vectors; ++v)
      planes_to_vectors(static_cast<const T*>(dy) + n * dy_image + v * W * s.plane, s.plane,
                        min(W, s.K - v * W), s.plane,
                        static_cast<T*>(to) + (v * s.pitch + n * s.plane) * W);
}

// All lanes x[0], or x[0] and x[1] in turn.
template <class T, bool PAIRS>
[[gnu::always_inline]] inline Vec<T> factor_at(const T* x) {
  if constexpr (PAIRS) {
    [[maybe_unused]] double pair;
    memcpy(&pair, x, sizeof pair);
    // Not Vec's: its subtraction of zero could change bits that are no double.
#if defined(__AVX512F__)
    return {_mm512_castpd_ps(_mm512_set1_pd(pair))};
#elif defined(__AVX2__)
    return {_mm256_castpd_ps(_mm256_set1_pd(pair))};
#else
    Vec<T> factor;
    for (int i = 0; i < Vec<T>::kWidth; ++i) factor.raw[i] = x[i % 2];
    return factor;
#endif
  } else {
    return Vec<T>::broadcast(*x);
  }
}

// sums (OFFSETS, TAPS, COLS vectors), rows `row` apart; vectors of a pixel s.pitch W apart
template <class T, bool PAIRS, int TAPS, int COLS, int OFFSETS>
void tile(const ImagesWeight& s, const int64_t* offset, const int64_t* pixel, int64_t count,
          const T* elements, const T* vectors, bool first, T* sums, int64_t row) {
  constexpr int W = Vec<T>::kWidth;
  Vec<T> sum[OFFSETS][TAPS][COLS];
#pragma GCC unroll 8
  for (int m = 0; m < OFFSETS; ++m)
#pragma GCC unroll 7
    for (int t = 0; t < TAPS; ++t)
      for (int c = 0; c < COLS; ++c) sum[m][t][c] = Vec<T>::zero();
  const T* from[OFFSETS];
  for (int m = 0; m < OFFSETS; ++m) from[m] = elements + offset[m];
  const int64_t column = s.pitch * W;
  for (int64_t p = 0; p < count; ++p, vectors += W) {
    const int64_t at = pixel[p];
    Vec<T> v[COLS];
#pragma GCC unroll 3
    for (int c = 0; c < COLS; ++c) v[c] = Vec<T>::load(vectors + c * column);
#pragma GCC unroll 8
    for (int m = 0; m < OFFSETS; ++m)
#pragma GCC unroll 7
      for (int t = 0; t < TAPS; ++t) {
        const Vec<T> factor = factor_at<T, PAIRS>(from[m] + at + t);
#pragma GCC unroll 3
        for (int c = 0; c < COLS; ++c) sum[m][t][c] = fma(factor, v[c], sum[m][t][c]);
      }
  }
#pragma GCC unroll 8
  for (int m = 0; m < OFFSETS; ++m)
#pragma GCC unroll 7
    for (int t = 0; t < TAPS; ++t, sums += row)
#pragma GCC unroll 3
      for (int c = 0; c < COLS; ++c) {
        T* y = sums + c * W;
        (first ? sum[m][t][c] : Vec<T>::load(y) + sum[m][t][c]).store(y);
      }
}

template <class T>
using Tile = void (*)(const ImagesWeight&, const int64_t*, const int64_t*, int64_t, const T*,
                      const T*, bool, T*, int64_t);

template <class T, bool PAIRS, int TAPS, int COLS, int OFFSETS = most_offsets(TAPS, COLS)>
Tile<T> tile_of(int64_t offsets) {
  if constexpr (OFFSETS > 1)
    if (offsets < OFFSETS) return tile_of<T, PAIRS, TAPS, COLS, OFFSETS - 1>(offsets);
  return tile<T, PAIRS, TAPS, COLS, OFFSETS>;
}
// Pairs are of few channels: one vector.
constexpr int most_cols(bool pairs, int taps) {
  int cols = pairs ? 1 : 3;
  while (most_offsets(taps, cols) == 0) --cols;
  return cols;
}
template <class T, bool PAIRS, int TAPS>
Tile<T> tile_of(int64_t cols, int64_t offsets) {
  constexpr int kMost = most_cols(PAIRS, TAPS);
  if constexpr (kMost >= 3)
    if (cols == 3) return tile_of<T, PAIRS, TAPS, 3>(offsets);
  if constexpr (kMost >= 2)
    if (cols == 2) return tile_of<T, PAIRS, TAPS, 2>(offsets);
  return tile_of<T, PAIRS, TAPS, 1>(offsets);
}

template <class T, bool PAIRS, int TAPS>
void tiles(const ImagesWeight& s, int64_t count, const T* elements, const T* lanes, bool first,
           T* sums) {
  constexpr int64_t W = Vec<T>::kWidth;
  constexpr int64_t kMost = most_cols(PAIRS, TAPS);
  const int64_t most_together = s.vectors % 3 == 0 ? kMost : min(kMost, 2);
  const int64_t row = s.vectors * W;
  for (int64_t c = 0, cols; c < s.vectors; c += cols) {
    cols = min(most_together, s.vectors - c);
    const int64_t most = most_offsets(TAPS, static_cast<int>(cols));
    const int64_t height = ceil_div(s.offsets, ceil_div(s.offsets, most));
    const int64_t together = ceil_div(count, ceil_div(count * cols, kVectors));
    for (int64_t p = 0; p < count; p += together)
      for (int64_t m = 0, offsets; m < s.offsets; m += offsets) {
        offsets = min(height, s.offsets - m);
        tile_of<T, PAIRS, TAPS>(cols, offsets)(
            s, s.offset + m, s.pixel + p, min(together, count - p), elements,
            lanes + (c * s.pitch + p) * W, first && p == 0, sums + m * TAPS * row + c * W, row);
      }
  }
}

template <class T, bool PAIRS>
void multiply(const ImagesWeight& s, int64_t count, const void* elements, const void* lanes,
              bool first, void* sums) {
  const auto run = s.taps == 3   ? tiles<T, PAIRS, 3>
                   : s.taps == 4 ? tiles<T, PAIRS, 4>
                   : s.taps == 5 ? tiles<T, PAIRS, 5>
                   : s.taps == 7 ? tiles<T, PAIRS, 7>
                                 : tiles<T, PAIRS, 1>;
  run(s, count, static_cast<const T*>(elements), static_cast<const T*>(lanes), first,
      static_cast<T*>(sums));
}

void add_pairs(int64_t rows, int64_t K, void* sums) {
  float* y = static_cast<float*>(sums);
  for (int64_t i = 0; i < rows; ++i, y += Vec<float>::kWidth)
    for (int64_t k = 0; k < K; ++k) y[k] = y[2 * k] + y[2 * k + 1];
}

}  // namespace

extern const ImagesWeightTable images_weight_table;
const ImagesWeightTable images_weight_table = {
    {lanes<float>, lanes<double>},
    {multiply<float, false>, multiply<double, false>},
    multiply<float, true>,
    add_pairs,
};

}  // namespace dlx::DLX_ISA
