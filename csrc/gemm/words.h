// Sixteen vectors of sixteen 32-bit words, turned. For kernel files of AVX-512 only.
#pragma once
#include <immintrin.h>
#include <stdint.h>

namespace dlx::DLX_ISA {

// As shuffles of the compiler's: gcc 12 reports the intrinsics' own undefined operands (GCC bug
// 105593).
typedef int32_t Words __attribute__((vector_size(64)));
typedef int64_t WordPairs __attribute__((vector_size(64)));

inline WordPairs low_words(__m512i x, __m512i y) {  // in each 128-bit lane x0 y0 x1 y1
  return (WordPairs)__builtin_shufflevector((Words)x, (Words)y, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24,
                                            9, 25, 12, 28, 13, 29);
}
inline WordPairs high_words(__m512i x, __m512i y) {  // x2 y2 x3 y3
  return (WordPairs)__builtin_shufflevector((Words)x, (Words)y, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26,
                                            11, 27, 14, 30, 15, 31);
}
inline WordPairs low_pairs(WordPairs x, WordPairs y) {
  return __builtin_shufflevector(x, y, 0, 8, 2, 10, 4, 12, 6, 14);
}
inline WordPairs high_pairs(WordPairs x, WordPairs y) {
  return __builtin_shufflevector(x, y, 1, 9, 3, 11, 5, 13, 7, 15);
}
inline WordPairs even_lanes(WordPairs x, WordPairs y) {
  return __builtin_shufflevector(x, y, 0, 1, 4, 5, 8, 9, 12, 13);
}
inline WordPairs odd_lanes(WordPairs x, WordPairs y) {
  return __builtin_shufflevector(x, y, 2, 3, 6, 7, 10, 11, 14, 15);
}

// x[i] (16 words) becomes the words i of all sixteen.
inline void transpose_words(__m512i* x) {
  WordPairs y[16];
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    const WordPairs a = low_words(x[i], x[i + 1]), b = high_words(x[i], x[i + 1]);
    const WordPairs c = low_words(x[i + 2], x[i + 3]), d = high_words(x[i + 2], x[i + 3]);
    y[i] = low_pairs(a, c), y[i + 1] = high_pairs(a, c);
    y[i + 2] = low_pairs(b, d), y[i + 3] = high_pairs(b, d);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {  // word i of a 128-bit lane, four lanes of four groups of lines
    const WordPairs a = even_lanes(y[i], y[i + 4]), b = odd_lanes(y[i], y[i + 4]);
    const WordPairs c = even_lanes(y[i + 8], y[i + 12]), d = odd_lanes(y[i + 8], y[i + 12]);
    x[i] = (__m512i)even_lanes(a, c), x[i + 8] = (__m512i)odd_lanes(a, c);
    x[i + 4] = (__m512i)even_lanes(b, d), x[i + 12] = (__m512i)odd_lanes(b, d);
  }
}

}  // namespace dlx::DLX_ISA
