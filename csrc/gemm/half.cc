#include "gemm/half.h"

#include <algorithm>
#include <utility>

#include "core/choice.h"
#include "core/parallel.h"
#include "core/rounding.h"
#include "gemm/half_tiles.h"
#include "gemm/thin.h"

namespace dlx {
namespace {

enum Algorithm { widen_both, pairs, tiles, dot };
Choice choice("half_matmul", {"widen", "pairs", "tiles", "dot"});

// Most rows or columns of a product that is better not packed where packing is all that it needs,
// and its least depth.
constexpr int64_t kDotRows = 4, kDotDepth = 64;

// Elements of a chunk of conversions.
constexpr int64_t kWidenGrain = 1 << 16;

// Elements of a matrix of `rows` and `cols`, as often as it differs in the batch.
int64_t elements(const GemmShape& s, const int64_t* strides, int64_t rows, int64_t cols) {
  int64_t n = rows * cols;
  for (int d = 0; d < s.batch_ndim; ++d) n *= strides[d] ? s.batch[d] : 1;
  return n;
}

int64_t bytes(int64_t floats) { return round_up(floats * int64_t{sizeof(float)}, 64); }

Algorithm choose(const GemmShape& s) {
  const bool bf16 = s.dtype == DType::bfloat16;
  const bool can_pair = bf16 && has_bf16(), can_tile = bf16 && has_amx_bf16();
  const bool can_dot = lies_along_k(s);
  Algorithm best = can_tile ? tiles : can_pair && has_fast_bf16() ? pairs : widen_both;
  const int64_t thin = best == widen_both ? DLX_SELECT_ISA(half_kernels).dot_rows : kDotRows;
  if (can_dot && std::min(s.m, s.n) <= thin && s.k >= kDotDepth) best = dot;
  return static_cast<Algorithm>(
      choice.pick(best, 1u << widen_both | can_pair << pairs | can_tile << tiles | can_dot << dot));
}

TilePlan make_tile_plan(const GemmShape& s) {
  TilePlan plan{};
  plan.shape = s;
  plan.batches = 1;
  for (int d = 0; d < s.batch_ndim; ++d) plan.batches *= s.batch[d];
  plan.depth = even_split(s.k, kTileBlockDepth, 32);
  plan.panel_depth = even_split(plan.depth, kTilePanelDepth, 32);
  plan.cols = even_split(s.n, kTileBlockBytes / (2 * plan.depth), 32);
  const int64_t row_panels = ceil_div(s.m, 32);
  plan.task_cols = even_split(plan.cols, plan.cols * row_panels / kTileTasks, 32);
  const double flops = 2.0 * 32 * static_cast<double>(plan.task_cols * plan.depth);
  plan.task_grain = static_cast<int64_t>(kTileChunkFlops / flops) + 1;
  plan.pack_grain = kTileChunkBytes / (64 * plan.depth) + 1;
  plan.b_bytes = plan.cols * plan.depth * 2;
  plan.sums_bytes = plan.depth < s.k ? bytes(row_panels * 32 * plan.cols) : 0;
  plan.scratch_bytes = kTilePanelBytes + (plan.sums_bytes ? 0 : bytes(32 * plan.task_cols));
  return plan;
}

// The same product of dense float32 matrices: rows or columns side by side as the operands have
// them.
struct Widened {
  GemmShape shape;
  int64_t a_bytes, b_bytes, c_bytes, bias_bytes;
};

// Dense strides for a matrix that takes over the order of `row` and `col`, and for its batch.
void make_dense(const GemmShape& s, int64_t rows, int64_t cols, int64_t* row, int64_t* col,
                int64_t* batch) {
  const bool by_rows = *col == 1 || *row != 1;
  *row = by_rows ? cols : 1, *col = by_rows ? 1 : rows;
  int64_t stride = rows * cols;
  for (int d = s.batch_ndim - 1; d >= 0; --d) {
    if (batch[d] == 0) continue;
    batch[d] = stride;
    stride *= s.batch[d];
  }
}

Widened make_widened(const GemmShape& s) {
  Widened w{.shape = s,
            .a_bytes = bytes(elements(s, s.a_batch, s.m, s.k)),
            .b_bytes = bytes(elements(s, s.b_batch, s.k, s.n)),
            .c_bytes = bytes(elements(s, s.c_batch, s.m, s.n)),
            .bias_bytes = s.bias ? bytes(s.n) : 0};
  GemmShape& g = w.shape;
  g.dtype = DType::float32;
  make_dense(s, s.m, s.k, &g.a_row, &g.a_col, g.a_batch);
  make_dense(s, s.k, s.n, &g.b_row, &g.b_col, g.b_batch);
  g.c_row = s.n;
  int64_t stride = s.m * s.n;
  for (int d = s.batch_ndim - 1; d >= 0; stride *= s.batch[d--]) g.c_batch[d] = stride;
  return w;
}

// body(narrow offset, wide offset, first row, rows) for pieces of all matrices that differ.
template <class F>
void for_each_piece(const GemmShape& s, const int64_t* narrow, const int64_t* wide, int64_t rows,
                    int64_t cols, const F& body) {
  int64_t matrices = 1;
  for (int d = 0; d < s.batch_ndim; ++d) matrices *= narrow[d] ? s.batch[d] : 1;
  const int64_t grain = std::max<int64_t>(1, kWidenGrain / cols);
  const int64_t pieces = ceil_div(rows, grain);
  parallel_for(matrices * pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      int64_t from = 0, to = 0, rest = piece / pieces;
      for (int d = s.batch_ndim - 1; d >= 0; --d) {
        if (narrow[d] == 0) continue;
        from += rest % s.batch[d] * narrow[d], to += rest % s.batch[d] * wide[d];
        rest /= s.batch[d];
      }
      const int64_t first = piece % pieces * grain;
      body(from, to, first, std::min(grain, rows - first));
    }
  });
}

// rows, cols, row, col: of the operand; wide_col: of its copy, 1 if that lies row by row
void widen(const GemmShape& s, const int64_t* batch, const int64_t* wide_batch, const void* x,
           int64_t rows, int64_t cols, int64_t row, int64_t col, int64_t wide_col, float* y) {
  if (wide_col != 1) std::swap(rows, cols), std::swap(row, col);
  const char* from = static_cast<const char*>(x);
  for_each_piece(s, batch, wide_batch, rows, cols,
                 [&](int64_t a, int64_t b, int64_t first, int64_t count) {
                   DLX_SELECT_ISA(half_kernels)
                       .widen(s.dtype, from + (a + first * row) * 2, row, col, count, cols,
                              y + b + first * cols);
                 });
}

}  // namespace

int64_t half_workspace(const GemmShape& s) {
  const Algorithm algorithm = choose(s);
  if (algorithm == pairs) return num_threads() * make_gemm_plan(s, kPairTiles, 2).private_bytes;
  if (algorithm == tiles) {
    const TilePlan plan = make_tile_plan(s);
    return plan.b_bytes + plan.sums_bytes + num_threads() * plan.scratch_bytes;
  }
  if (algorithm == dot) return num_threads() * make_thin_plan(s, GemmAlgorithm::dot).private_bytes;
  const Widened w = make_widened(s);
  return w.a_bytes + w.b_bytes + w.c_bytes + w.bias_bytes + gemm_workspace(w.shape);
}

void half_gemm(const GemmShape& s, const void* a, const void* b, void* c, const void* bias,
               void* workspace) {
  const HalfKernels& kernels = DLX_SELECT_ISA(half_kernels);
  const Algorithm algorithm = choose(s);
  if (algorithm == pairs)
    return DLX_SELECT_ISA(pair_gemm)(make_gemm_plan(s, kPairTiles, 2), a, b, c, bias, workspace);
  if (algorithm == tiles)
    return DLX_SELECT_ISA(tile_gemm)(make_tile_plan(s), a, b, c, bias, workspace);
  if (algorithm == dot) {
    constexpr GemmAlgorithm kDot = GemmAlgorithm::dot;
    return run_thin_plan(make_thin_plan(s, kDot), kDot, a, b, c, bias, workspace);
  }
  const Widened w = make_widened(s);
  const GemmShape& g = w.shape;
  char* memory = static_cast<char*>(workspace);
  float* wide_a = reinterpret_cast<float*>(memory);
  float* wide_b = reinterpret_cast<float*>(memory += w.a_bytes);
  float* wide_c = reinterpret_cast<float*>(memory += w.b_bytes);
  float* wide_bias = reinterpret_cast<float*>(memory += w.c_bytes);
  widen(s, s.a_batch, g.a_batch, a, s.m, s.k, s.a_row, s.a_col, g.a_col, wide_a);
  widen(s, s.b_batch, g.b_batch, b, s.k, s.n, s.b_row, s.b_col, g.b_col, wide_b);
  if (bias) kernels.widen(s.dtype, bias, 0, 1, 1, s.n, wide_bias);
  gemm(g, wide_a, wide_b, wide_c, memory + w.bias_bytes, wide_bias);
  for_each_piece(s, s.c_batch, g.c_batch, s.m, s.n,
                 [&](int64_t to, int64_t from, int64_t first, int64_t count) {
                   kernels.round(s.dtype, wide_c + from + first * s.n,
                                 static_cast<char*>(c) + (to + first * s.c_row) * 2, s.c_row, count,
                                 s.n);
                 });
}

}  // namespace dlx
