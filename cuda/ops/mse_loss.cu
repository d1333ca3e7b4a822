#include "cuda/ops/pairs.h"
#include "ops/mse_loss.h"

namespace dlx::cuda {
namespace {

struct SquaredError {
  static constexpr bool kProbability = false, kLong = false;
  template <class T>
  __device__ static T loss(const Pair<T>& pair) {
    return (pair.x - pair.target) * (pair.x - pair.target);
  }
  template <class T>
  __device__ static double term(const Pair<T>& pair) {
    const double d = static_cast<double>(pair.x) - static_cast<double>(pair.target);
    return d * d;
  }
  template <class T>
  __device__ static T gradient(const Pair<T>& pair, T scale) {
    return scale * pair.dloss * (pair.x - pair.target);
  }
};

template <class T>
Pairs<T> pairs_of(const MseLossShape& s, void* const* buffers) {
  return {static_cast<const T*>(buffers[0]),
          static_cast<const T*>(buffers[1]),
          nullptr,
          nullptr,
          nullptr,
          T{},
          s.n,
          nullptr};
}

template <class T>
void forward(const MseLossShape& s, void* const* buffers, void* workspace, Stream stream) {
  const Pairs<T> in = pairs_of<T>(s, buffers);
  auto* loss = static_cast<T*>(buffers[2]);
  if (s.reduction == LossReduction::none)
    return launch_map<LossOf<SquaredError>>(in, Scale<T>{nullptr, 1, 1}, loss, stream);
  const double divisor = s.reduction == LossReduction::mean ? static_cast<double>(s.n) : 1;
  launch_sum<SquaredError>(in, divisor, loss, workspace, stream);
}

template <class T>
void backward(const MseLossShape& s, void* const* buffers, Stream stream) {
  Pairs<T> in = pairs_of<T>(s, buffers + 1);
  const auto* dloss = static_cast<const T*>(buffers[0]);
  const bool each = s.reduction == LossReduction::none;
  if (each) in.dloss = dloss;
  const double divisor = s.reduction == LossReduction::mean ? static_cast<double>(s.n) : 1;
  const Scale<T> scale{each ? nullptr : dloss, 2, divisor};
  launch_map<GradientOf<SquaredError>>(in, scale, static_cast<T*>(buffers[3]), stream);
}

}  // namespace

int64_t mse_loss_workspace(const void* shape) {
  return sum_of_pairs_workspace(static_cast<const MseLossShape*>(shape)->n);
}

// x, target: (n)  loss: (n) or ()
void mse_loss(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const MseLossShape*>(shape);
  const Stream stream = context(ctx).stream;
  s.dtype == DType::float64 ? forward<double>(s, buffers, workspace, stream)
                            : forward<float>(s, buffers, workspace, stream);
}

// dloss: (n) or ()  x, target, dx: (n)
void mse_loss_backward(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MseLossShape*>(shape);
  const Stream stream = context(ctx).stream;
  s.dtype == DType::float64 ? backward<double>(s, buffers, stream)
                            : backward<float>(s, buffers, stream);
}

}  // namespace dlx::cuda
