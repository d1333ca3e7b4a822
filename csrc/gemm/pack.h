// Packing: a strip of a matrix with any strides becomes a dense panel, in the order in which the
// micro-kernel reads it.
#pragma once
#include <stdint.h>
#include <string.h>

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

// src: element (i, p) at src[i * across + p * along], i < width <= W, p < depth
// dst: (depth, W), zero for i >= width: those lanes of the micro-tile are computed and never stored
template <class T, int W>
void pack_panel(const T* src, int64_t across, int64_t along, int64_t width, int64_t depth, T* dst) {
  int64_t p = 0;
  if (width == W && across == 1) {
    for (; p < depth; ++p) memcpy(dst + p * W, src + p * along, W * sizeof(T));
  } else if (width == W && along == 1) {
    for (; p + 4 <= depth; p += 4) {
      for (int i = 0; i + 4 <= W; i += 4)
        transpose_4x4(src + i * across + p, across, dst + p * W + i, W);
      if constexpr (W % 4 != 0) {  // the last four once more, whole: cheaper than single elements
        transpose_4x4(src + (W - 4) * across + p, across, dst + p * W + W - 4, W);
      }
    }
  }
  for (; p < depth; ++p) {  // partial panels, other strides, the last rows of a transpose
    for (int64_t i = 0; i < W; ++i) dst[p * W + i] = i < width ? src[i * across + p * along] : T(0);
  }
}

}  // namespace dlx::DLX_ISA
