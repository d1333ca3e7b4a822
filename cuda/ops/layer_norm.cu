// A team of threads for each row, which it reads once for the mean, once for the variance about it
// and once for y. The gradients of gamma and beta are reductions over the rows.
#include "cuda/core/context.h"
#include "cuda/core/reduction.h"
#include "cuda/core/totals.h"
#include "ops/layer_norm.h"

namespace dlx::cuda {

#include "ops/mean.h"

namespace {

// y = (x - mean) rstd gamma + beta
template <class T>
__global__ void normalize_rows(Teams teams, LayerNormShape s, const T* __restrict__ x,
                               const T* __restrict__ gamma, const T* __restrict__ beta,
                               T* __restrict__ y, double* mean, double* rstd) {
  const Row row(teams, s.M, s.D, 1);
  const double d = static_cast<double>(s.D);
  Total<T> sum{}, square{};
  row.for_each([&](int64_t at) { sum.add(static_cast<double>(x[at])); });
  const double centre = row.join(sum, Add{}).rounded() / d;
  row.for_each([&](int64_t at) {
    const double off = static_cast<double>(x[at]) - centre;
    square.add(off * off);
  });
  const double scale = 1 / sqrt(row.join(square, Add{}).rounded() / d + s.eps);
  const Mean<T> m(centre);
  const T narrow_scale = static_cast<T>(scale);
  row.for_each([&](int64_t at) {
    const int64_t j = at - row.first;
    T value = m.from(x[at]) * narrow_scale;
    if (gamma) value *= gamma[j];
    if (beta) value += beta[j];
    y[at] = value;
  });
  if (row.leads()) mean[row.position] = centre, rstd[row.position] = scale;
}

// dx = rstd (g - mean(g) - d rstd^2 mean(g d)), g = dy gamma, d = x - mean
template <class T>
__global__ void gradient_of_rows(Teams teams, LayerNormShape s, const T* __restrict__ dy,
                                 const T* __restrict__ x, const double* __restrict__ mean,
                                 const double* __restrict__ rstd, const T* __restrict__ gamma,
                                 T* __restrict__ dx) {
  const Row row(teams, s.M, s.D, 1);
  const Mean<T> m(row.exists() ? mean[row.position] : 0);
  const double scale = row.exists() ? rstd[row.position] : 0;
  const auto g = [&](int64_t at) { return gamma ? dy[at] * gamma[at - row.first] : dy[at]; };
  Total<T> sum{}, product{};
  row.for_each([&](int64_t at) {
    sum.add(static_cast<double>(g(at)));
    product.add(static_cast<double>(g(at) * m.from(x[at])));
  });
  const double d = static_cast<double>(s.D);
  const T mean_g = static_cast<T>(row.join(sum, Add{}).rounded() / d);
  const T slope = static_cast<T>(row.join(product, Add{}).rounded() / d * scale * scale);
  const T narrow_scale = static_cast<T>(scale);
  row.for_each(
      [&](int64_t at) { dx[at] = ((g(at) - mean_g) - m.from(x[at]) * slope) * narrow_scale; });
}

// dgamma = sum over M of dy (x - mean) rstd, dbeta = sum over M of dy: a reducer of reduction.h
// whose outputs are the columns and whose elements are the rows.
template <class T>
struct ParameterSums {
  struct Value {
    T dy, x;
  };
  struct State {
    Total<T> dgamma, dbeta;
  };
  static constexpr int kPack = 1;
  const T *dy, *x;
  const double *mean, *rstd;
  T *dgamma, *dbeta;

  template <int kCount>
  __device__ Pack<Value, kCount> load(int64_t at) const {
    return {{{dy[at], x[at]}}};
  }
  __device__ State start() const { return {}; }
  __device__ void take(State& state, Value v, int64_t, int64_t row) const {
    const T normalized = Mean<T>(mean[row]).from(v.x) * static_cast<T>(rstd[row]);
    state.dgamma.add(static_cast<double>(v.dy * normalized));
    state.dbeta.add(static_cast<double>(v.dy));
  }
  __device__ State combine(State a, State b) const {
    return {a.dgamma + b.dgamma, a.dbeta + b.dbeta};
  }
  __device__ void finish(State state, int64_t column) const {
    dgamma[column] = static_cast<T>(state.dgamma.rounded());
    dbeta[column] = static_cast<T>(state.dbeta.rounded());
  }
};

ReductionPlan parameter_plan(const LayerNormShape& s) {
  return plan_reduction({1, {s.D}, {1}}, {1, {s.M}, {s.D}}, s.D, s.M);
}

template <class F>
void with_float(const LayerNormShape& s, const F& f) {
  s.dtype == DType::float64 ? f(double{}) : f(float{});
}

}  // namespace

int64_t layer_norm_backward_workspace(const void* shape) {
  const ReductionPlan p = parameter_plan(*static_cast<const LayerNormShape*>(shape));
  return reduction_workspace<ParameterSums<double>>(p);
}

void layer_norm(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const LayerNormShape*>(shape);
  if (s.M == 0) return;
  const void *x = *buffers++, *gamma = s.has_gamma ? *buffers++ : nullptr,
             *beta = s.has_beta ? *buffers++ : nullptr;
  const Teams teams = teams_for(s.D);
  with_float(s, [&]<class T>(T) {
    launch_grid<normalize_rows<T>>(teams.blocks_for(s.M), kBlockThreads, 0, context(ctx).stream,
                                   teams, s, static_cast<const T*>(x), static_cast<const T*>(gamma),
                                   static_cast<const T*>(beta), static_cast<T*>(buffers[0]),
                                   static_cast<double*>(buffers[1]),
                                   static_cast<double*>(buffers[2]));
  });
}

void layer_norm_backward(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const LayerNormShape*>(shape);
  const void *dy = buffers[0], *x = buffers[1];
  const auto *mean = static_cast<const double*>(buffers[2]),
             *rstd = static_cast<const double*>(buffers[3]);
  buffers += 4;
  const void* gamma = s.has_gamma ? *buffers++ : nullptr;
  const Stream stream = context(ctx).stream;
  const Teams teams = teams_for(s.D);
  with_float(s, [&]<class T>(T) {
    const ParameterSums<T> sums{static_cast<const T*>(dy),   static_cast<const T*>(x),   mean, rstd,
                                static_cast<T*>(buffers[1]), static_cast<T*>(buffers[2])};
    if (s.M > 0)
      launch_grid<gradient_of_rows<T>>(teams.blocks_for(s.M), kBlockThreads, 0, stream, teams, s,
                                       sums.dy, sums.x, mean, rstd, static_cast<const T*>(gamma),
                                       static_cast<T*>(buffers[0]));
    if (s.D > 0) run_reduction(parameter_plan(s), sums, workspace, stream);
  });
}

}  // namespace dlx::cuda
