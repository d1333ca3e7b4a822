#include "gemm/thin.h"

#include <algorithm>
#include <utility>

#include "core/choice.h"
#include "core/rounding.h"
#include "core/test_hooks.h"
#include "gemm/tiles.h"

namespace dlx {
namespace {

Choice choice("matmul", {"packed", "direct", "dot"});

// Columns of a task are multiples of what the kernels hold in registers at most.
constexpr int64_t kDirectUnit = 32, kDotUnit = 8;
// Rows of a task, likewise.
constexpr int64_t kThinRows = 24;
// Columns of a task where rows of B pass by: longer pieces of a row where they come from memory, as
// the hardware prefetches within a page.
constexpr int64_t kPassingCols = 256, kPassingColsFar = 1024;
constexpr int64_t kNearBytes = 4 << 20;
constexpr int64_t kOneTile = 8, kFewRows = 16, kLongSum = 128;
// An element of B costs at least as much as so many flops: it comes from memory once.
constexpr int64_t kFlopsOfAnElement = 24;
// Writing an element of C costs as much as so many multiply-adds.
constexpr int64_t kLeastDepth = 12;
constexpr double kFewChunks = 6;  // of a product that is worth sharing

// C (m,1) = A B is the row C^T = B^T A^T where C lies densely.
bool transpose_column(GemmShape& s) {
  if (s.n != 1 || s.m == 1 || s.c_row != 1 || s.bias) return false;
  std::swap(s.m, s.n);
  std::swap(s.a_row, s.b_col);
  std::swap(s.a_col, s.b_row);
  for (int d = 0; d < s.batch_ndim; ++d) std::swap(s.a_batch[d], s.b_batch[d]);
  return true;
}

// The table.
GemmAlgorithm best_algorithm(const GemmShape& s) {
  const int64_t size = size_of(s.dtype);
  const bool b_in_place = s.b_col == 1;
  // A dot product ends in a sum over lanes, which must be short beside it. The more rows and
  // columns there are, the less packing costs.
  if (lies_along_k(s) && (s.m == 1 || (std::min(s.m, s.n) <= kFewRows && s.k >= kLongSum)))
    return GemmAlgorithm::dot;
  // One tile of rows, or a B that is quick to read again from the caches.
  const bool a_fits = s.a_col == 1 || s.m * s.k * size <= 4 * kL1Bytes;
  const bool b_fits = s.k * s.n * size <= (b_in_place ? 4 : 1) * kL1Bytes;
  if ((b_in_place && s.m <= kOneTile) || (a_fits && b_fits)) return GemmAlgorithm::direct;
  return GemmAlgorithm::packed;
}

}  // namespace

bool lies_along_k(const GemmShape& s) { return (s.a_col == 1 && s.b_row == 1) || s.k == 1; }

GemmAlgorithm choose_gemm(const GemmShape& shape) {
  if (hooks::split_by_threads.load(std::memory_order_relaxed)) return GemmAlgorithm::packed;
  GemmShape s = shape;
  transpose_column(s);
  const bool can_dot = lies_along_k(s);
  const GemmAlgorithm chosen = best_algorithm(s);
  return static_cast<GemmAlgorithm>(choice.pick(static_cast<int>(chosen), can_dot ? 0b111 : 0b011));
}

ThinPlan make_thin_plan(const GemmShape& shape, GemmAlgorithm algorithm) {
  ThinPlan plan{};
  plan.shape = shape;
  plan.transposed = transpose_column(plan.shape);
  const GemmShape& s = plan.shape;
  plan.batches = 1;
  for (int d = 0; d < s.batch_ndim; ++d) plan.batches *= s.batch[d];
  const auto cost = [&](int64_t m, int64_t n) {
    return static_cast<double>(n) * static_cast<double>(std::max(s.k, kLeastDepth)) *
           static_cast<double>(std::max(2 * m, kFlopsOfAnElement));
  };
  const bool far = s.k * s.n * size_of(s.dtype) > kNearBytes;
  const int64_t unit = algorithm == GemmAlgorithm::dot ? kDotUnit
                       : s.m == 1 && s.b_col == 1      ? (far ? kPassingColsFar : kPassingCols)
                                                       : kDirectUnit;
  // Chunks small enough for few threads to share a product evenly.
  const double all = cost(s.m, s.n) * static_cast<double>(plan.batches);
  const double chunk = all < kGemmChunkFlops
                           ? kGemmChunkFlops
                           : std::clamp(all / kFewChunks, kGemmChunkFlops / 2, kGemmChunkFlops);
  const auto pieces = [chunk](double most) {
    return static_cast<int64_t>(std::min(chunk / most, 1e9));
  };
  // Where all of B stays in the L1 cache, whole rows of C are written.
  const bool b_stays = s.b_col == 1 && s.k * s.n * size_of(s.dtype) <= kL1Bytes;
  const int64_t wanted = std::max(pieces(cost(s.m, 1)), unit);
  plan.cols = b_stays ? s.n : std::min(s.n, even_split(s.n, wanted, unit));
  const double row = cost(kThinRows, plan.cols) / kThinRows;
  plan.rows = std::min(s.m, even_split(s.m, std::max(pieces(row), kThinRows), kThinRows));
  plan.row_tasks = ceil_div(s.m, plan.rows);
  plan.col_tasks = ceil_div(s.n, plan.cols);
  plan.grain = std::max<int64_t>(pieces(cost(plan.rows, plan.cols)), 1);
  if (algorithm == GemmAlgorithm::direct && s.b_col != 1)
    plan.private_bytes = round_up(s.k * kThinPanelBytes, 64);
  return plan;
}

void run_thin_plan(const ThinPlan& plan, GemmAlgorithm algorithm, const void* a, const void* b,
                   void* c, const void* bias, void* workspace) {
  const ThinKernels& kernels = algorithm == GemmAlgorithm::direct ? DLX_SELECT_ISA(direct_kernels)
                                                                  : DLX_SELECT_ISA(dot_kernels);
  if (plan.transposed) std::swap(a, b);
  kernels.run[static_cast<int>(plan.shape.dtype)](plan, a, b, c, bias, workspace);
}

}  // namespace dlx
