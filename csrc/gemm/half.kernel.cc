#include "gemm/half.h"

#include "core/half_numbers.h"

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

}  // namespace

#if defined(__AVX2__)
constexpr int kDotRows = 16;
#else
constexpr int kDotRows = 2;  // a tile of dot: each further one widens B again
#endif

const HalfKernels half_kernels = {widen, round, kDotRows};

}  // namespace dlx::DLX_ISA
