// GEMM of bfloat16 on VDPBF16PS, the loops of float32's with pairs along k in the place of floats.
#include "gemm/half.h"

#if defined(__AVX512F__)
// gcc 12 reports intrinsics' own undefined operands (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "core/simd.h"
#include "gemm/loops.h"
#include "gemm/words.h"

namespace dlx::DLX_ISA {
namespace {

__mmask16 first_16(int64_t n) { return static_cast<__mmask16>((uint32_t{1} << min(n, 16)) - 1); }
__mmask32 first_32(int64_t n) { return static_cast<__mmask32>((uint64_t{1} << min(n, 32)) - 1); }

// The pairs of two rows, 16 elements of each.
__m512i paired(__m256i low, __m256i high) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(low),
                         _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
}

// Element (i, p) of x at x[i + p * along], i < width <= W: rows of x two at a time.
template <int W>
void interleave(const uint16_t* x, int64_t along, int64_t width, int64_t depth, uint32_t* dst) {
  for (int64_t p = 0; p < depth; p += 2, x += 2 * along, dst += W) {
    const bool whole = p + 1 < depth;
    for (int64_t i = 0; i < W; i += 16) {
      const __mmask16 used = width < i ? 0 : first_16(width - i);
      const __m256i low = _mm256_maskz_loadu_epi16(used, x + i);
      const __m256i high = _mm256_maskz_loadu_epi16(whole ? used : 0, x + i + along);
      _mm512_mask_storeu_epi32(dst + i, first_16(W - i), paired(low, high));
    }
  }
}

// Element (i, p) of x at x[i * across + p], i < 16, p < 32: line p / 2 becomes the pairs of all i,
// 0 beyond width and depth.
void turn(const uint16_t* x, int64_t across, int64_t width, int64_t depth, __m512i* line) {
  const __mmask32 used = first_32(depth);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    line[i] = _mm512_maskz_loadu_epi16(i < width ? used : 0, x + i * across);
  transpose_words(line);
}

// src: element (i, p) at src[i * across + p * along], i < width <= W, p < depth
// dst: (pairs, W), 0 beyond width and depth
template <int W>
void pack_panel(const uint16_t* src, int64_t across, int64_t along, int64_t width, int64_t depth,
                uint32_t* dst) {
  alignas(64) uint16_t copy[16 * 32];
  for (int64_t p = 0; p < depth; p += 32, dst += 16 * W) {
    const int64_t deep = min(32, depth - p);
    for (int64_t i = 0; i < W; i += 16) {
      const int64_t wide = width < i ? 0 : min(16, width - i);
      __m512i line[16];
      if (along == 1) {
        turn(src + (wide ? i * across : 0) + p, across, wide, deep, line);
      } else {
        for (int64_t r = 0; r < wide; ++r) {
          for (int64_t q = 0; q < deep; ++q)
            copy[r * 32 + q] = src[(i + r) * across + (p + q) * along];
        }
        turn(copy, 32, wide, deep, line);
      }
      for (int64_t q = 0; q < ceil_div(deep, 2); ++q)
        _mm512_mask_storeu_epi32(dst + q * W + i, first_16(W - i), line[q]);
    }
  }
}

__m512 widened(__m256i x) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}

// 16 sums to C, with bias and relu.
[[gnu::target("avx512bf16"), gnu::always_inline]] inline void round_sums(__m512 y,
                                                                         const uint16_t* bias,
                                                                         bool relu, __mmask16 used,
                                                                         uint16_t* c) {
  if (bias) y = _mm512_add_ps(y, widened(_mm256_maskz_loadu_epi16(used, bias)));
  if (relu) y = y < 0 ? __m512{} : y;  // keeps NaN
  _mm256_mask_storeu_epi16(c, used, (__m256i)_mm512_cvtneps_pbh(y));
}

// The micro-kernel, as micro_tile of ukernel.h. b: (depth, nr) pairs or, to be packed, pairs of
// rows.
template <int ROWS, int NRV, class A, class B>
[[gnu::target("avx512bf16")]] void pair_tile(const Tile<uint16_t>& t, int64_t depth,
                                             const uint32_t* a, A& source_a,
                                             const typename B::Element* b, B source) {
  constexpr int MR = kPairTiles.mr, NR = kPairTiles.nr;
  __m512 sum[ROWS][NRV];
#pragma GCC unroll 14
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < NRV; ++v) sum[i][v] = _mm512_setzero_ps();
  }
  const int64_t piece = A::piece(depth, ROWS);
  const uint16_t* wanted = t.c;
  const bool reads_or_writes_sums = !(t.first && t.last);
  for (int64_t i = 0, left = depth; left > 0; ++i, a += piece * MR) {
    if (i < ROWS) {
      if (t.last) __builtin_prefetch(wanted, 1);
      if (reads_or_writes_sums) {
        for (int v = 0; v < NRV; ++v) __builtin_prefetch(t.sums + i * NR + v * 16, 1);
      }
      wanted += t.c_row;
    }
    source_a.begin_piece(i);
    const int64_t steps = piece < left ? piece : left;
    const int64_t b_ahead = source.ahead(left);
    left -= steps;
    const uint32_t* of_step = a;
    for (int64_t p = 0; p < steps; ++p, of_step += A::kStep, b += source.row, source.step()) {
      __m512bh row[NRV];
      for (int v = 0; v < NRV; ++v) {
        __m512i pairs;
        if constexpr (B::kPacks) {
          const uint16_t* const low = b + v * 16;
          const uint16_t* const high = low + source.row / 2;
          pairs = paired(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(low)),
                         _mm256_loadu_si256(reinterpret_cast<const __m256i*>(high)));
          _mm512_storeu_si512(source.panel + v * 16, pairs);
          if (v % 2 == 0) {
            __builtin_prefetch(low + b_ahead);
            __builtin_prefetch(high + b_ahead);
          }
        } else {
          pairs = _mm512_loadu_si512(b + v * 16);
          __builtin_prefetch(b + b_ahead + v * 16);
        }
        row[v] = (__m512bh)pairs;
      }
#pragma GCC unroll 14
      for (int r = 0; r < ROWS; ++r) {
        const __m512bh x = (__m512bh)_mm512_set1_epi32(static_cast<int>(of_step[r * A::kRow]));
        for (int v = 0; v < NRV; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], x, row[v]);
      }
    }
  }
#pragma GCC unroll 14
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < NRV; ++v) {
      float* const so_far = t.sums + i * NR + v * 16;
      __m512 y = sum[i][v];
      if (!t.first) y = _mm512_add_ps(_mm512_load_ps(so_far), y);
      if (!t.last) {
        _mm512_store_ps(so_far, y);
      } else {
        round_sums(y, t.bias ? t.bias + v * 16 : nullptr, t.relu, first_16(t.cols - v * 16),
                   t.c + i * t.c_row + v * 16);
      }
    }
  }
}

template <int ROWS = kPairTiles.mr, class A>
void pair_kernel(const Tile<uint16_t>& t, int64_t depth, const uint32_t* a, A& source_a,
                 const uint32_t* b) {
  using Panel = PanelOfB<uint32_t, kPairTiles.nr>;
  if (t.rows == ROWS) {
    (t.cols > 16 ? pair_tile<ROWS, 2, A, Panel> : pair_tile<ROWS, 1, A, Panel>)(t, depth, a,
                                                                                source_a, b, {});
  } else if constexpr (ROWS > 1) {
    pair_kernel<ROWS - 1>(t, depth, a, source_a, b);
  }
}

struct Pairs {
  using Element = uint16_t;
  using Packed = uint32_t;
  using Word = float;
  static constexpr int kRows = kPairTiles.mr, kCols = kPairTiles.nr, kStep = 2;

  template <int W>
  static void pack(const uint16_t* x, int64_t across, int64_t along, int64_t width, int64_t depth,
                   uint32_t* packed) {
    if (across == 1) {
      interleave<W>(x, along, width, depth, packed);
    } else {
      pack_panel<W>(x, across, along, width, depth, packed);
    }
  }

  static void copy_step(const uint16_t* x, int64_t along, int64_t rows, uint32_t* packed) {
    const __mmask16 used = first_16(rows);
    _mm512_mask_storeu_epi32(
        packed, used,
        paired(_mm256_maskz_loadu_epi16(used, x), _mm256_maskz_loadu_epi16(used, x + along)));
  }

  template <class A>
  static void multiply(const Tile<uint16_t>& t, int64_t depth, const uint32_t* a, A& source_a,
                       const uint32_t* b) {
    pair_kernel(t, depth, a, source_a, b);
  }

  template <class A, class B>
  static void multiply_whole(const Tile<uint16_t>& t, int64_t depth, const uint32_t* a, A& source_a,
                             const typename B::Element* b, const B& source) {
    pair_tile<kRows, 2>(t, depth, a, source_a, b, source);
  }
};

}  // namespace

const GemmKernels::Run pair_gemm = run_plan<Pairs>;

}  // namespace dlx::DLX_ISA
#else
namespace dlx::DLX_ISA {
const GemmKernels::Run pair_gemm = nullptr;
}
#endif
