// Transposes of blocks that fit L1: what a copy does that permutes axes.
#include "core/simd.h"
#include "gemm/pack.h"
#include "ops/transpose_table.h"

namespace dlx::DLX_ISA {
namespace {

using Way = TransposeWay;

#if defined(__AVX512F__)
// transpose_8x4 of sixteen rows, in four lanes. kStreams: past the caches, whole lines of y.
template <bool kStreams>
inline void transpose_16x4(const float* src, int64_t src_row, float* dst, int64_t ld) {
  typedef float Quad __attribute__((vector_size(16)));
  typedef float Eight __attribute__((vector_size(32)));
  typedef float Sixteen __attribute__((vector_size(64)));
  Sixteen r[4];
  for (int i = 0; i < 4; ++i) {
    Quad q[4];
    for (int k = 0; k < 4; ++k) memcpy(&q[k], src + (i + 4 * k) * src_row, sizeof(Quad));
    const Eight above = __builtin_shufflevector(q[0], q[1], 0, 1, 2, 3, 4, 5, 6, 7);
    const Eight below = __builtin_shufflevector(q[2], q[3], 0, 1, 2, 3, 4, 5, 6, 7);
    r[i] =
        __builtin_shufflevector(above, below, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  }
  const auto low = [](Sixteen a, Sixteen b) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
  };
  const auto high = [](Sixteen a, Sixteen b) {
    return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15,
                                   31);
  };
  const Sixteen lo02 = low(r[0], r[2]), lo13 = low(r[1], r[3]);
  const Sixteen hi02 = high(r[0], r[2]), hi13 = high(r[1], r[3]);
  r[0] = low(lo02, lo13);
  r[1] = high(lo02, lo13);
  r[2] = low(hi02, hi13);
  r[3] = high(hi02, hi13);
  for (int p = 0; p < 4; ++p) {
    if constexpr (kStreams) {
      _mm512_stream_ps(dst + p * ld, r[p]);
    } else {
      memcpy(dst + p * ld, &r[p], sizeof(Sixteen));
    }
  }
}
#endif

// kRows rows of x by 4 columns. Elements of 4 and 8 bytes pass as floating numbers: no shuffle
// reads them.
template <int kRows, Way kWay, class T>
inline void transpose_tile(const T* x, int64_t x_row, T* y, int64_t y_row) {
  if constexpr (kRows == 4) {
    transpose_4x4(x, x_row, y, y_row);
#if defined(__AVX512F__)
  } else if constexpr (kRows == 16 && sizeof(T) == 4) {
    transpose_16x4<kWay == Way::streamed>(x, x_row, y, y_row);
#endif
  } else if constexpr (kRows == 8 && sizeof(T) == 4 && kVecBytes >= 32) {
    transpose_8x4(x, x_row, y, y_row);
  } else {
    transpose_tile<kRows / 2, kWay>(x, x_row, y, y_row);
    transpose_tile<kRows / 2, kWay>(x + kRows / 2 * x_row, x_row, y + kRows / 2, y_row);
  }
}

// Tiles of kRows rows by a line of each: a line of x is read whole, and with 64 bytes of rows one
// of y written whole; side by side along y, whose rows fill up one after the other. Rows of x are
// too many for the hardware to fetch ahead. width >= kRows, depth >= 4; the last tiles reach back
// over those before.
template <int kRows, Way kWay, class T>
void transpose_tiles(const T* x, int64_t x_row, T* y, int64_t y_row, int64_t width, int64_t depth) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t p = 0; p < depth; p += kLine) {
    const int64_t end = p + kLine < depth ? p + kLine : depth;
    for (int64_t i = 0; i < width; i += kRows) {
      const int64_t row = i + kRows <= width ? i : width - kRows;
      if constexpr (kWay != Way::near) {
        for (int64_t r = row; r < row + kRows; ++r) __builtin_prefetch(x + r * x_row + p + kLine);
      }
      if constexpr (kWay == Way::far) {
        for (int64_t q = p; q < end; ++q) __builtin_prefetch(y + (q + kLine) * y_row + row, 1);
      }
      for (int64_t q = p; q < end; q += 4) {
        const int64_t column = q + 4 <= depth ? q : depth - 4;
        transpose_tile<kRows, kWay>(x + row * x_row + column, x_row, y + column * y_row + row,
                                    y_row);
      }
    }
  }
}

template <int kWidth, class T>
void transpose_narrow(const T* x, int64_t x_row, T* y, int64_t y_row, int64_t depth) {
  for (int64_t p = 0; p < depth; ++p) {
    for (int64_t i = 0; i < kWidth; ++i) y[p * y_row + i] = x[i * x_row + p];
  }
}

template <int kDepth, class T>
void transpose_shallow(const T* x, int64_t x_row, T* y, int64_t y_row, int64_t width) {
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t p = 0; p < kDepth; ++p) y[p * y_row + i] = x[i * x_row + p];
  }
}

template <Way kWay, class T>
void transpose_elements(const T* x, int64_t x_row, T* y, int64_t y_row, int64_t width,
                        int64_t depth) {
  if (width == 1) return transpose_narrow<1>(x, x_row, y, y_row, depth);
  if (width == 2) return transpose_narrow<2>(x, x_row, y, y_row, depth);
  if (width == 3) return transpose_narrow<3>(x, x_row, y, y_row, depth);
  if (depth == 1) return transpose_shallow<1>(x, x_row, y, y_row, width);
  if (depth == 2) return transpose_shallow<2>(x, x_row, y, y_row, width);
  if (depth == 3) return transpose_shallow<3>(x, x_row, y, y_row, width);
  if constexpr (sizeof(T) >= 4) {
    constexpr int kLine = 64 / sizeof(T);
    if (width >= kLine) return transpose_tiles<kLine, kWay>(x, x_row, y, y_row, width, depth);
    if (kLine > 8 && width >= 8) return transpose_tiles<8, kWay>(x, x_row, y, y_row, width, depth);
    return transpose_tiles<4, kWay>(x, x_row, y, y_row, width, depth);
  }
  constexpr int64_t kColumns = 16;
  for (int64_t p = 0; p < depth; p += kColumns) {
    const int64_t end = p + kColumns < depth ? p + kColumns : depth;
    for (int64_t i = 0; i < width; ++i) {
      for (int64_t q = p; q < end; ++q) y[q * y_row + i] = x[i * x_row + q];
    }
  }
}

template <Way kWay, class T>
void transpose(const void* x0, int64_t x_row, void* y0, int64_t y_row, int64_t width,
               int64_t depth) {
  const T* x = static_cast<const T*>(x0);
  T* y = static_cast<T*>(y0);
  if constexpr (kWay != Way::streamed)
    return transpose_elements<kWay>(x, x_row, y, y_row, width, depth);
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const bool lines = (reinterpret_cast<uintptr_t>(y) | sizeof(T) * y_row) % 64 == 0;
    if (lines && width % 16 == 0 && depth >= 4)
      return transpose_tiles<16, Way::streamed>(x, x_row, y, y_row, width, depth);
  }
#endif
  alignas(64) T block[kTransposeBlock];
  transpose_elements<Way::ahead>(x, x_row, block, width, width, depth);
  const int64_t row_bytes = width * static_cast<int64_t>(sizeof(T));
  if (y_row == width) return stream_bytes(block, y, depth * row_bytes);
  for (int64_t p = 0; p < depth; ++p) stream_bytes(block + p * width, y + p * y_row, row_bytes);
}

template <Way kWay>
constexpr TransposeFunctions functions{transpose<kWay, uint8_t>, transpose<kWay, uint16_t>,
                                       transpose<kWay, float>, transpose<kWay, double>};

}  // namespace

const TransposeTable transpose_table = {
    {functions<Way::near>, functions<Way::ahead>, functions<Way::far>, functions<Way::streamed>},
    end_stream};

}  // namespace dlx::DLX_ISA
