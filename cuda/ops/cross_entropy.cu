// A team of threads for each position: its vector's maximum, its sum of exponentials, and with
// smoothed labels its weighted sum; then the losses are added. The gradient is elementwise, from
// what forward kept.
#include "cuda/core/team.h"
#include "cuda/ops/labelled.h"
#include "ops/cross_entropy.h"

namespace dlx::cuda {

#include "ops/math_functions.h"
// behind it
#include "cuda/ops/exponentials.h"

namespace {

// The sum of the weights of all classes, for smoothed labels.
struct ClassWeights {
  const double* sum;  // null: ones, or not needed
  double classes;
  __device__ double all() const { return sum ? *sum : classes; }
};

template <class T>
__device__ double weight_of(const T* weight, int64_t c) {
  return weight ? static_cast<double>(weight[c]) : 1;
}

// x: (N, C, inner)  target: (N, inner)  weight: (C) or null  loss: (N, inner) or null
// norm: (2, N, inner)
template <class T>
__global__ void find_losses(Teams teams, CrossEntropyShape s, const T* __restrict__ x,
                            const int64_t* __restrict__ target, const T* __restrict__ weight,
                            ClassWeights weights, T* loss, T* norm, Labelled* each,
                            ErrorReport* error) {
  const Row row(teams, s.n, s.classes, s.inner);
  const Exponentials<T> e = exponentials_of(row, x);
  double scores = 0;  // the weighted sum of x
  if (s.label_smoothing > 0) {
    Total<T> sum{};
    row.for_each([&](int64_t at) {
      sum.add(weight_of(weight, (at - row.first) / s.inner) * static_cast<double>(x[at]));
    });
    scores = row.join(sum, Add{}).rounded();
  }
  if (!row.leads()) return;

  const int64_t p = row.position, t = s.counted(target[p]);
  if (s.is_wrong(target[p])) report(error, p, target[p], s.classes);
  const double top = static_cast<double>(e.top), log_sum = math::log(e.sum);
  norm[p] = e.top;
  norm[s.positions() + p] = static_cast<T>(log_sum);
  Labelled here{0, 0};
  if (t >= 0) {
    const double smoothing = s.label_smoothing, even = smoothing / static_cast<double>(s.classes);
    const double at_label = static_cast<double>(x[row.first + t * s.inner]);
    here.weight = weight_of(weight, t);
    here.loss = (1 - smoothing) * here.weight * (log_sum - (at_label - top));
    if (smoothing > 0) here.loss += even * (weights.all() * (top + log_sum) - scores);
  }
  each[p] = here;
  if (loss) loss[p] = static_cast<T>(here.loss);
}

// dx = a e^(x - top - log_sum) - b weight, and at the label less its share; 0 where the position
// does not count, even where its scores are not finite.
template <class T>
__global__ void find_gradients(Teams teams, CrossEntropyShape s, const T* __restrict__ dloss,
                               const T* __restrict__ x, const int64_t* __restrict__ target,
                               const T* __restrict__ norm, const double* __restrict__ total,
                               const T* __restrict__ weight, ClassWeights weights,
                               T* __restrict__ dx) {
  const Row row(teams, s.n, s.classes, s.inner);
  if (!row.exists()) return;
  const int64_t p = row.position, t = s.counted(target[p]);
  if (t < 0) return row.for_each([&](int64_t at) { dx[at] = T{}; });

  const double smoothing = s.label_smoothing, even = smoothing / static_cast<double>(s.classes);
  double scale = static_cast<double>(dloss[s.reduction == LossReduction::none ? p : 0]);
  if (s.reduction == LossReduction::mean) scale /= *total;
  const double label_weight = (1 - smoothing) * weight_of(weight, t);
  const double q = smoothing > 0 ? label_weight + even * weights.all() : label_weight;
  const T a = static_cast<T>(scale * q), b = static_cast<T>(scale * even);
  const T top = norm[p], log_sum = norm[s.positions() + p];
  const T share = static_cast<T>(scale * (1 - smoothing) * weight_of(weight, t));
  const int64_t label_at = row.first + t * s.inner;
  row.for_each([&](int64_t at) {
    T y = a * math::exp((x[at] - top) - log_sum);
    if (smoothing > 0) y -= b * (weight ? weight[(at - row.first) / s.inner] : T{1});
    dx[at] = at == label_at ? y - share : y;
  });
}

// Puts the sum of the weights into memory, where it is needed. to: a float64, then a workspace.
template <class T>
ClassWeights add_weights(const CrossEntropyShape& s, const T* weight, void* to, Stream stream) {
  if (!weight || s.label_smoothing == 0) return {nullptr, static_cast<double>(s.classes)};
  auto* sum = static_cast<double*>(to);
  run_reduction(plan_of_sum(s.classes), SumOfReals<T>{{weight}, Quotient{sum, 1, true}}, sum + 1,
                stream);
  return {sum, 0};
}

int64_t weights_workspace(const CrossEntropyShape& s) {
  if (!s.weighted || s.label_smoothing == 0) return 0;
  return static_cast<int64_t>(sizeof(double)) +
         reduction_workspace<SumOfReals<double>>(plan_of_sum(s.classes));
}

template <class T>
void forward(Ctx& ctx, const CrossEntropyShape& s, void* const* buffers, void* workspace) {
  const Context& c = context(ctx);
  const auto* weight = s.weighted ? static_cast<const T*>(buffers[2]) : nullptr;
  void* const* out = buffers + 2 + s.weighted;
  auto* loss = static_cast<T*>(out[0]);
  if (s.positions() > 0) {
    const Teams teams = teams_for(s.classes, s.inner);
    const ClassWeights weights = add_weights(
        s, weight, static_cast<char*>(workspace) + labelled_workspace(s.positions()), c.stream);
    launch_grid<find_losses<T>>(
        teams.blocks_for(s.positions()), kBlockThreads, 0, c.stream, teams, s,
        static_cast<const T*>(buffers[0]), static_cast<const int64_t*>(buffers[1]), weight, weights,
        s.reduction == LossReduction::none ? loss : nullptr, static_cast<T*>(out[1]),
        static_cast<Labelled*>(workspace), error_of(ctx));
  }
  add_labelled(s, loss, static_cast<double*>(out[2]), workspace, c.stream);
}

template <class T>
void backward(Ctx& ctx, const CrossEntropyShape& s, void* const* buffers, void* workspace) {
  const Stream stream = context(ctx).stream;
  if (s.positions() == 0) return;
  const auto* weight = s.weighted ? static_cast<const T*>(buffers[5]) : nullptr;
  const Teams teams = teams_for(s.classes, s.inner);
  const ClassWeights weights = add_weights(s, weight, workspace, stream);
  launch_grid<find_gradients<T>>(
      teams.blocks_for(s.positions()), kBlockThreads, 0, stream, teams, s,
      static_cast<const T*>(buffers[0]), static_cast<const T*>(buffers[1]),
      static_cast<const int64_t*>(buffers[2]), static_cast<const T*>(buffers[3]),
      static_cast<const double*>(buffers[4]), weight, weights,
      static_cast<T*>(buffers[5 + s.weighted]));
}

}  // namespace

int64_t cross_entropy_workspace(const void* shape) {
  const auto& s = *static_cast<const CrossEntropyShape*>(shape);
  return labelled_workspace(s.positions()) + weights_workspace(s);
}

int64_t cross_entropy_backward_workspace(const void* shape) {
  return weights_workspace(*static_cast<const CrossEntropyShape*>(shape));
}

// x, target[, weight] -> loss, norm, total
void cross_entropy(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const CrossEntropyShape*>(shape);
  s.dtype == DType::float64 ? forward<double>(ctx, s, buffers, workspace)
                            : forward<float>(ctx, s, buffers, workspace);
}

// dloss, x, target, norm, total[, weight] -> dx
void cross_entropy_backward(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const CrossEntropyShape*>(shape);
  s.dtype == DType::float64 ? backward<double>(ctx, s, buffers, workspace)
                            : backward<float>(ctx, s, buffers, workspace);
}

}  // namespace dlx::cuda
