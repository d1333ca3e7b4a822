#include "gemm/half.h"

#include "core/half_numbers.h"
#include "core/parallel.h"
#include "core/simd.h"

namespace dlx::DLX_ISA {
namespace {

template <class H>
void widen_rows(const H* x, int64_t row, int64_t col, int64_t rows, int64_t cols, float* y) {
  for (int64_t i = 0; i < rows; ++i, x += row, y += cols) {
    if (col == 1) {
#pragma GCC ivdep
      for (int64_t j = 0; j < cols; ++j) y[j] = widened(x[j]);
    } else {
      for (int64_t j = 0; j < cols; ++j) y[j] = widened(x[j * col]);
    }
  }
}

void widen(DType from, const void* x, int64_t row, int64_t col, int64_t rows, int64_t cols,
           float* y) {
  if (from == DType::bfloat16) {
    widen_rows(static_cast<const bfloat16_t*>(x), row, col, rows, cols, y);
  } else {
    widen_rows(static_cast<const float16_t*>(x), row, col, rows, cols, y);
  }
}

template <class H>
void round_rows(const float* x, H* y, int64_t row, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i, x += cols, y += row) {
#pragma GCC ivdep
    for (int64_t j = 0; j < cols; ++j) narrow(x[j], y[j]);
  }
}

void round(DType to, const float* x, void* y, int64_t row, int64_t rows, int64_t cols) {
  if (to == DType::bfloat16) {
    round_rows(x, static_cast<bfloat16_t*>(y), row, rows, cols);
  } else {
    round_rows(x, static_cast<float16_t*>(y), row, rows, cols);
  }
}

#if defined(__AVX512F__)

int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// dst[p * W + i] = elements (i, 2p) and (i, 2p + 1) of x, 0 beyond width and depth
template <int W>
void pack_pairs(const uint16_t* x, int64_t across, int64_t along, int64_t width, int64_t depth,
                uint32_t* dst) {
  const int64_t whole = depth / 2;
  int64_t p = 0;
  if (width == W && across == 1) {
    for (; p < whole; ++p) {
      const uint16_t* low = x + 2 * p * along;
#pragma GCC ivdep
      for (int i = 0; i < W; ++i) dst[p * W + i] = low[i] | uint32_t{low[along + i]} << 16;
    }
  } else if (width == W && along == 1) {
    for (; p < whole; ++p) {
      for (int i = 0; i < W; ++i) memcpy(dst + p * W + i, x + i * across + 2 * p, 4);
    }
  }
  for (; 2 * p < depth; ++p) {
    for (int i = 0; i < W; ++i) {
      const uint16_t* low = x + i * across + 2 * p * along;
      uint32_t pair = i < width ? low[0] : 0;
      if (i < width && 2 * p + 1 < depth) pair |= uint32_t{low[along]} << 16;
      dst[p * W + i] = pair;
    }
  }
}

// tile (14,32) = sum over pairs of a (pairs,14) and b (pairs,32)
[[gnu::target("avx512bf16")]] void pair_tile(int64_t pairs, const uint32_t* a, const uint32_t* b,
                                             float* tile) {
  __m512 sum[kPairRows][2];
#pragma GCC unroll 14
  for (int i = 0; i < kPairRows; ++i) sum[i][0] = sum[i][1] = _mm512_setzero_ps();
  for (int64_t p = 0; p < pairs; ++p, a += kPairRows, b += kPairCols) {
    const __m512bh b0 = (__m512bh)_mm512_loadu_si512(b);
    const __m512bh b1 = (__m512bh)_mm512_loadu_si512(b + 16);
#pragma GCC unroll 14
    for (int i = 0; i < kPairRows; ++i) {
      const __m512bh x = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[i]));
      sum[i][0] = _mm512_dpbf16_ps(sum[i][0], x, b0);
      sum[i][1] = _mm512_dpbf16_ps(sum[i][1], x, b1);
    }
  }
#pragma GCC unroll 14
  for (int i = 0; i < kPairRows; ++i) {
    _mm512_storeu_ps(tile + i * kPairCols, sum[i][0]);
    _mm512_storeu_ps(tile + i * kPairCols + 16, sum[i][1]);
  }
}

struct Block {
  const PairPlan& plan;
  const uint16_t* a;  // of this matrix and depth
  const uint16_t* b;  // and these columns
  bfloat16_t* c;
  const bfloat16_t* bias;
  uint32_t* packed_a;
  uint32_t* packed_b;
  float* sums;  // (m, cols)
  int64_t cols, depth;
  bool first, last;
};

// Panels of A, then of B.
void pack_block(void* state, int64_t begin, int64_t end, int) {
  const auto& t = *static_cast<const Block*>(state);
  const GemmShape& s = t.plan.shape;
  const int64_t a_panels = ceil_div(s.m, kPairRows), pairs = ceil_div(t.depth, 2);
  for (int64_t panel = begin; panel < end; ++panel) {
    if (panel < a_panels) {
      const int64_t i = panel * kPairRows;
      pack_pairs<kPairRows>(t.a + i * s.a_row, s.a_row, s.a_col, min(kPairRows, s.m - i), t.depth,
                            t.packed_a + i * pairs);
    } else {
      const int64_t j = (panel - a_panels) * kPairCols;
      pack_pairs<kPairCols>(t.b + j * s.b_col, s.b_col, s.b_row, min(kPairCols, t.cols - j),
                            t.depth, t.packed_b + j * pairs);
    }
  }
}

// The sums so far, or C where they are complete.
void store_tile(const Block& t, const float* tile, int64_t i, int64_t j) {
  const GemmShape& s = t.plan.shape;
  const int64_t rows = min(kPairRows, s.m - i), cols = min(kPairCols, t.cols - j);
  for (int64_t r = 0; r < rows; ++r, tile += kPairCols) {
    float* sums = t.sums + (i + r) * t.cols + j;
    bfloat16_t* c = t.c + (i + r) * s.c_row + j;
    for (int64_t q = 0; q < cols; ++q) {
      float y = t.first ? tile[q] : sums[q] + tile[q];
      if (!t.last) {
        sums[q] = y;
        continue;
      }
      if (t.bias) y += widened(t.bias[j + q]);
      narrow(s.relu && y < 0 ? 0.f : y, c[q]);
    }
  }
}

// Panels of B, each with all rows of A: six panels of A stay in the L2 cache.
void multiply_block(void* state, int64_t begin, int64_t end, int) {
  const auto& t = *static_cast<const Block*>(state);
  const int64_t m = t.plan.shape.m, pairs = ceil_div(t.depth, 2);
  const int64_t b_panels = ceil_div(t.cols, kPairCols);
  alignas(64) float tile[kPairRows * kPairCols];
  for (int64_t task = begin; task < end; ++task) {
    const int64_t j = task % b_panels * kPairCols, first = task / b_panels * kPairTaskRows;
    for (int64_t i = first; i < min(m, first + kPairTaskRows); i += kPairRows) {
      pair_tile(pairs, t.packed_a + i * pairs, t.packed_b + j * pairs, tile);
      store_tile(t, tile, i, j);
    }
  }
}

void pairs(const PairPlan& plan, const void* a, const void* b, void* c, const void* bias,
           void* workspace) {
  const GemmShape& s = plan.shape;
  char* memory = static_cast<char*>(workspace);
  for (int64_t index = 0; index < plan.batches; ++index) {
    const uint16_t* x = static_cast<const uint16_t*>(a);
    const uint16_t* w = static_cast<const uint16_t*>(b);
    bfloat16_t* y = static_cast<bfloat16_t*>(c);
    for (int64_t d = s.batch_ndim - 1, rest = index; d >= 0; rest /= s.batch[d--]) {
      const int64_t at = rest % s.batch[d];
      x += at * s.a_batch[d], w += at * s.b_batch[d], y += at * s.c_batch[d];
    }
    for (int64_t j = 0; j < s.n; j += plan.cols) {
      for (int64_t p = 0; p < s.k; p += plan.depth) {
        Block t{.plan = plan,
                .a = x + p * s.a_col,
                .b = w + p * s.b_row + j * s.b_col,
                .c = y + j,
                .bias = bias ? static_cast<const bfloat16_t*>(bias) + j : nullptr,
                .packed_a = reinterpret_cast<uint32_t*>(memory),
                .packed_b = reinterpret_cast<uint32_t*>(memory + plan.a_bytes),
                .sums = reinterpret_cast<float*>(memory + plan.a_bytes + plan.b_bytes),
                .cols = min(plan.cols, s.n - j),
                .depth = min(plan.depth, s.k - p),
                .first = p == 0,
                .last = p + plan.depth >= s.k};
        const int64_t panels = ceil_div(s.m, kPairRows) + ceil_div(t.cols, kPairCols);
        parallel_run(panels, kPairPackedPanels, pack_block, &t);
        const int64_t tasks = ceil_div(t.cols, kPairCols) * ceil_div(s.m, kPairTaskRows);
        parallel_run(tasks, plan.grain, multiply_block, &t);
      }
    }
  }
}

#else
constexpr decltype(HalfKernels::pairs) pairs = nullptr;
#endif

}  // namespace

const HalfKernels half_kernels = {widen, round, pairs};

}  // namespace dlx::DLX_ISA
