// Convolution whose lanes are output channels: an image element, read where it lies, times a vector
// of weights. A tile of neighbouring pixels is turned once its sums are complete, so that nothing
// is gathered, and no lane is lost where an image's rows end.
#include "gemm/epilogue.h"
#include "ops/conv_kernels.h"
#include "ops/conv_quads.h"

namespace dlx::DLX_ISA {

namespace {

// Pixels of a tile of two vectors of channels: two sums each, two vectors of weights, an element.
// They are columns of one row, or of two where both fit: a load of weights then serves more.
#if defined(__AVX512F__)
constexpr int kMostPixels = 14;
#elif defined(__AVX2__)
constexpr int kMostPixels = 6;
#else
constexpr int kMostPixels = 5;
#endif
constexpr int most_cols(int vectors, int rows) { return kMostPixels * (3 - vectors) / rows; }

int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Rows of the result, which a tile asks for while it computes: `count` of them, each `length`.
template <class T>
struct Wanted {
  T* first;
  int64_t count, row, length;
};

// y (ROWS, COLS, VECTORS), pixels y_pixel apart, rows y_row: a pixel's elements x + offset[d] times
// weights (D, height). STEP: s.source.step if it is known, else 0; sums of addresses would take the
// ports of products.
template <class T, int STEP, int ROWS, int COLS, int VECTORS>
void tile(const ConvProduct& s, const T* x, const T* weights, T* y, int64_t y_pixel, int64_t y_row,
          const Wanted<T>& wanted) {
  constexpr int W = Vec<T>::kWidth;
  constexpr int64_t kSteps = 8;  // between requests
  Vec<T> sum[ROWS][COLS][VECTORS];
#pragma GCC unroll 2
  for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 14
    for (int i = 0; i < COLS; ++i)
      for (int v = 0; v < VECTORS; ++v) sum[r][i][v] = Vec<T>::zero();
  const int64_t step = STEP ? STEP : s.source.step, row = s.source.row, height = s.height;
  const int64_t share = wanted.count / (s.D / kSteps + 1) + 1;
  const T* ask = wanted.first;
  int64_t left = wanted.count;
  for (int64_t piece = 0; piece < s.D; piece += kSteps) {
    for (int64_t i = min(share, left); i > 0; --i, --left, ask += wanted.row) {
      constexpr int64_t kLine = 64 / sizeof(T);
      for (int64_t j = 0; j < wanted.length; j += kLine) __builtin_prefetch(ask + j, 1);
      __builtin_prefetch(ask + wanted.length - 1, 1);
    }
    const int64_t end = min(piece + kSteps, s.D);
    for (int64_t d = piece; d < end; ++d, weights += height) {
      Vec<T> w[VECTORS];
#pragma GCC unroll 2
      for (int v = 0; v < VECTORS; ++v) w[v] = Vec<T>::load(weights + v * W);
#pragma GCC unroll 2
      for (int r = 0; r < ROWS; ++r) {
        const T* element = x + s.source.offset[d] + r * row;
#pragma GCC unroll 14
        for (int i = 0; i < COLS; ++i) {
          const Vec<T> factor = Vec<T>::broadcast(*element);
          element += step;
#pragma GCC unroll 2
          for (int v = 0; v < VECTORS; ++v) sum[r][i][v] = fma(factor, w[v], sum[r][i][v]);
        }
      }
    }
  }
#pragma GCC unroll 2
  for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 14
    for (int i = 0; i < COLS; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < VECTORS; ++v) sum[r][i][v].store(y + r * y_row + i * y_pixel + v * W);
}

template <class T>
using Tile = void (*)(const ConvProduct&, const T* x, const T* weights, T* y, int64_t y_pixel,
                      int64_t y_row, const Wanted<T>&);

template <class T, int STEP, int ROWS, int VECTORS, int COLS = most_cols(VECTORS, ROWS)>
Tile<T> tile_of(int64_t cols) {
  if constexpr (COLS > 1)
    if (cols < COLS) return tile_of<T, STEP, ROWS, VECTORS, COLS - 1>(cols);
  return tile<T, STEP, ROWS, COLS, VECTORS>;
}

template <class T, int STEP>
Tile<T> tile_of(int vectors, int64_t rows, int64_t cols) {
  if (vectors == 1)
    return rows == 1 ? tile_of<T, STEP, 1, 1, kMostPixels>(cols) : tile_of<T, STEP, 2, 1>(cols);
  return rows == 1 ? tile_of<T, STEP, 1, 2>(cols) : tile_of<T, STEP, 2, 2>(cols);
}

template <class T>
Tile<T> tile_of(int64_t step, int vectors, int64_t rows, int64_t cols) {
  if (step == 1) return tile_of<T, 1>(vectors, rows, cols);
  if (step == Vec<T>::kWidth) return tile_of<T, Vec<T>::kWidth>(vectors, rows, cols);
  return tile_of<T, 0>(vectors, rows, cols);
}

// out[c][j] = bias[c] + sums[j][c], and relu where it is wanted, j < count: four channels c of at
// most a vector of pixels. HEIGHT: between pixels of sums; FINISHES: whether there is bias or relu.
template <class T, int HEIGHT, bool FINISHES>
[[gnu::always_inline]] inline void turn_quad(const T* sums, int count, const T* bias, bool relu,
                                             T* out, int64_t channel) {
  typename Vec<T>::Raw r[4];
  Vec<T> rows[4];
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) r[k] = load_quads<T>(sums + k * HEIGHT, 4 * HEIGHT);
  transpose_quads<T>(r, rows);
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k, out += channel) {
    if (FINISHES) rows[k] = relu_if(relu, Vec<T>::broadcast(bias ? bias[k] : T(0)) + rows[k]);
    if (count == Vec<T>::kWidth)
      rows[k].store(out);
    else
      store_first(out, rows[k].raw, count);
  }
}

// The same of all channels and pixels; reads sums up to a multiple of W pixels.
template <class T, int HEIGHT, bool FINISHES>
void turn(const T* sums, int64_t count, int64_t channels, const T* bias, bool relu, T* out,
          int64_t channel) {
  constexpr int W = Vec<T>::kWidth;
  if constexpr (W >= 4)
    if (channels >= 4) {
      for (; count > 0; count -= W, sums += W * HEIGHT, out += W) {
        const auto all = [&](int pixels) __attribute__((always_inline)) {
          for (int64_t i = 0; i < channels; i += 4) {  // the last four once more, whole
            const int64_t c = min(i, channels - 4);
            turn_quad<T, HEIGHT, FINISHES>(sums + c, pixels, bias ? bias + c : nullptr, relu,
                                           out + c * channel, channel);
          }
        };
        count >= W ? all(W) : all(static_cast<int>(count));
      }
      return;
    }
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t j = 0; j < count; ++j) {
      const T total = (bias ? bias[c] : T(0)) + sums[j * HEIGHT + c];
      out[c * channel + j] = relu && total < 0 ? T(0) : total;
    }
}

template <class T>
auto turn_of(int vectors, bool finishes) {
  constexpr int W = Vec<T>::kWidth;
  return vectors == 1 ? finishes ? turn<T, W, true> : turn<T, W, false>
         : finishes   ? turn<T, 2 * W, true>
                      : turn<T, 2 * W, false>;
}

}  // namespace

// The columns' phases, which lie side by side in the result, one after the other.
template <class T>
void conv_channels(const ConvProduct* const* phases, const void* const* packed, int count,
                   const ConvBlock& block, const void* rows, const void* bias, void* result) {
  constexpr int W = Vec<T>::kWidth;
  const ConvProduct& s = *phases[0];
  const T* x = static_cast<const T*>(rows);
  const T* start = bias ? static_cast<const T*>(bias) + block.group * s.M : nullptr;
  T* out = static_cast<T*>(result) + block.group * s.out_group;
  alignas(64) T sums[(kConvPhases * 2 * kMostPixels + W) * 2 * W];
  int64_t all = 0;  // pixels of a row of the result
  for (int f = 0; f < count; ++f) all += phases[f]->source.V;
  const int64_t tiles = ceil_div(s.source.V, kMostPixels), width = ceil_div(s.source.V, tiles);
  const int64_t height = s.height;
  for (int64_t m = block.m0; m < block.m1; m += height) {
    const int64_t channels = min(height, s.M - m);
    const int vectors = channels > W ? 2 : 1;
    const auto finish = turn_of<T>(static_cast<int>(height / W), start || s.relu);
    const int64_t most_rows = width <= most_cols(vectors, 2) ? 2 : 1;
    for (int64_t row = block.j0, together; row < block.j1; row += together) {
      together = min(most_rows, block.j1 - row);
      T* y = out + m * s.out_channel + row * s.out_row;
      for (int64_t v = 0; v < s.source.V; v += width) {
        const int64_t pixels = min(count * width, all - count * v);  // of a row
        const int64_t share = ceil_div(channels, count);
        for (int f = 0; f < count; ++f) {
          const ConvProduct& p = *phases[f];
          const T* weights =
              static_cast<const T*>(packed[f]) + block.group * p.packed_group + m * p.D;
          const T* from = x + row * p.source.row + v * p.source.step;
          const int64_t cols = min(width, p.source.V - v);
          const Wanted<T> wanted = {y + count * v + f * share * s.out_channel,
                                    min(share, channels - f * share), s.out_channel,
                                    (together - 1) * s.out_row + pixels};
          if (cols > 0)
            tile_of<T>(p.source.step, vectors, together, cols)(
                p, from, weights, sums + f * height, count * height, pixels * height, wanted);
        }
        const bool joined = pixels == s.out_row;  // rows are neighbours in the result
        for (int64_t r = 0; r < (joined ? 1 : together); ++r)
          finish(sums + r * pixels * height, joined ? together * pixels : pixels, channels,
                 start ? start + m : nullptr, s.relu, y + r * s.out_row + count * v, s.out_channel);
      }
    }
  }
}

template void conv_channels<float>(const ConvProduct* const*, const void* const*, int,
                                   const ConvBlock&, const void*, const void*, void*);
template void conv_channels<double>(const ConvProduct* const*, const void* const*, int,
                                    const ConvBlock&, const void*, const void*, void*);

}  // namespace dlx::DLX_ISA
