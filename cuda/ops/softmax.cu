// A team of threads for each vector: its maximum, its sum, then its elements; e^x is computed again
// rather than kept. Where all of a vector is -inf, or one element is inf or NaN, the results are
// NaN by these formulas, as on the CPU.
#include "cuda/core/context.h"
#include "cuda/core/team.h"
#include "cuda/core/totals.h"
#include "ops/softmax.h"

namespace dlx::cuda {

#include "ops/math_functions.h"
// behind it
#include "cuda/ops/exponentials.h"

namespace {

// y = e^(x - top) / sum
template <class T>
__global__ void softmax_rows(Teams teams, SoftmaxShape s, const T* __restrict__ x,
                             T* __restrict__ y) {
  const Row row(teams, s.outer, s.n, s.inner);
  const Exponentials<T> e = exponentials_of(row, x);
  const T scale = static_cast<T>(1 / e.sum);
  row.for_each([&](int64_t at) { y[at] = math::exp(x[at] - e.top) * scale; });
}

// y = x - top - log sum
template <class T>
__global__ void log_softmax_rows(Teams teams, SoftmaxShape s, const T* __restrict__ x,
                                 T* __restrict__ y) {
  const Row row(teams, s.outer, s.n, s.inner);
  const Exponentials<T> e = exponentials_of(row, x);
  const T log_sum = static_cast<T>(math::log(e.sum));
  row.for_each([&](int64_t at) { y[at] = (x[at] - e.top) - log_sum; });
}

// y = top + log sum; infinite where the maximum is, -inf where n is 0
template <class T>
__global__ void logsumexp_rows(Teams teams, SoftmaxShape s, const T* __restrict__ x,
                               T* __restrict__ y) {
  const Row row(teams, s.outer, s.n, s.inner);
  const Exponentials<T> e = exponentials_of(row, x);
  const bool infinite = e.top == neutral<true, T>() || e.top == neutral<false, T>();
  const T value = static_cast<T>(static_cast<double>(e.top) + math::log(e.sum));
  if (row.leads()) y[row.position] = infinite ? e.top : value;
}

// dx = y (dy - sum dy y)
template <class T>
__global__ void softmax_gradient(Teams teams, SoftmaxShape s, const T* __restrict__ dy,
                                 const T* __restrict__ y, T* __restrict__ dx) {
  const Row row(teams, s.outer, s.n, s.inner);
  Total<T> sum{};
  row.for_each(
      [&](int64_t at) { sum.add(static_cast<double>(dy[at]) * static_cast<double>(y[at])); });
  const T dot = static_cast<T>(row.join(sum, Add{}).rounded());
  row.for_each([&](int64_t at) { dx[at] = y[at] * (dy[at] - dot); });
}

// dx = dy - e^y sum dy
template <class T>
__global__ void log_softmax_gradient(Teams teams, SoftmaxShape s, const T* __restrict__ dy,
                                     const T* __restrict__ y, T* __restrict__ dx) {
  const Row row(teams, s.outer, s.n, s.inner);
  Total<T> sum{};
  row.for_each([&](int64_t at) { sum.add(static_cast<double>(dy[at])); });
  const T total = static_cast<T>(row.join(sum, Add{}).rounded());
  row.for_each([&](int64_t at) { dx[at] = dy[at] - math::exp(y[at]) * total; });
}

// dx = dy e^(x - y); dy, y: one a vector
template <class T>
__global__ void logsumexp_gradient(Teams teams, SoftmaxShape s, const T* __restrict__ dy,
                                   const T* __restrict__ x, const T* __restrict__ y,
                                   T* __restrict__ dx) {
  const Row row(teams, s.outer, s.n, s.inner);
  if (!row.exists()) return;
  const T scale = dy[row.position], log_sum = y[row.position];
  row.for_each([&](int64_t at) { dx[at] = scale * math::exp(x[at] - log_sum); });
}

// launch(T{}, blocks, teams)
template <class Launch>
void over_rows(const SoftmaxShape& s, const Launch& launch) {
  const int64_t rows = s.outer * s.inner;
  if (rows == 0) return;
  const Teams teams = teams_for(s.n, s.inner);
  const dim3 blocks = teams.blocks_for(rows);
  s.dtype == DType::float64 ? launch(double{}, blocks, teams) : launch(float{}, blocks, teams);
}

template <class T>
const T* in(void* const* buffers, int i) {
  return static_cast<const T*>(buffers[i]);
}
template <class T>
T* out(void* const* buffers, int i) {
  return static_cast<T*>(buffers[i]);
}

}  // namespace

void softmax(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const SoftmaxShape*>(shape);
  over_rows(s, [&]<class T>(T, dim3 blocks, Teams teams) {
    launch_grid<softmax_rows<T>>(blocks, kBlockThreads, 0, context(ctx).stream, teams, s,
                                 in<T>(buffers, 0), out<T>(buffers, 1));
  });
}

void log_softmax(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const SoftmaxShape*>(shape);
  over_rows(s, [&]<class T>(T, dim3 blocks, Teams teams) {
    launch_grid<log_softmax_rows<T>>(blocks, kBlockThreads, 0, context(ctx).stream, teams, s,
                                     in<T>(buffers, 0), out<T>(buffers, 1));
  });
}

void logsumexp(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const SoftmaxShape*>(shape);
  over_rows(s, [&]<class T>(T, dim3 blocks, Teams teams) {
    launch_grid<logsumexp_rows<T>>(blocks, kBlockThreads, 0, context(ctx).stream, teams, s,
                                   in<T>(buffers, 0), out<T>(buffers, 1));
  });
}

void softmax_backward(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const SoftmaxShape*>(shape);
  over_rows(s, [&]<class T>(T, dim3 blocks, Teams teams) {
    launch_grid<softmax_gradient<T>>(blocks, kBlockThreads, 0, context(ctx).stream, teams, s,
                                     in<T>(buffers, 0), in<T>(buffers, 1), out<T>(buffers, 2));
  });
}

void log_softmax_backward(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const SoftmaxShape*>(shape);
  over_rows(s, [&]<class T>(T, dim3 blocks, Teams teams) {
    launch_grid<log_softmax_gradient<T>>(blocks, kBlockThreads, 0, context(ctx).stream, teams, s,
                                         in<T>(buffers, 0), in<T>(buffers, 1), out<T>(buffers, 2));
  });
}

void logsumexp_backward(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const SoftmaxShape*>(shape);
  over_rows(s, [&]<class T>(T, dim3 blocks, Teams teams) {
    launch_grid<logsumexp_gradient<T>>(blocks, kBlockThreads, 0, context(ctx).stream, teams, s,
                                       in<T>(buffers, 0), in<T>(buffers, 1), in<T>(buffers, 2),
                                       out<T>(buffers, 3));
  });
}

}  // namespace dlx::cuda
