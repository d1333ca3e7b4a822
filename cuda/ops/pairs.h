// The losses of pairs of numbers, whose arrays lie side by side: each of them, or their sum in two
// passes; and their gradients. A formula F says what one pair gives:
//   loss(pair)             the pair's loss
//   term(pair)             the same in float64, to be added
//   gradient(pair, scale)  scale dloss/dx
//   kProbability           x has to be from 0 to 1
//   kLong                  not worth a copy in the compiled sum for each element of 16 bytes
#pragma once
#include "cuda/core/context.h"
#include "cuda/core/error_report.h"
#include "cuda/core/grid.h"
#include "cuda/ops/loss_sum.h"
#include "ops/cross_entropy.h"

namespace dlx::cuda {

// What stands at one place of the arrays.
template <class T>
struct Pair {
  T x, target, weight, parameter, dloss;
};

// The arrays; the last three may be null: weight 1, `parameter`, dloss 1.
template <class T>
struct Pairs {
  static constexpr int kPack = kAccessBytes / sizeof(T);
  const T *x, *target, *weight, *parameters, *dloss;
  T parameter;
  int64_t n;
  ErrorReport* error;

  template <int kCount>
  __device__ Pack<Pair<T>, kCount> load(int64_t at) const {
    Pack<Pair<T>, kCount> pairs;
    const auto a = read_run<kCount>(x + at), b = read_run<kCount>(target + at);
    Pack<T, kCount> w, p, d;
    if (weight) w = read_run<kCount>(weight + at);
    if (parameters) p = read_run<kCount>(parameters + at);
    if (dloss) d = read_run<kCount>(dloss + at);
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      pairs.value[k] = {a.value[k], b.value[k], weight ? w.value[k] : T{1},
                        parameters ? p.value[k] : parameter, dloss ? d.value[k] : T{1}};
    }
    return pairs;
  }
  bool aligned() const {
    return is_aligned(x) && is_aligned(target) && is_aligned(weight) && is_aligned(parameters) &&
           is_aligned(dloss);
  }
};

template <class F, class T>
__device__ void check_pair(const Pairs<T>& in, const Pair<T>& pair, int64_t i) {
  if constexpr (F::kProbability) {
    if (pair.x < 0 || pair.x > 1)
      report(in.error, i, __builtin_bit_cast(int64_t, static_cast<double>(pair.x)), in.n);
  }
}

// The factor of a gradient: factor dloss / divisor, rounded once. dloss: (), or null for 1.
template <class T>
struct Scale {
  const T* dloss;
  double factor, divisor;
  __device__ T value() const {
    return static_cast<T>(factor * (dloss ? static_cast<double>(*dloss) : 1) / divisor);
  }
};

template <class F>
struct LossOf {
  template <class T>
  __device__ T operator()(const Pairs<T>& in, const Pair<T>& pair, int64_t i, T) const {
    check_pair<F>(in, pair, i);
    return F::loss(pair);
  }
};
template <class F>
struct GradientOf {
  template <class T>
  __device__ T operator()(const Pairs<T>&, const Pair<T>& pair, int64_t, T scale) const {
    return F::gradient(pair, scale);
  }
};

// y[i] = f(pair i), 16 bytes of each array at a time; behind them, or where an array is not
// aligned, one by one.
template <class F, class T>
__global__ void map_pairs(Pairs<T> in, Scale<T> scale, int64_t packs, T* y) {
  constexpr int kCount = Pairs<T>::kPack;
  const T factor = scale.value();
  for_each_item(packs, [&](int64_t i) {
    const auto pairs = in.template load<kCount>(i * kCount);
    Pack<T, kCount> result;
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      result.value[k] = F{}(in, pairs.value[k], i * kCount + k, factor);
    write_run(y + i * kCount, result);
  });
  const int64_t rest = packs * kCount;
  for_each_item(in.n - rest, [&](int64_t i) {
    y[rest + i] = F{}(in, in.template load<1>(rest + i).value[0], rest + i, factor);
  });
}

template <class F, class T>
void launch_map(const Pairs<T>& in, const Scale<T>& scale, T* y, Stream stream) {
  if (in.n == 0) return;
  const int64_t packs = in.aligned() && is_aligned(y) ? in.n / Pairs<T>::kPack : 0;
  launch_grid<map_pairs<F, T>>(blocks_for(packs ? packs : in.n), kBlockThreads, 0, stream, in,
                               scale, packs, y);
}

// The reducer of the sum, see reduction.h.
template <class F, class T>
struct SumOfPairs {
  using State = Total<T>;
  static constexpr int kPack = F::kLong ? 1 : Pairs<T>::kPack;
  Pairs<T> in;
  double divisor;
  T* loss;

  template <int kCount>
  __device__ auto load(int64_t at) const {
    return in.template load<kCount>(at);
  }
  __device__ State start() const { return {}; }
  __device__ void take(State& state, const Pair<T>& pair, int64_t, int64_t i) const {
    check_pair<F>(in, pair, i);
    state.add(F::term(pair));
  }
  __device__ State combine(State a, State b) const { return a + b; }
  __device__ void finish(State state, int64_t) const {
    *loss = static_cast<T>(state.rounded() / divisor);
  }
};

inline int64_t sum_of_pairs_workspace(int64_t n) {
  return reduction_workspace<SumOfReals<double>>(plan_of_sum(n));
}

template <class F, class T>
void launch_sum(const Pairs<T>& in, double divisor, T* loss, void* workspace, Stream stream) {
  ReductionPlan plan = plan_of_sum(in.n);
  plan.packed = in.aligned() && in.n % SumOfPairs<F, T>::kPack == 0;
  run_reduction(plan, SumOfPairs<F, T>{in, divisor, loss}, workspace, stream);
}

}  // namespace dlx::cuda
