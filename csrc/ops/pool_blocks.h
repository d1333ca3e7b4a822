// Windows a vector at a time: the lanes of a block are neighbouring windows of one row of y, their
// elements come from two neighbouring vectors of a row of x by a shuffle for each tap. For kernel
// files only; windows without dilation.
#pragma once
#include "ops/pool_rows.h"

namespace dlx::DLX_ISA {

template <class T>
struct Lanes;
template <>
struct Lanes<float> {
  using Int = int32_t;
  typedef int32_t IntVec __attribute__((vector_size(kVecBytes)));
};
template <>
struct Lanes<double> {
  using Int = int64_t;
  typedef int64_t IntVec __attribute__((vector_size(kVecBytes)));
};

// first, first + step, ...
template <class T>
[[gnu::always_inline]] inline typename Lanes<T>::IntVec counting(int64_t first, int64_t step) {
  using Int = typename Lanes<T>::Int;
  typename Lanes<T>::IntVec lane;
#pragma GCC unroll 16
  for (int i = 0; i < Vec<T>::kWidth; ++i) lane[i] = static_cast<Int>(i);
  return lane * static_cast<Int>(step) + static_cast<Int>(first);
}

// A byte for each lane: gcc 12 takes the lanes apart in __builtin_convertvector,
// hence intrinsics; the masked ones because the others warn of an undefined value.
template <class T>
[[gnu::always_inline]] inline typename Lanes<T>::IntVec load_bytes(const uint8_t* p) {
  typename Lanes<T>::IntVec lanes{};
#if defined(__AVX512F__)
  __m128i bytes = {};
  memcpy(&bytes, p, Vec<T>::kWidth);
  const __m512i wide = sizeof(T) == 8 ? _mm512_maskz_cvtepu8_epi64(0xff, bytes)
                                      : _mm512_maskz_cvtepu8_epi32(0xffff, bytes);
  memcpy(&lanes, &wide, sizeof lanes);
#elif defined(__AVX2__)
  __m128i bytes = {};
  memcpy(&bytes, p, Vec<T>::kWidth);
  const __m256i wide = sizeof(T) == 8 ? _mm256_cvtepu8_epi64(bytes) : _mm256_cvtepu8_epi32(bytes);
  memcpy(&lanes, &wide, sizeof lanes);
#else
  for (int i = 0; i < Vec<T>::kWidth; ++i) lanes[i] = p[i];
#endif
  return lanes;
}
// The first n, 0 for the others.
template <class T>
[[gnu::always_inline]] inline typename Lanes<T>::IntVec load_bytes(const uint8_t* p, int n) {
  if (n == Vec<T>::kWidth) return load_bytes<T>(p);
  uint8_t bytes[16] = {};
#if defined(__AVX512F__)
  const __m128i some = _mm_maskz_loadu_epi8(first(n), p);
  memcpy(bytes, &some, sizeof bytes);
#else
  for (int i = 0; i < n; ++i) bytes[i] = p[i];
#endif
  return load_bytes<T>(bytes);
}

// The first n lanes.
template <class T>
[[gnu::always_inline]] inline void store_bytes(typename Lanes<T>::IntVec lanes, uint8_t* p, int n) {
#if defined(__AVX512F__)
  __m512i wide;
  memcpy(&wide, &lanes, sizeof wide);
  const __m128i bytes = sizeof(T) == 8 ? _mm512_maskz_cvtepi64_epi8(0xff, wide)
                                       : _mm512_maskz_cvtepi32_epi8(0xffff, wide);
  _mm_mask_storeu_epi8(p, first(n), bytes);
#else
  for (int i = 0; i < n; ++i) p[i] = static_cast<uint8_t>(lanes[i]);
#endif
}

// Windows that one block has at most; 0: it is no use.
template <class T>
int64_t windows_of_block(const PoolAxis& columns) {
  constexpr int64_t V = Vec<T>::kWidth;
  if (columns.stride == 0 || columns.dilation != 1 || columns.kernel > V) return 0;
  const int64_t most = (2 * V - columns.kernel) / columns.stride + 1;
  return most < V / 4 ? 0 : smaller(most, V);
}

constexpr int64_t kBlockRows = 8;  // of a window at most, as a power of two

// Windows [q, q + count) of a row of y.
template <class T>
struct PoolBlock {
  using Raw = typename Vec<T>::Raw;
  using IntVec = typename Lanes<T>::IntVec;
  using Int = typename Lanes<T>::Int;
  static constexpr int V = Vec<T>::kWidth;

  int64_t q, base;  // base: the first element that is loaded
  int count, low, high;
  bool edge;      // windows reach out of the row
  IntVec first;   // first element of the windows in the row
  Int columns_n;  // elements of the row

  PoolBlock(const PoolAxis& columns, int64_t q_, int64_t count_)
      : q(q_), count(static_cast<int>(count_)), columns_n(static_cast<Int>(columns.n)) {
    const int64_t begin = columns.start(q);
    const int64_t end = begin + (count - 1) * columns.stride + columns.kernel;
    base = smaller(begin > 0 ? begin : 0, larger(0, columns.n - 2 * V));
    low = static_cast<int>(smaller(V, columns.n - base));
    high = static_cast<int>(larger(0, smaller(V, columns.n - base - V)));
    edge = begin < 0 || end > columns.n;
    first = counting<T>(begin, columns.stride);
  }

  // Which lanes have a tap inside the row.
  [[gnu::always_inline]] IntVec inside(Int tap) const {
    const IntVec at = first + tap;
    return (at >= Int{0}) & (at < columns_n);
  }
  [[gnu::always_inline]] void load(const T* row, Raw& lower, Raw& upper) const {
    lower = Vec<T>::load(row + base, low).raw;
    upper = Vec<T>::load(row + base + V, high).raw;
  }
  [[gnu::always_inline]] Raw take(Raw lower, Raw upper, Int tap) const {
    return __builtin_shuffle(lower, upper, first + (tap - static_cast<Int>(base)));
  }
};

// body(block) for the blocks of a row of y; the last one overlaps where there are several.
template <class T, class Body>
[[gnu::always_inline]] inline void for_blocks(const PoolAxis& columns, const Body& body) {
  const int64_t most = windows_of_block<T>(columns), count = smaller(most, columns.m);
  for (int64_t q = 0;; q += count) {
    q = smaller(q, columns.m - count);
    body(PoolBlock<T>(columns, q, count));
    if (q + count >= columns.m) return;
  }
}

// ------------------------------------------------------------------- gradients: elements as lanes

// Lane i of phase f stands for element kStride (j + i) + f of a row of n: to their places.
template <class T, int kStride>
[[gnu::always_inline]] inline void store_phases(const typename Vec<T>::Raw* sum, T* row, int64_t j,
                                                int64_t n) {
  constexpr int V = Vec<T>::kWidth;
  if constexpr (kStride == 1) {
    Vec<T>{sum[0]}.store(row + j, static_cast<int>(smaller(V, n - j)));
  } else {
    typename Lanes<T>::IntVec lower, upper;
#pragma GCC unroll 16
    for (int i = 0; i < V; ++i) {
      lower[i] = i / 2 + i % 2 * V;
      upper[i] = V / 2 + i / 2 + i % 2 * V;
    }
    const int64_t rest = n - 2 * j;
    Vec<T>{__builtin_shuffle(sum[0], sum[1], lower)}.store(row + 2 * j,
                                                           static_cast<int>(smaller(V, rest)));
    if (rest > V)
      Vec<T>{__builtin_shuffle(sum[0], sum[1], upper)}.store(
          row + 2 * j + V, static_cast<int>(smaller(V, rest - V)));
  }
}

}  // namespace dlx::DLX_ISA
