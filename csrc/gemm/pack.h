// Packing: a strip of a matrix with any strides becomes dense panels, in the order in which the
// micro-kernel reads them.
#pragma once
#include <stdint.h>
#include <string.h>

#include "core/simd.h"
#if defined(__AVX512F__)
#include "gemm/words.h"
#endif

namespace dlx::DLX_ISA {

// dst[p * ld + i] = src[i * src_row + p], i < 4, p < 4.
template <class T>
inline void transpose_4x4(const T* src, int64_t src_row, T* dst, int64_t ld) {
  typedef T Quad __attribute__((vector_size(4 * sizeof(T))));
  Quad r[4];
  for (int i = 0; i < 4; ++i) memcpy(&r[i], src + i * src_row, sizeof(Quad));
  const Quad lo02 = __builtin_shufflevector(r[0], r[2], 0, 4, 1, 5);
  const Quad lo13 = __builtin_shufflevector(r[1], r[3], 0, 4, 1, 5);
  const Quad hi02 = __builtin_shufflevector(r[0], r[2], 2, 6, 3, 7);
  const Quad hi13 = __builtin_shufflevector(r[1], r[3], 2, 6, 3, 7);
  r[0] = __builtin_shufflevector(lo02, lo13, 0, 4, 1, 5);
  r[1] = __builtin_shufflevector(lo02, lo13, 2, 6, 3, 7);
  r[2] = __builtin_shufflevector(hi02, hi13, 0, 4, 1, 5);
  r[3] = __builtin_shufflevector(hi02, hi13, 2, 6, 3, 7);
  for (int p = 0; p < 4; ++p) memcpy(dst + p * ld, &r[p], sizeof(Quad));
}

// The same of eight rows: two transposes side by side in the halves of a vector, which are put
// together as they are loaded.
template <class T>
inline void transpose_8x4(const T* src, int64_t src_row, T* dst, int64_t ld) {
  typedef T Quad __attribute__((vector_size(4 * sizeof(T))));
  typedef T Eight __attribute__((vector_size(8 * sizeof(T))));
  Eight r[4];
  for (int i = 0; i < 4; ++i) {
    Quad above, below;
    memcpy(&above, src + i * src_row, sizeof(Quad));
    memcpy(&below, src + (i + 4) * src_row, sizeof(Quad));
    r[i] = __builtin_shufflevector(above, below, 0, 1, 2, 3, 4, 5, 6, 7);
  }
  const Eight lo02 = __builtin_shufflevector(r[0], r[2], 0, 8, 1, 9, 4, 12, 5, 13);
  const Eight lo13 = __builtin_shufflevector(r[1], r[3], 0, 8, 1, 9, 4, 12, 5, 13);
  const Eight hi02 = __builtin_shufflevector(r[0], r[2], 2, 10, 3, 11, 6, 14, 7, 15);
  const Eight hi13 = __builtin_shufflevector(r[1], r[3], 2, 10, 3, 11, 6, 14, 7, 15);
  r[0] = __builtin_shufflevector(lo02, lo13, 0, 8, 1, 9, 4, 12, 5, 13);
  r[1] = __builtin_shufflevector(lo02, lo13, 2, 10, 3, 11, 6, 14, 7, 15);
  r[2] = __builtin_shufflevector(hi02, hi13, 0, 8, 1, 9, 4, 12, 5, 13);
  r[3] = __builtin_shufflevector(hi02, hi13, 2, 10, 3, 11, 6, 14, 7, 15);
  for (int p = 0; p < 4; ++p) memcpy(dst + p * ld, &r[p], sizeof(Eight));
}

#if defined(__AVX512F__)
// The same of a line of each of ROWS <= 16 rows: 16 p.
template <int ROWS>
inline void transpose_lines(const float* src, int64_t src_row, float* dst, int64_t ld) {
  __m512i line[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    line[i] = i < ROWS ? _mm512_loadu_si512(src + i * src_row) : __m512i{};
  transpose_words(line);
#pragma GCC unroll 16
  for (int p = 0; p < 16; ++p)
    _mm512_mask_storeu_epi32(dst + p * ld, static_cast<__mmask16>((1 << ROWS) - 1), line[p]);
}

// All rows of a whole panel, as long as whole lines are left; returns how many p are done.
template <int W>
int64_t transpose_panel(const float* src, int64_t src_row, int64_t depth, float* dst) {
  int64_t p = 0;
  for (; p + 16 <= depth; p += 16) {
    for (int i = 0; i + 16 <= W; i += 16)
      transpose_lines<16>(src + i * src_row + p, src_row, dst + p * W + i, W);
    if constexpr (W % 16 > 0)
      transpose_lines<W % 16>(src + W / 16 * 16 * src_row + p, src_row, dst + p * W + W / 16 * 16,
                              W);
  }
  return p;
}
#endif

// dst[p * W + i] = src[i * src_row + p], i < width, p < depth; returns how many p are done.
template <class T, int W>
int64_t transpose_rows(const T* src, int64_t src_row, int64_t width, int64_t depth, T* dst) {
  constexpr bool kTwoLanes = kVecBytes >= 8 * static_cast<int>(sizeof(T)) && W >= 8;
  constexpr int kRows = kTwoLanes ? 8 : 4;
  constexpr int kLine = 64 / sizeof(T);  // a whole line of each row at once: rows 4 KB apart share
                                         // a cache set, and would not stay for a second visit
  if (width < kRows) return 0;
  int64_t p = 0;
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    if (width == W) p = transpose_panel<W>(src, src_row, depth, dst);
  }
#endif
  for (int64_t step; p + 4 <= depth; p += step) {
    step = p + kLine <= depth ? kLine : 4;
    for (int64_t i = 0; i < width; i += kRows) {
      // The last rows once more, whole: cheaper than single elements.
      const int64_t first = i + kRows <= width ? i : width - kRows;
      for (int64_t q = p; q < p + step; q += 4) {
        const T* from = src + first * src_row + q;
        if constexpr (kTwoLanes) {
          transpose_8x4(from, src_row, dst + q * W + first, W);
        } else {
          transpose_4x4(from, src_row, dst + q * W + first, W);
        }
      }
    }
  }
  return p;
}

// src: element (i, p) at src[i * across + p * along], i < width <= W, p < depth
// dst: (depth, W), zero for i >= width: those lanes of the micro-tile are computed and never stored
template <class T, int W>
void pack_panel(const T* src, int64_t across, int64_t along, int64_t width, int64_t depth, T* dst) {
  if (width == W && across == 1) {
    for (int64_t p = 0; p < depth; ++p) memcpy(dst + p * W, src + p * along, W * sizeof(T));
    return;
  }
  if (width < W) memset(dst, 0, depth * W * sizeof(T));
  const int64_t done = along == 1 ? transpose_rows<T, W>(src, across, width, depth, dst) : 0;
  for (int64_t p = done; p < depth; ++p) {
    for (int64_t i = 0; i < width; ++i) dst[p * W + i] = src[i * across + p * along];
  }
}

}  // namespace dlx::DLX_ISA
