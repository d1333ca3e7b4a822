// What the losses of labels share: the sum over positions of the losses and of the weights, in two
// passes, and the weights of all classes.
#pragma once
#include "cuda/core/context.h"
#include "cuda/core/error_report.h"
#include "cuda/core/grid.h"
#include "cuda/ops/loss_sum.h"
#include "ops/cross_entropy.h"

namespace dlx::cuda {

struct Labelled {
  double loss, weight;  // of a position; 0 where it does not count
};

// The reducer of both sums, see reduction.h.
template <class T>
struct SumOfLabelled {
  struct State {
    Total<double> loss, weight;
  };
  static constexpr int kPack = 1;
  const Labelled* x;
  LossReduction reduction;
  T* loss;  // (), for a mean or a sum
  double* total;

  template <int kCount>
  __device__ Pack<Labelled, kCount> load(int64_t at) const {
    return read_run<kCount>(x + at);
  }
  __device__ State start() const { return {}; }
  __device__ void take(State& state, const Labelled& one, int64_t, int64_t) const {
    state.loss.add(one.loss);
    state.weight.add(one.weight);
  }
  __device__ State combine(const State& a, const State& b) const {
    return {a.loss + b.loss, a.weight + b.weight};
  }
  __device__ void finish(const State& state, int64_t) const {
    const double sum = state.loss.rounded(), weights = state.weight.rounded();
    *total = weights;
    if (reduction == LossReduction::mean) *loss = static_cast<T>(sum / weights);
    if (reduction == LossReduction::sum) *loss = static_cast<T>(sum);
  }
};

// A workspace: what each position has, then the partial sums.
inline int64_t labelled_bytes(int64_t positions) {
  return positions * static_cast<int64_t>(sizeof(Labelled));
}
inline int64_t labelled_workspace(int64_t positions) {
  return labelled_bytes(positions) +
         reduction_workspace<SumOfLabelled<double>>(plan_of_sum(positions));
}

template <class T>
void add_labelled(const CrossEntropyShape& s, T* loss, double* total, void* workspace,
                  Stream stream) {
  const int64_t n = s.positions();
  const SumOfLabelled<T> reducer{static_cast<const Labelled*>(workspace), s.reduction, loss, total};
  run_reduction(plan_of_sum(n), reducer, static_cast<char*>(workspace) + labelled_bytes(n), stream);
}

}  // namespace dlx::cuda
