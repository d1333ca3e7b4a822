// Statistics of channels by the engine of reductions, whose last step leaves what the pass over x
// needs of each channel.
#include "cuda/core/context.h"
#include "cuda/core/moments.h"
#include "cuda/core/reduction.h"
#include "cuda/core/totals.h"
#include "cuda/ops/channel_pass.h"
#include "ops/batch_norm.h"

namespace dlx::cuda {

namespace {

// What a channel does to its gradient, read at once.
template <class T>
struct alignas(4 * sizeof(T)) Gradient {
  Mean<T> mean;
  T mean_dy, slope, scale;
  __device__ T of(T dy, T x) const { return ((dy - mean_dy) - mean.from(x) * slope) * scale; }
};

// Of a channel; 1 for none, so that statistics and gradients of nothing are 0.
__device__ inline double values(const BatchNormShape& s) {
  return static_cast<double>(max(s.N * s.L, int64_t{1}));
}

// x -> mean, rstd, var, affine: a reducer of reduction.h.
template <class T>
struct ChannelMoments {
  using State = Moments<T>;
  static constexpr int kPack = kAccessBytes / sizeof(T);
  BatchNormShape s;
  const T *x, *gamma, *beta;
  double *mean, *rstd, *var;
  Affine<T>* affine;

  template <int kCount>
  __device__ Pack<T, kCount> load(int64_t at) const {
    return read_run<kCount>(x + at);
  }
  __device__ State start() const { return {}; }
  __device__ void take(State& state, T value, int64_t, int64_t) const { state.take(value); }
  __device__ State combine(const State& a, const State& b) const { return a.with(b); }
  __device__ void finish(const State& state, int64_t c) const {
    const double m = static_cast<double>(state.first) + static_cast<double>(state.mean);
    const double v = static_cast<double>(state.square) / values(s);
    const double r = 1 / sqrt(v + s.eps);
    mean[c] = m, var[c] = v, rstd[c] = r;
    affine[c] = {Mean<T>(m), static_cast<T>(r * value_or(gamma, c, 1)),
                 static_cast<T>(value_or(beta, c, 0))};
  }
};

// dy, x -> dgamma, dbeta, gradient: likewise.
template <class T>
struct ChannelProducts {
  struct Value {
    T dy, x;
  };
  struct State {
    Total<T> dy, product;
  };
  static constexpr int kPack = kAccessBytes / sizeof(T);
  BatchNormShape s;
  const T *dy, *x;
  const double *mean, *rstd;
  const T* gamma;
  T *dgamma, *dbeta;
  Gradient<T>* gradient;

  template <int kCount>
  __device__ Pack<Value, kCount> load(int64_t at) const {
    const Pack<T, kCount> dys = read_run<kCount>(dy + at), xs = read_run<kCount>(x + at);
    Pack<Value, kCount> both;
#pragma unroll
    for (int k = 0; k < kCount; ++k) both.value[k] = {dys.value[k], xs.value[k]};
    return both;
  }
  __device__ State start() const { return {}; }
  __device__ void take(State& state, Value v, int64_t c, int64_t) const {
    state.dy.add(static_cast<double>(v.dy));
    state.product.add(static_cast<double>(v.dy * Mean<T>(mean[c]).from(v.x)));
  }
  __device__ State combine(const State& a, const State& b) const {
    return {a.dy + b.dy, a.product + b.product};
  }
  __device__ void finish(const State& state, int64_t c) const {
    const double sum = state.dy.rounded(), product = state.product.rounded(), r = rstd[c];
    dbeta[c] = static_cast<T>(sum);
    dgamma[c] = static_cast<T>(product * r);
    gradient[c] = {Mean<T>(mean[c]), static_cast<T>(sum / values(s)),
                   static_cast<T>(product / values(s) * r * r),
                   static_cast<T>(r * value_or(gamma, c, 1))};
  }
};

// For batch_norm_inference.
template <class T>
__global__ void affine_of_running(BatchNormShape s, const T* __restrict__ mean,
                                  const T* __restrict__ var, const T* __restrict__ gamma,
                                  const T* __restrict__ beta, Affine<T>* affine) {
  for_each_item(s.C, [&](int64_t c) {
    const double scale = value_or(gamma, c, 1) / sqrt(static_cast<double>(var[c]) + s.eps);
    affine[c] = {Mean<T>(static_cast<double>(mean[c])), static_cast<T>(scale),
                 static_cast<T>(value_or(beta, c, 0))};
  });
}

// For batch_norm_apply.
template <class T>
__global__ void affine_of_statistics(BatchNormShape s, const double* __restrict__ mean,
                                     const double* __restrict__ rstd, const T* __restrict__ gamma,
                                     const T* __restrict__ beta, Affine<T>* affine) {
  for_each_item(s.C, [&](int64_t c) {
    affine[c] = {Mean<T>(mean[c]), static_cast<T>(rstd[c] * value_or(gamma, c, 1)),
                 static_cast<T>(value_or(beta, c, 0))};
  });
}

// The pass over x of the gradient, as channel_pass.h's Normalize.
template <class T>
struct GradientOfX {
  const T *dy, *x;
  const Gradient<T>* of_channel;
  bool training;

  template <int kCount>
  __device__ Pack<T, kCount> run(int64_t i, ChannelOf channel) const {
    Pack<T, kCount> dys = read_run<kCount>(dy + i), xs{};
    if (training) xs = read_run<kCount>(x + i);
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const Gradient<T>& g = of_channel[channel.next()];
      dys.value[k] = training ? g.of(dys.value[k], xs.value[k]) : dys.value[k] * g.scale;
    }
    return dys;
  }
};

template <class T>
void launch_normalize(const BatchNormShape& s, const Normalize<T>& pass, T* y, Stream stream) {
  launch_pass(Channels{s.N, s.C, s.L}, pass, y, pass.aligned(), stream);
}

// Over N and L.
ReductionPlan plan_of(const BatchNormShape& s) {
  const ReduceDims channels{1, {s.C}, {s.L}}, columns{1, {s.N}, {s.C}};
  const ReduceDims planes{2, {s.N, s.L}, {s.C * s.L, 1}};
  return plan_reduction(channels, s.L == 1 ? columns : planes, s.C, s.N * s.L);
}

// The workspace: what the pass over x needs of each channel, then partial states.
template <class PerChannel>
PerChannel* per_channel(void* workspace) {
  return static_cast<PerChannel*>(workspace);
}
template <class R>
void reduce_channels(const R& reducer, bool aligned, void* workspace, Stream stream) {
  ReductionPlan plan = plan_of(reducer.s);
  plan.packed = aligned && reads_packs(plan, reducer.x, R::kPack);
  run_reduction(plan, reducer, per_channel<Gradient<double>>(workspace) + reducer.s.C, stream);
}

// The buffers of a launch, one after the other.
struct Buffers {
  void* const* next;
  template <class T>
  T* take(bool there = true) {
    return there ? static_cast<T*>(*next++) : nullptr;
  }
};

template <class F>
void with_float(const BatchNormShape& s, const F& f) {
  s.dtype == DType::float64 ? f(double{}) : f(float{});
}

}  // namespace

int64_t batch_norm_workspace(const void* shape) {
  const auto& s = *static_cast<const BatchNormShape*>(shape);
  constexpr int64_t kPerChannel = sizeof(Gradient<double>);
  static_assert(sizeof(Affine<double>) <= kPerChannel);
  static_assert(sizeof(Moments<double>) == sizeof(ChannelProducts<double>::State));
  return s.C * kPerChannel + reduction_workspace<ChannelMoments<double>>(plan_of(s));
}

void batch_norm(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const BatchNormShape*>(shape);
  const Stream stream = context(ctx).stream;
  if (s.C == 0) return;
  with_float(s, [&]<class T>(T) {
    Buffers b{buffers};
    const T *x = b.take<T>(), *gamma = b.take<T>(s.has_gamma), *beta = b.take<T>(s.has_beta),
            *r = b.take<T>(s.adds);
    T* y = b.take<T>();
    double *mean = b.take<double>(), *rstd = b.take<double>(), *var = b.take<double>();
    auto* affine = per_channel<Affine<T>>(workspace);
    const ChannelMoments<T> moments{s, x, gamma, beta, mean, rstd, var, affine};
    reduce_channels(moments, true, workspace, stream);
    launch_normalize(s, Normalize<T>{x, r, affine, s.relu}, y, stream);
  });
}

void batch_norm_apply(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const BatchNormShape*>(shape);
  const Stream stream = context(ctx).stream;
  if (s.C == 0) return;
  with_float(s, [&]<class T>(T) {
    Buffers b{buffers};
    const T *x = b.take<T>(), *gamma = b.take<T>(s.has_gamma), *beta = b.take<T>(s.has_beta),
            *r = b.take<T>(s.adds);
    const double *mean = b.take<double>(), *rstd = b.take<double>();
    b.take<double>();  // var
    auto* affine = per_channel<Affine<T>>(workspace);
    launch_grid<affine_of_statistics<T>>(blocks_for(s.C), kBlockThreads, 0, stream, s, mean, rstd,
                                         gamma, beta, affine);
    launch_normalize(s, Normalize<T>{x, r, affine, s.relu}, b.take<T>(), stream);
  });
}

void batch_norm_inference(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const BatchNormShape*>(shape);
  const Stream stream = context(ctx).stream;
  if (s.C == 0) return;
  with_float(s, [&]<class T>(T) {
    Buffers b{buffers};
    const T *x = b.take<T>(), *mean = b.take<T>(), *var = b.take<T>();
    const T *gamma = b.take<T>(s.has_gamma), *beta = b.take<T>(s.has_beta), *r = b.take<T>(s.adds);
    auto* affine = per_channel<Affine<T>>(workspace);
    launch_grid<affine_of_running<T>>(blocks_for(s.C), kBlockThreads, 0, stream, s, mean, var,
                                      gamma, beta, affine);
    launch_normalize(s, Normalize<T>{x, r, affine, s.relu}, b.take<T>(), stream);
  });
}

void batch_norm_backward(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const BatchNormShape*>(shape);
  const Stream stream = context(ctx).stream;
  if (s.C == 0) return;
  with_float(s, [&]<class T>(T) {
    Buffers b{buffers};
    const T *dy = b.take<T>(), *x = b.take<T>();
    const double *mean = b.take<double>(), *rstd = b.take<double>();
    const T* gamma = b.take<T>(s.has_gamma);
    T *dx = b.take<T>(), *dgamma = b.take<T>(), *dbeta = b.take<T>();
    auto* gradient = per_channel<Gradient<T>>(workspace);
    const ChannelProducts<T> products{s, dy, x, mean, rstd, gamma, dgamma, dbeta, gradient};
    reduce_channels(products, is_aligned(dy), workspace, stream);
    launch_pass(Channels{s.N, s.C, s.L}, GradientOfX<T>{dy, x, gradient, s.training}, dx,
                is_aligned(dy) && is_aligned(x), stream);
  });
}

}  // namespace dlx::cuda
