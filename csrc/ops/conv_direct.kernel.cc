// Convolution straight from the images: vectors of neighbouring pixels, as they lie there. Where
// output channels are few, packing would cost more than it saves.
#include "gemm/epilogue.h"
#include "ops/conv_kernels.h"

namespace dlx::DLX_ISA {

namespace {

// A vector of pixels: where its image elements are, where its results go, how many they are.
struct Pixels {
  int64_t source, out;
  int count;
};

// Sums of a tile of `rows` output channels: enough to hide the latency of an fma.
constexpr int vectors_for(int rows) {
#if defined(__AVX512F__)
  return rows <= 2 ? 8 : rows <= 4 ? 6 : rows <= 6 ? 4 : 3;
#else
  return rows == 1 ? 8 : rows == 2 ? 4 : rows == 3 ? 3 : 2;
#endif
}

// ROWS output channels (`rows` of them wanted) of VECTORS vectors of pixels (`count` wanted).
template <class T, int ROWS, int VECTORS>
void tile(const ConvProduct& s, const Pixels* pixels, int count, const T* x, const T* a,
          const T* bias, int64_t rows, T* out) {
  constexpr int W = Vec<T>::kWidth;
  Vec<T> sum[ROWS][VECTORS];
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) sum[i][v] = Vec<T>::zero();
  const T* from[VECTORS];
  for (int v = 0; v < VECTORS; ++v) from[v] = x + pixels[v < count ? v : count - 1].source;
  for (int64_t d = 0; d < s.D; ++d, a += ROWS) {
    const int64_t offset = s.source.offset[d];
    Vec<T> b[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) b[v] = Vec<T>::load(from[v] + offset);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) {
      const Vec<T> w = Vec<T>::broadcast(a[i]);
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; ++v) sum[i][v] = fma(w, b[v], sum[i][v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; ++i, out += s.out_channel) {
    if (i >= rows) continue;
    const Vec<T> start = Vec<T>::broadcast(bias ? bias[i] : T(0));
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) {
      if (v >= count) continue;
      const Vec<T> total = relu_if(s.relu, start + sum[i][v]);
      T* y = out + pixels[v].out;
      if (s.out_col == 1) {
        total.store(y, pixels[v].count);
        continue;
      }
      T lanes[W];
      total.store(lanes);
      for (int j = 0; j < pixels[v].count; ++j) y[j * s.out_col] = lanes[j];
    }
  }
}

template <class T, int ROWS>
void rows_of(const ConvProduct& s, const ConvBlock& block, const T* x, const T* a, const T* bias,
             T* out) {
  constexpr int W = Vec<T>::kWidth, VECTORS = vectors_for(ROWS);
  const ConvSource& from = s.source;
  Pixels pixels[VECTORS];
  int count = 0;
  const auto multiply = [&] {
    for (int64_t m = 0; m < s.M; m += ROWS)
      tile<T, ROWS, VECTORS>(s, pixels, count, x, a + m * s.D, bias ? bias + m : nullptr,
                             s.M - m < ROWS ? s.M - m : ROWS, out + m * s.out_channel);
    count = 0;
  };
  for (int64_t row = block.j0; row < block.j1; ++row) {
    const int64_t n = row / from.U, u = row % from.U;
    for (int64_t v = 0; v < from.V; v += W) {
      pixels[count++] = {n * from.image + u * from.row + v,
                         n * s.out_image + u * s.out_row + v * s.out_col,
                         static_cast<int>(from.V - v < W ? from.V - v : W)};
      if (count == VECTORS) multiply();
    }
  }
  if (count) multiply();
}

template <class T, int ROWS = kConvDirectRows>
void by_rows(const ConvProduct& s, const ConvBlock& block, const T* x, const T* a, const T* bias,
             T* out) {
  if (s.mr == ROWS) return rows_of<T, ROWS>(s, block, x, a, bias, out);
  if constexpr (ROWS > 1) by_rows<T, ROWS - 1>(s, block, x, a, bias, out);
}

}  // namespace

template <class T>
void conv_direct(const ConvProduct& s, const ConvBlock& block, const void* images,
                 const void* packed, const void* bias, void* result) {
  by_rows(s, block, static_cast<const T*>(images) + block.group * s.source.group,
          static_cast<const T*>(packed) + block.group * s.packed_group,
          bias ? static_cast<const T*>(bias) + block.group * s.M : nullptr,
          static_cast<T*>(result) + block.group * s.out_group);
}

template void conv_direct<float>(const ConvProduct&, const ConvBlock&, const void*, const void*,
                                 const void*, void*);
template void conv_direct<double>(const ConvProduct&, const ConvBlock&, const void*, const void*,
                                  const void*, void*);

}  // namespace dlx::DLX_ISA
