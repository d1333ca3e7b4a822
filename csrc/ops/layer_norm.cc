#include "ops/layer_norm.h"

#include <algorithm>

#include "core/check.h"
#include "core/cpu_features.h"
#include "core/parallel.h"
#include "ops/norm_table.h"

namespace dlx {

DLX_EACH_ISA(extern const LayerNormTable layer_norm_table;)

namespace {

Dims last_of(const Dims& shape, int dims) {
  Dims last;
  for (int i = shape.ndim - dims; i < shape.ndim; ++i) last.push_back(shape[i]);
  return last;
}

void check_parameter(const char* op, const char* what, const Array* p, const Array& x, int dims) {
  if (!p) return;
  DLX_CHECK_AS(TypeError, p->dtype == x.dtype, op, ": expected one dtype, got x ", x.dtype, " and ",
               what, " ", p->dtype);
  DLX_CHECK(p->shape == last_of(x.shape, dims), op, ": ", what, " expects shape ",
            last_of(x.shape, dims), ", got ", p->shape, "; x=", x.shape);
}

constexpr int64_t kGrain = 16384;         // elements: 5-50 us
constexpr int64_t kForwardGrain = 65536;  // 10-20 us: rows follow one another through a pipeline
constexpr int64_t kFewestRows = 8;        // of a partial sum: what the kernel adds up as a tree
constexpr int64_t kBlocks = 64;           // partial sums, unless a block leaves the cache

// Rows behind one partial sum of dgamma and dbeta: a fixed part of the order of additions.
int64_t rows_of_block(const LayerNormShape& s) {
  const int64_t rows = (s.M / kBlocks + kFewestRows - 1) / kFewestRows * kFewestRows;
  const int64_t grain = std::max(kFewestRows, kGrain / std::max<int64_t>(1, s.D));
  return std::clamp(rows, grain, 4 * grain);
}
int64_t blocks(const LayerNormShape& s) {
  const int64_t rows = rows_of_block(s);
  return (s.M + rows - 1) / rows;
}

}  // namespace

LayerNormShape LayerNormShape::make(const char* op, const Array& x, int dims, const Array* gamma,
                                    const Array* beta, double eps) {
  DLX_CHECK_AS(TypeError, x.dtype == DType::float32 || x.dtype == DType::float64, op,
               ": expected float32 or float64, got ", x.dtype);
  DLX_CHECK(dims >= 1 && dims <= x.shape.ndim, op, ": expected x of at least ", dims,
            " dimensions, got ", x.shape);
  check_parameter(op, "weight", gamma, x, dims);
  check_parameter(op, "bias", beta, x, dims);
  LayerNormShape s{};
  s.dtype = x.dtype;
  s.D = last_of(x.shape, dims).product();
  s.M = 1;
  for (int i = 0; i < x.shape.ndim - dims; ++i) s.M *= x.shape[i];
  s.has_gamma = gamma, s.has_beta = beta;
  s.eps = eps;
  return s;
}

// Two sums per column and block; of float64 also their errors.
int64_t layer_norm_backward_workspace(const void* shape) {
  const auto& s = *static_cast<const LayerNormShape*>(shape);
  const int64_t sums = s.dtype == DType::float64 ? 4 : 2;
  return sums * blocks(s) * s.D * static_cast<int64_t>(sizeof(double));
}

namespace cpu {
namespace {

char* at(const void* p, int64_t i, DType t) {
  return static_cast<char*>(const_cast<void*>(p)) + i * size_of(t);
}
int by_dtype(DType t) { return t == DType::float64; }

// out[j] = sum over the blocks of partial[b, j], in order.
void add_blocks(const LayerNormShape& s, const double* partial, void* out) {
  const int64_t n = blocks(s);
  const int64_t grain = std::max<int64_t>(1, effective_grain(kGrain) / std::max<int64_t>(1, n));
  parallel_for(s.D, grain, [&](int64_t begin, int64_t end) {
    constexpr int64_t kColumns = 64;
    for (int64_t first = begin; first < end; first += kColumns) {
      const int64_t count = std::min(kColumns, end - first);
      double sum[kColumns] = {};
      for (int64_t b = 0; b < n; ++b)
        for (int64_t j = 0; j < count; ++j) sum[j] += partial[b * s.D + first + j];
      for (int64_t j = 0; j < count; ++j) {
        if (s.dtype == DType::float64) {
          static_cast<double*>(out)[first + j] = sum[j];
        } else {
          static_cast<float*>(out)[first + j] = static_cast<float>(sum[j]);
        }
      }
    }
  });
}

}  // namespace

void layer_norm(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const LayerNormShape*>(shape);
  const LayerNormTable& table = DLX_SELECT_ISA(layer_norm_table);
  const void *x = *buffers++, *gamma = s.has_gamma ? *buffers++ : nullptr,
             *beta = s.has_beta ? *buffers++ : nullptr;
  void* y = buffers[0];
  auto *mean = static_cast<double*>(buffers[1]), *rstd = static_cast<double*>(buffers[2]);
  const int64_t grain = effective_grain(kForwardGrain) / std::max<int64_t>(1, s.D);
  parallel_for(s.M, std::max<int64_t>(1, grain), [&](int64_t begin, int64_t end) {
    table.layer_norm[by_dtype(s.dtype)](end - begin, s.D, s.eps, at(x, begin * s.D, s.dtype), gamma,
                                        beta, at(y, begin * s.D, s.dtype), mean + begin,
                                        rstd + begin);
  });
}

void layer_norm_backward(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const LayerNormShape*>(shape);
  const LayerNormTable& table = DLX_SELECT_ISA(layer_norm_table);
  const void *dy = buffers[0], *x = buffers[1];
  const auto *mean = static_cast<const double*>(buffers[2]),
             *rstd = static_cast<const double*>(buffers[3]);
  buffers += 4;
  const void* gamma = s.has_gamma ? *buffers++ : nullptr;
  void* dx = buffers[0];
  auto* dgamma = static_cast<double*>(workspace);
  double *dbeta = dgamma + blocks(s) * s.D, *errors = dbeta + blocks(s) * s.D;
  const int64_t rows = rows_of_block(s);
  parallel_for(blocks(s), 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * rows, n = std::min(rows, s.M - first);
      const char *from = at(dy, first * s.D, s.dtype), *of = at(x, first * s.D, s.dtype);
      table.layer_norm_backward[by_dtype(s.dtype)](
          n, s.D, from, of, mean + first, rstd + first, gamma, at(dx, first * s.D, s.dtype),
          dgamma + b * s.D, dbeta + b * s.D,
          errors + (s.dtype == DType::float64 ? 2 * b * s.D : 0));
    }
  });
  add_blocks(s, dgamma, buffers[1]);
  add_blocks(s, dbeta, buffers[2]);
}

}  // namespace cpu
}  // namespace dlx
