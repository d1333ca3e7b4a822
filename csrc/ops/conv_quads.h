// Transposes of planes into vectors of channels and back: four by four elements, as many such
// blocks side by side as a vector holds. For kernel files only.
#pragma once
#include "gemm/pack.h"

namespace dlx::DLX_ISA {

template <class T>
using Quad __attribute__((vector_size(4 * sizeof(T)))) = T;

// Quads side by side: W / 4 of them, from rows `step` apart.
template <class T>
[[gnu::always_inline]] inline typename Vec<T>::Raw load_quads(const T* x, int64_t step) {
  constexpr int W = Vec<T>::kWidth;
#if defined(__AVX512F__)
  if constexpr (W == 16) {  // inserted as they are loaded: no shuffle but in the caller
    __m512 q = _mm512_castps128_ps512(_mm_loadu_ps(x));
    q = _mm512_insertf32x4(q, _mm_loadu_ps(x + step), 1);
    q = _mm512_insertf32x4(q, _mm_loadu_ps(x + 2 * step), 2);
    return _mm512_insertf32x4(q, _mm_loadu_ps(x + 3 * step), 3);
  }
#endif
  Quad<T> q[2];
  for (int i = 0; i < W / 4 && i < 2; ++i) memcpy(&q[i], x + i * step, sizeof(Quad<T>));
  if constexpr (W == 4)
    return q[0];
  else if constexpr (W == 8)
    return __builtin_shufflevector(q[0], q[1], 0, 1, 2, 3, 4, 5, 6, 7);
}

// Each quad's elements first, first + 1 of a and of b in turn.
template <class T>
[[gnu::always_inline]] inline typename Vec<T>::Raw interleave(typename Vec<T>::Raw a,
                                                              typename Vec<T>::Raw b, int first) {
  using Index = decltype(a == b);
  Index at;
  for (int i = 0; i < Vec<T>::kWidth; ++i)
    at[i] = i / 4 * 4 + first + i % 4 / 2 + i % 2 * Vec<T>::kWidth;
  return __builtin_shuffle(a, b, at);
}

// Quads of r[0], .. r[3] transposed: rows[k] has each quad's element k of all four in turn.
template <class T>
[[gnu::always_inline]] inline void transpose_quads(const typename Vec<T>::Raw* r, Vec<T>* rows) {
  const auto low02 = interleave<T>(r[0], r[2], 0), high02 = interleave<T>(r[0], r[2], 2);
  const auto low13 = interleave<T>(r[1], r[3], 0), high13 = interleave<T>(r[1], r[3], 2);
  rows[0] = {interleave<T>(low02, low13, 0)};
  rows[1] = {interleave<T>(low02, low13, 2)};
  rows[2] = {interleave<T>(high02, high13, 0)};
  rows[3] = {interleave<T>(high02, high13, 2)};
}

// y (count, W): planes x, `plane` elements apart, of which there are `channels`; zero beyond.
template <class T>
void planes_to_vectors(const T* x, int64_t plane, int64_t channels, int64_t count, T* y) {
  constexpr int64_t W = Vec<T>::kWidth;
  if constexpr (W >= 4)
    if (channels >= W && count >= 4) {
      for (int64_t i = 0; i < count; i += 4) {  // the last four once more, whole
        const int64_t j = i + 4 <= count ? i : count - 4;
        typename Vec<T>::Raw r[4];
        Vec<T> rows[4];
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) r[k] = load_quads<T>(x + k * plane + j, 4 * plane);
        transpose_quads<T>(r, rows);
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) rows[k].store(y + (j + k) * W);
      }
      return;
    }
  if (channels < W) memset(y, 0, static_cast<size_t>(count * W) * sizeof(T));
  if (channels < 4 || count < 4) {
    for (int64_t j = 0; j < count; ++j)
      for (int64_t c = 0; c < channels && c < W; ++c)
        memcpy(y + j * W + c, x + c * plane + j, sizeof(T));  // x may be pairs of a smaller type
    return;
  }
  for (int64_t i = 0; i < count; i += 4) {
    const int64_t j = i + 4 <= count ? i : count - 4;
    for (int64_t c = 0; c < channels && c < W; c += 4) {
      const int64_t from = c + 4 <= channels ? c : channels - 4;
      transpose_4x4(x + from * plane + j, plane, y + j * W + from, W);
    }
  }
}

}  // namespace dlx::DLX_ISA
