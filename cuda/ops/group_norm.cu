// Statistics of groups and sums of planes by the engine of reductions; then a pass over x, for
// which every plane of a sample is a channel of its own.
#include "cuda/core/divide.h"
#include "cuda/core/moments.h"
#include "cuda/core/reduction.h"
#include "cuda/core/totals.h"
#include "cuda/ops/channel_pass.h"
#include "ops/group_norm.h"

namespace dlx::cuda {

namespace {

// x -> mean, rstd: a reducer of reduction.h.
template <class T>
struct GroupMoments {
  using State = Moments<T>;
  static constexpr int kPack = kAccessBytes / sizeof(T);
  GroupNormShape s;
  const T* x;
  double *mean, *rstd;

  template <int kCount>
  __device__ Pack<T, kCount> load(int64_t at) const {
    return read_run<kCount>(x + at);
  }
  __device__ State start() const { return {}; }
  __device__ void take(State& state, T value, int64_t, int64_t) const { state.take(value); }
  __device__ State combine(const State& a, const State& b) const { return a.with(b); }
  __device__ void finish(const State& state, int64_t row) const {
    mean[row] = static_cast<double>(state.first) + static_cast<double>(state.mean);
    rstd[row] = 1 / sqrt(static_cast<double>(state.square) / s.values() + s.eps);
  }
};

// dy, x -> of each plane the sums of dy and of dy (x - mean): likewise.
struct PlaneSums {
  double dy, product;
};
template <class T>
struct PlaneProducts {
  struct Value {
    T dy, x;
  };
  struct State {
    Total<T> dy, product;
  };
  static constexpr int kPack = kAccessBytes / sizeof(T);
  GroupNormShape s;
  const T *dy, *x;
  const double* mean;
  PlaneSums* sums;

  template <int kCount>
  __device__ Pack<Value, kCount> load(int64_t at) const {
    const Pack<T, kCount> dys = read_run<kCount>(dy + at), xs = read_run<kCount>(x + at);
    Pack<Value, kCount> both;
#pragma unroll
    for (int k = 0; k < kCount; ++k) both.value[k] = {dys.value[k], xs.value[k]};
    return both;
  }
  __device__ State start() const { return {}; }
  __device__ void take(State& state, Value v, int64_t plane, int64_t) const {
    const Mean<T> m(mean[divide(plane, s.channels()).quotient]);
    state.dy.add(static_cast<double>(v.dy));
    state.product.add(static_cast<double>(v.dy * m.from(v.x)));
  }
  __device__ State combine(const State& a, const State& b) const {
    return {a.dy + b.dy, a.product + b.product};
  }
  __device__ void finish(const State& state, int64_t plane) const {
    sums[plane] = {state.dy.rounded(), state.product.rounded()};
  }
};

template <class T>
__global__ void affine_of_planes(GroupNormShape s, const double* __restrict__ mean,
                                 const double* __restrict__ rstd, const T* __restrict__ gamma,
                                 const T* __restrict__ beta, Affine<T>* affine) {
  for_each_item(s.planes(), [&](int64_t plane) {
    const int64_t row = plane / s.channels(), c = plane % s.C;
    affine[plane] = {Mean<T>(mean[row]), static_cast<T>(rstd[row] * value_or(gamma, c, 1)),
                     static_cast<T>(value_or(beta, c, 0))};
  });
}

// dx = ((dy gamma - mean_g) - (x - mean) slope) rstd
template <class T>
struct alignas(2 * sizeof(T)) GroupGradient {
  Mean<T> mean;
  T gamma, mean_g, slope, rstd;
};

// A group after the other: it has few channels.
template <class T>
__global__ void gradient_of_groups(GroupNormShape s, const PlaneSums* __restrict__ sums,
                                   const double* __restrict__ mean, const double* __restrict__ rstd,
                                   const T* __restrict__ gamma, GroupGradient<T>* gradient) {
  for_each_item(s.rows(), [&](int64_t row) {
    const int64_t first = row * s.channels();
    const auto weight = [&](int64_t i) { return value_or(gamma, (first + i) % s.C, 1); };
    double g = 0, g_d = 0;
    for (int64_t i = 0; i < s.channels(); ++i) {
      g += weight(i) * sums[first + i].dy;
      g_d += weight(i) * sums[first + i].product;
    }
    const double r = rstd[row];
    for (int64_t i = 0; i < s.channels(); ++i)
      gradient[first + i] = {Mean<T>(mean[row]), static_cast<T>(weight(i)),
                             static_cast<T>(g / s.values()),
                             static_cast<T>(g_d / s.values() * r * r), static_cast<T>(r)};
  });
}

// The pass over x, as channel_pass.h's Normalize.
template <class T>
struct GroupGradientOfX {
  const T *dy, *x;
  const GroupGradient<T>* of_plane;

  template <int kCount>
  __device__ Pack<T, kCount> run(int64_t i, ChannelOf plane) const {
    Pack<T, kCount> dys = read_run<kCount>(dy + i), xs = read_run<kCount>(x + i);
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const GroupGradient<T>& g = of_plane[plane.next()];
      const T off = g.mean.from(xs.value[k]);
      dys.value[k] = ((dys.value[k] * g.gamma - g.mean_g) - off * g.slope) * g.rstd;
    }
    return dys;
  }
};

template <class T>
__global__ void parameters_of_planes(GroupNormShape s, const PlaneSums* __restrict__ sums,
                                     const double* __restrict__ rstd, T* __restrict__ dgamma,
                                     T* __restrict__ dbeta) {
  for_each_item(s.C, [&](int64_t c) {
    const int64_t group = c / s.channels();
    double gamma = 0, beta = 0;
    for (int64_t n = 0; n < s.N; ++n) {
      const PlaneSums& of = sums[n * s.C + c];
      gamma += of.product * rstd[n * s.G + group];
      beta += of.dy;
    }
    dgamma[c] = static_cast<T>(gamma), dbeta[c] = static_cast<T>(beta);
  });
}

// For `outputs` vectors of n elements, one after the other.
ReductionPlan plan_of_rows(int64_t outputs, int64_t n) {
  return plan_reduction({1, {outputs}, {n}}, {1, {n}, {1}}, outputs, n);
}
template <class R>
void reduce_rows(int64_t outputs, int64_t n, const R& r, bool aligned, void* work, Stream stream) {
  ReductionPlan plan = plan_of_rows(outputs, n);
  plan.packed = aligned && reads_packs(plan, r.x, R::kPack);
  run_reduction(plan, r, work, stream);
}

Channels planes_of(const GroupNormShape& s) { return {1, s.planes(), s.L}; }

template <class F>
void with_float(const GroupNormShape& s, const F& f) {
  s.dtype == DType::float64 ? f(double{}) : f(float{});
}

}  // namespace

// What the pass over x needs of each plane, then partial states.
int64_t group_norm_workspace(const void* shape) {
  const auto& s = *static_cast<const GroupNormShape*>(shape);
  return s.planes() * static_cast<int64_t>(sizeof(Affine<double>)) +
         reduction_workspace<GroupMoments<double>>(plan_of_rows(s.rows(), s.D()));
}

// Likewise, with the sums of each plane between them.
int64_t group_norm_backward_workspace(const void* shape) {
  const auto& s = *static_cast<const GroupNormShape*>(shape);
  return s.planes() * static_cast<int64_t>(sizeof(GroupGradient<double>) + sizeof(PlaneSums)) +
         reduction_workspace<PlaneProducts<double>>(plan_of_rows(s.planes(), s.L));
}

void group_norm(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const GroupNormShape*>(shape);
  const Stream stream = context(ctx).stream;
  if (s.rows() == 0) return;
  with_float(s, [&]<class T>(T) {
    const auto take = [&](bool there) { return there ? static_cast<T*>(*buffers++) : nullptr; };
    const T *x = take(true), *gamma = take(s.has_gamma), *beta = take(s.has_beta);
    T* y = take(true);
    auto *mean = static_cast<double*>(buffers[0]), *rstd = static_cast<double*>(buffers[1]);
    auto* affine = static_cast<Affine<T>*>(workspace);
    reduce_rows(s.rows(), s.D(), GroupMoments<T>{s, x, mean, rstd}, true,
                static_cast<Affine<double>*>(workspace) + s.planes(), stream);
    if (s.size() == 0) return;
    launch_grid<affine_of_planes<T>>(blocks_for(s.planes()), kBlockThreads, 0, stream, s, mean,
                                     rstd, gamma, beta, affine);
    const Normalize<T> pass{x, nullptr, affine, false};
    launch_pass(planes_of(s), pass, y, pass.aligned(), stream);
  });
}

void group_norm_backward(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const GroupNormShape*>(shape);
  const Stream stream = context(ctx).stream;
  if (s.C == 0) return;
  with_float(s, [&]<class T>(T) {
    const auto *dy = static_cast<const T*>(buffers[0]), *x = static_cast<const T*>(buffers[1]);
    const auto *mean = static_cast<const double*>(buffers[2]),
               *rstd = static_cast<const double*>(buffers[3]);
    buffers += 4;
    const T* gamma = s.has_gamma ? static_cast<const T*>(*buffers++) : nullptr;
    T *dx = static_cast<T*>(buffers[0]), *dgamma = static_cast<T*>(buffers[1]),
      *dbeta = static_cast<T*>(buffers[2]);
    auto* gradient = static_cast<GroupGradient<T>*>(workspace);
    auto* sums =
        reinterpret_cast<PlaneSums*>(static_cast<GroupGradient<double>*>(workspace) + s.planes());
    if (s.N > 0) {
      const bool aligned = is_aligned(dy) && is_aligned(x);
      reduce_rows(s.planes(), s.L, PlaneProducts<T>{s, dy, x, mean, sums}, aligned,
                  &sums[s.planes()], stream);
      launch_grid<gradient_of_groups<T>>(blocks_for(s.rows()), kBlockThreads, 0, stream, s, sums,
                                         mean, rstd, gamma, gradient);
      launch_pass(planes_of(s), GroupGradientOfX<T>{dy, x, gradient}, dx, aligned, stream);
    }
    launch_grid<parameters_of_planes<T>>(blocks_for(s.C), kBlockThreads, 0, stream, s, sums, rstd,
                                         dgamma, dbeta);
  });
}

}  // namespace dlx::cuda
