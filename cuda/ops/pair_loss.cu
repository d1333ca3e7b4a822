#include "cuda/ops/pairs.h"
#include "ops/pair_loss.h"

namespace dlx::cuda {

#include "ops/math_functions.h"
#include "ops/pair_functions.h"

namespace {

// One of pair_functions.h, weighted.
template <class F>
struct Weighted {
  static constexpr bool kLong = true;
  static constexpr bool kProbability = std::is_same_v<F, BinaryCrossEntropy>;
  template <class T>
  __device__ static T loss(const Pair<T>& pair) {
    return F::template loss<T>(pair.x, pair.target, pair.parameter) * pair.weight;
  }
  template <class T>
  __device__ static double term(const Pair<T>& pair) {
    return static_cast<double>(loss(pair));
  }
  template <class T>
  __device__ static T gradient(const Pair<T>& pair, T scale) {
    const T slope = scale * F::template slope<T>(pair.x, pair.target, pair.parameter);
    return slope * pair.weight * pair.dloss;
  }
};

// buffers: x, target[, weight][, parameters]
template <class T>
Pairs<T> pairs_of(Ctx& ctx, const PairLossShape& s, void* const* buffers) {
  const auto array = [&](int i) { return static_cast<const T*>(buffers[i]); };
  return {array(0),
          array(1),
          s.weighted ? array(2) : nullptr,
          s.parametrised ? array(2 + s.weighted) : nullptr,
          nullptr,
          static_cast<T>(s.parameter),
          s.n,
          error_of(ctx)};
}

double divisor_of(const PairLossShape& s) {
  return s.reduction == LossReduction::mean ? static_cast<double>(s.n) : 1;
}

template <class F, class T>
void forward(Ctx& ctx, const PairLossShape& s, void* const* buffers, void* workspace) {
  const Stream stream = context(ctx).stream;
  const Pairs<T> in = pairs_of<T>(ctx, s, buffers);
  auto* loss = static_cast<T*>(buffers[2 + s.weighted + s.parametrised]);
  if (s.reduction == LossReduction::none)
    return launch_map<LossOf<Weighted<F>>>(in, Scale<T>{nullptr, 1, 1}, loss, stream);
  launch_sum<Weighted<F>>(in, divisor_of(s), loss, workspace, stream);
}

template <class F, class T>
void backward(Ctx& ctx, const PairLossShape& s, void* const* buffers) {
  Pairs<T> in = pairs_of<T>(ctx, s, buffers + 1);
  const auto* dloss = static_cast<const T*>(buffers[0]);
  const bool each = s.reduction == LossReduction::none;
  if (each) in.dloss = dloss;
  const Scale<T> scale{each ? nullptr : dloss, 1, divisor_of(s)};
  auto* dx = static_cast<T*>(buffers[3 + s.weighted + s.parametrised]);
  launch_map<GradientOf<Weighted<F>>>(in, scale, dx, context(ctx).stream);
}

// f(F{}, T{}) with the formula and the element type.
template <class Call>
void choose(const PairLossShape& s, const Call& f) {
  const auto of_dtype = [&]<class F>(F formula) {
    s.dtype == DType::float64 ? f(formula, double{}) : f(formula, float{});
  };
  switch (s.kind) {
    case PairLoss::l1:
      return of_dtype(L1{});
    case PairLoss::smooth_l1:
      return of_dtype(SmoothL1{});
    case PairLoss::huber:
      return of_dtype(Huber{});
    case PairLoss::binary_cross_entropy:
      return of_dtype(BinaryCrossEntropy{});
    case PairLoss::with_logits:
      return of_dtype(WithLogits{});
    case PairLoss::kl_div:
      return of_dtype(KlDiv{});
  }
}

}  // namespace

int64_t pair_loss_workspace(const void* shape) {
  return sum_of_pairs_workspace(static_cast<const PairLossShape*>(shape)->n);
}

// x, target[, weight][, parameters]: (n)  loss: (n) or ()
void pair_loss(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const PairLossShape*>(shape);
  choose(s, [&]<class F, class T>(F, T) { forward<F, T>(ctx, s, buffers, workspace); });
}

// dloss: (n) or ()  x, target[, weight][, parameters], dx: (n)
void pair_loss_backward(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const PairLossShape*>(shape);
  choose(s, [&]<class F, class T>(F, T) { backward<F, T>(ctx, s, buffers); });
}

}  // namespace dlx::cuda
