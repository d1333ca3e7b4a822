#include "gemm/half_tiles.h"

#if defined(__AVX512F__)
// gcc 12 reports intrinsics' own undefined operands (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "core/parallel.h"
#include "core/simd.h"
#include "gemm/words.h"

namespace dlx::DLX_ISA {
namespace {

constexpr int64_t kTile = 16 * 32;  // numbers of a tile of A or B: 1 KB

int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Element (i, p) of x at x[i * across + p * along], i < width <= 16, p < depth <= 32, 0 beyond.
// tile: sixteen lines of 32 numbers, line i of all p (A); if by_pairs line p / 2 of the pairs
// (i, p), (i, p + 1) of all i (B).
void pack_tile(const uint16_t* x, int64_t across, int64_t along, int64_t width, int64_t depth,
               bool by_pairs, uint16_t* tile) {
  __m512i line[16];
  const bool across_pairs = across == 1 && along != 1;
  if (across_pairs) {
    const __mmask16 used = static_cast<__mmask16>((1u << width) - 1);
#pragma GCC unroll 16
    for (int p = 0; p < 16; ++p) {
      const uint16_t* low = x + 2 * p * along;
      const __mmask16 even = 2 * p < depth ? used : 0, odd = 2 * p + 1 < depth ? used : 0;
      const __m512i a = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(even, low));
      const __m512i b = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(odd, low + along));
      line[p] = _mm512_or_si512(a, _mm512_slli_epi32(b, 16));
    }
  } else if (along == 1) {
    const __mmask32 used = static_cast<__mmask32>((uint64_t{1} << depth) - 1);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
      line[i] = _mm512_maskz_loadu_epi16(i < width ? used : 0, x + i * across);
  } else {
    alignas(64) uint16_t copy[kTile] = {};
    for (int64_t i = 0; i < width; ++i)
      for (int64_t p = 0; p < depth; ++p) copy[i * 32 + p] = x[i * across + p * along];
    for (int i = 0; i < 16; ++i) line[i] = _mm512_load_si512(copy + i * 32);
  }
  if (across_pairs != by_pairs) transpose_words(line);
  for (int i = 0; i < 16; ++i) _mm512_store_si512(tile + i * 32, line[i]);
}

// A panel: of every 32 deep the tiles of its 32 rows or columns, one after the other.
void pack_panel(const uint16_t* x, int64_t across, int64_t along, int64_t width, int64_t depth,
                bool by_pairs, uint16_t* panel) {
  for (int64_t p = 0; p < depth; p += 32) {
    for (int64_t i = 0; i < 32; i += 16, panel += kTile) {
      const int64_t there = width - i < 0 ? 0 : min(16, width - i);
      pack_tile(x + (there ? i * across : 0) + p * along, across, along, there, min(32, depth - p),
                by_pairs, panel);
    }
  }
}

// sums (32,32) = panels of A and B multiplied, `steps` times 32 deep, plus sums unless `first`.
// A's panel stays in the L1 cache, B's goes past it.
[[gnu::target("amx-tile,amx-bf16")]] void multiply(int64_t steps, const uint16_t* a,
                                                   const uint16_t* b, float* sums, bool first) {
  constexpr int64_t kLine = 64, kRow = 32 * sizeof(float);
  asm volatile("" ::: "memory");  // the intrinsics do not say that they read
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums, kRow);
    _tile_loadd(1, sums + 16, kRow);
    _tile_loadd(2, sums + 16 * 32, kRow);
    _tile_loadd(3, sums + 16 * 32 + 16, kRow);
  }
  for (int64_t s = 0; s < steps; ++s, a += 2 * kTile, b += 2 * kTile) {
    _tile_stream_loadd(6, b, kLine);
    _tile_loadd(4, a, kLine);
    _tile_stream_loadd(7, b + kTile, kLine);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, a + kTile, kLine);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, kRow);
  _tile_stored(1, sums + 16, kRow);
  _tile_stored(2, sums + 16 * 32, kRow);
  _tile_stored(3, sums + 16 * 32 + 16, kRow);
}

__m512 widened(__m256i x) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}

// Sums to C, with bias and relu.
[[gnu::target("avx512bf16")]] void round_block(const float* sums, const uint16_t* bias, bool relu,
                                               int64_t rows, int64_t cols, uint16_t* c,
                                               int64_t c_row) {
  const __mmask32 used = static_cast<__mmask32>((uint64_t{1} << cols) - 1);
  const __m512i b = bias ? _mm512_maskz_loadu_epi16(used, bias) : _mm512_setzero_si512();
  const __m512 left = widened(_mm512_castsi512_si256(b));
  const __m512 right = widened(_mm512_extracti64x4_epi64(b, 1));
  for (int64_t i = 0; i < rows; ++i, sums += 32, c += c_row) {
    __m512 x = _mm512_loadu_ps(sums), y = _mm512_loadu_ps(sums + 16);
    if (bias) x = _mm512_add_ps(x, left), y = _mm512_add_ps(y, right);
    if (relu) x = x < 0 ? __m512{} : x, y = y < 0 ? __m512{} : y;  // keeps NaN
    _mm512_mask_storeu_epi16(c, used, (__m512i)_mm512_cvtne2ps_pbh(y, x));
  }
}

struct Stripe {
  const TilePlan& plan;
  const uint16_t* a;  // of this matrix and depth
  const uint16_t* b;  // and these columns
  uint16_t* c;
  const uint16_t* bias;
  uint16_t* packed_b;
  float* sums;    // of all rows, or null where one block is as deep as k
  char* scratch;  // of the workers: a panel of A, sums of a task
  int64_t cols, depth;
  bool first, last;
};

void pack_b(void* state, int64_t begin, int64_t end, int) {
  const auto& t = *static_cast<const Stripe*>(state);
  const GemmShape& s = t.plan.shape;
  const int64_t size = 32 * 32 * ceil_div(t.depth, 32);
  for (int64_t panel = begin; panel < end; ++panel)
    pack_panel(t.b + panel * 32 * s.b_col, s.b_col, s.b_row, min(32, t.cols - panel * 32), t.depth,
               true, t.packed_b + panel * size);
}

// Each task: 32 rows, and some of the columns.
[[gnu::target("amx-tile")]] void multiply_rows(void* state, int64_t begin, int64_t end,
                                               int worker) {
  const auto& t = *static_cast<const Stripe*>(state);
  const TilePlan& plan = t.plan;
  const GemmShape& s = plan.shape;
  struct alignas(64) Config {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  asm volatile("" : "+m"(config));
  _tile_loadconfig(&config);
  char* scratch = t.scratch + worker * plan.scratch_bytes;
  auto* packed_a = reinterpret_cast<uint16_t*>(scratch);
  auto* own_sums = reinterpret_cast<float*>(scratch + kTilePanelBytes);
  const int64_t b_panel = 32 * 32 * ceil_div(t.depth, 32), cuts = ceil_div(t.cols, plan.task_cols);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t i = task / cuts * 32, rows = min(32, s.m - i);
    const int64_t first_col = task % cuts * plan.task_cols;
    const int64_t cols = min(plan.task_cols, t.cols - first_col);
    float* sums = t.sums ? t.sums + i * plan.cols + first_col * 32 : own_sums;
    for (int64_t p = 0; p < t.depth; p += plan.panel_depth) {
      const int64_t depth = min(plan.panel_depth, t.depth - p);
      pack_panel(t.a + i * s.a_row + p * s.a_col, s.a_row, s.a_col, rows, depth, false, packed_a);
      for (int64_t j = 0; j < cols; j += 32) {
        const uint16_t* b = t.packed_b + (first_col + j) / 32 * b_panel + p * 32;
        multiply(ceil_div(depth, 32), packed_a, b, sums + j * 32, t.first && p == 0);
        if (!t.last || p + depth < t.depth) continue;
        const int64_t at = first_col + j;
        round_block(sums + j * 32, t.bias ? t.bias + at : nullptr, s.relu, rows, min(32, cols - j),
                    t.c + i * s.c_row + at, s.c_row);
      }
    }
  }
  _tile_release();
}

void one_matrix(const TilePlan& plan, const uint16_t* a, const uint16_t* b, uint16_t* c,
                const uint16_t* bias, char* memory) {
  const GemmShape& s = plan.shape;
  for (int64_t j = 0; j < s.n; j += plan.cols) {
    for (int64_t p = 0; p < s.k; p += plan.depth) {
      char* sums = memory + plan.b_bytes;
      Stripe t{.plan = plan,
               .a = a + p * s.a_col,
               .b = b + p * s.b_row + j * s.b_col,
               .c = c + j,
               .bias = bias ? bias + j : nullptr,
               .packed_b = reinterpret_cast<uint16_t*>(memory),
               .sums = plan.sums_bytes ? reinterpret_cast<float*>(sums) : nullptr,
               .scratch = sums + plan.sums_bytes,
               .cols = min(plan.cols, s.n - j),
               .depth = min(plan.depth, s.k - p),
               .first = p == 0,
               .last = p + plan.depth >= s.k};
      parallel_run(ceil_div(t.cols, 32), plan.pack_grain, pack_b, &t);
      parallel_run(ceil_div(s.m, 32) * ceil_div(t.cols, plan.task_cols), plan.task_grain,
                   multiply_rows, &t);
    }
  }
}

void tiles(const TilePlan& plan, const void* a, const void* b, void* c, const void* bias,
           void* workspace) {
  const GemmShape& s = plan.shape;
  for (int64_t index = 0; index < plan.batches; ++index) {
    int64_t x = 0, w = 0, y = 0;
    for (int64_t d = s.batch_ndim - 1, rest = index; d >= 0; rest /= s.batch[d--]) {
      const int64_t at = rest % s.batch[d];
      x += at * s.a_batch[d], w += at * s.b_batch[d], y += at * s.c_batch[d];
    }
    one_matrix(plan, static_cast<const uint16_t*>(a) + x, static_cast<const uint16_t*>(b) + w,
               static_cast<uint16_t*>(c) + y, static_cast<const uint16_t*>(bias),
               static_cast<char*>(workspace));
  }
}

}  // namespace

const TileGemm tile_gemm = tiles;

}  // namespace dlx::DLX_ISA
#else
namespace dlx::DLX_ISA {
const TileGemm tile_gemm = nullptr;
}
#endif
