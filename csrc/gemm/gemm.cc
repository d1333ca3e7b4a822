#include "gemm/gemm.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "core/machine_limits.h"
#include "core/parallel.h"
#include "core/rounding.h"
#include "core/test_hooks.h"
#include "gemm/half.h"
#include "gemm/plan.h"
#include "gemm/thin.h"
#include "gemm/tiles.h"

namespace dlx {
namespace {

GemmPlan make_plan(const GemmShape& shape) {
  if (shape.dtype != DType::float32 && shape.dtype != DType::float64) {
    throw std::invalid_argument(std::string("gemm: expects float32 or float64, got ") +
                                name_of(shape.dtype));
  }
  return make_gemm_plan(shape,
                        kGemmTiles[static_cast<int>(current_isa())][static_cast<int>(shape.dtype)]);
}

bool is_empty(const GemmPlan& plan) {
  return plan.batches == 0 || plan.shape.m == 0 || plan.shape.n == 0 || plan.shape.k == 0;
}

// An empty sum is 0, then comes the epilogue.
template <class T>
void fill_empty_sums(const GemmShape& s, int64_t batches, T* c, const T* bias) {
  for (int64_t b = 0; b < batches; ++b) {
    const int64_t offset = s.batch_offset(b, s.c_batch);
    for (int64_t i = 0; i < s.m; ++i) {
      for (int64_t j = 0; j < s.n; ++j) {
        const T y = bias ? bias[j] : T(0);
        c[offset + i * s.c_row + j] = s.relu && y < 0 ? T(0) : y;
      }
    }
  }
}

bool is_half(const GemmShape& s) { return s.dtype == DType::bfloat16 || s.dtype == DType::float16; }

bool has_extent_0(const GemmShape& s) {
  bool found = s.m == 0 || s.n == 0 || s.k == 0;
  for (int d = 0; d < s.batch_ndim; ++d) found |= s.batch[d] == 0;
  return found;
}

void gemm_of_halves(const GemmShape& shape, const void* a, const void* b, void* c, void* workspace,
                    const void* bias) {
  GemmShape s = shape;
  s.fold_batch_into_rows();
  if (!has_extent_0(s)) return half_gemm(s, a, b, c, bias, workspace);
  // As integers: 0 is all bits 0, and what is negative is so by its first bit.
  fill_empty_sums(s, s.batches(), static_cast<int16_t*>(c), static_cast<const int16_t*>(bias));
}

}  // namespace

GemmPlan make_gemm_plan(const GemmShape& shape, const GemmTiles& t, int64_t step) {
  GemmPlan plan{};
  plan.shape = shape;
  plan.shape.fold_batch_into_rows();
  const GemmShape& s = plan.shape;
  plan.batches = s.batches();
  if (plan.batches == 0 || s.m == 0 || s.n == 0 || s.k == 0) return plan;

  const bool by_threads = hooks::split_by_threads.load(std::memory_order_relaxed);  // tests only
  plan.steps = ceil_div(s.k, step);
  const int64_t share = by_threads ? ceil_div(plan.steps, num_threads()) : plan.steps;
  plan.kc = even_split(plan.steps, std::min<int64_t>(t.kc, share), kGemmDepthUnit);
  // A task for each thread, or more where they would be very large. Who computes an element does
  // not change it.
  int64_t row_cuts = ceil_div(s.m, kGemmMaxRows), col_cuts = ceil_div(s.n, kGemmMaxCols);
  while (plan.batches * row_cuts * col_cuts < num_threads()) {
    const int64_t rows = s.m / row_cuts, cols = s.n / col_cuts;
    // Every task packs its rows of A and its columns of B: the longer side is cut, unless whole
    // panels of columns would not share out evenly. The rows of a square: of threads that write
    // to the same rows of C each one's core asks ahead for lines of the other's, which takes long
    // where the cores have no cache in common.
    const bool even = 2 * round_up(ceil_div(cols, 2), t.nr) * 7 <= 8 * cols;
    if (cols > rows && (even || cols >= 2 * kGemmMinCols)) {
      ++col_cuts;
    } else if (rows >= 2 * t.mr) {
      ++row_cuts;
    } else {
      break;
    }
  }
  plan.rows = even_split(s.m, ceil_div(s.m, row_cuts), 1);
  plan.cols = even_split(s.n, ceil_div(s.n, col_cuts), t.nr);
  const int64_t size = size_of(s.dtype) * step;
  const bool whole_steps = s.k % step == 0;
  plan.lines = s.a_col == 1 && whole_steps;
  plan.columns = s.a_row == 1 && whole_steps && !plan.lines;
  const int64_t kept_bytes = std::min(core_cache_bytes() * kGemmL2Eighths / 8, kGemmMostKeptBytes);
  plan.block = even_split(plan.cols, kept_bytes / (plan.kc * size), t.nr);
  const double flops = 2.0 * static_cast<double>(plan.rows * plan.cols) * static_cast<double>(s.k);
  plan.grain = static_cast<int64_t>(kGemmChunkFlops / flops) + 1;
  const int64_t panels = plan.lines || plan.columns ? 2
                         : plan.cols > plan.block   ? ceil_div(plan.rows, t.mr)
                                                    : 1;
  if (size_of(s.dtype) < 4 && plan.kc < plan.steps)
    plan.sums_bytes = round_up(round_up(plan.rows, t.mr) * plan.cols * 4, 64);
  plan.private_bytes =
      plan.sums_bytes + round_up((plan.block + panels * t.mr) * plan.kc * size, 64);
  return plan;
}

int64_t gemm_workspace(const GemmShape& shape) {
  if (is_half(shape)) {
    GemmShape s = shape;
    s.fold_batch_into_rows();
    return has_extent_0(s) ? 0 : half_workspace(s);
  }
  const GemmPlan plan = make_plan(shape);
  if (is_empty(plan)) return 0;
  const GemmAlgorithm algorithm = choose_gemm(plan.shape);
  if (algorithm != GemmAlgorithm::packed)
    return num_threads() * make_thin_plan(plan.shape, algorithm).private_bytes;
  return num_threads() * plan.private_bytes;
}

void gemm(const GemmShape& shape, const void* a, const void* b, void* c, void* workspace,
          const void* bias) {
  if (is_half(shape)) return gemm_of_halves(shape, a, b, c, workspace, shape.bias ? bias : nullptr);
  const GemmPlan plan = make_plan(shape);
  const GemmShape& s = plan.shape;
  if (plan.batches == 0 || s.m == 0 || s.n == 0) return;
  if (!s.bias) bias = nullptr;
  const bool single = s.dtype == DType::float32;
  if (s.k == 0) {
    const auto fill = [&]<class T>(T* to) {
      fill_empty_sums(s, plan.batches, to, static_cast<const T*>(bias));
    };
    return single ? fill(static_cast<float*>(c)) : fill(static_cast<double*>(c));
  }
  const GemmAlgorithm algorithm = choose_gemm(s);
  if (algorithm != GemmAlgorithm::packed)
    return run_thin_plan(make_thin_plan(s, algorithm), algorithm, a, b, c, bias, workspace);
  const GemmKernels& kernels = DLX_SELECT_ISA(gemm_kernels);
  (single ? kernels.float32 : kernels.float64)(plan, a, b, c, bias, workspace);
}

}  // namespace dlx
