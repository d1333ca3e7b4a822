#include "cuda/ops/labelled.h"
#include "ops/nll_loss.h"

namespace dlx::cuda {
namespace {

// x: (N, C, inner)  target: (N, inner)  weight: (C) or null  loss: (N, inner) or null
template <class T>
__global__ void find_losses(NllLossShape s, const T* __restrict__ x,
                            const int64_t* __restrict__ target, const T* __restrict__ weight,
                            T* loss, Labelled* each, ErrorReport* error) {
  for_each_item(s.positions(), [&](int64_t p) {
    const int64_t t = s.counted(target[p]);
    if (s.is_wrong(target[p])) report(error, p, target[p], s.classes);
    Labelled here{0, 0};
    if (t >= 0) {
      here.weight = weight ? static_cast<double>(weight[t]) : 1;
      const T score = x[(p / s.inner * s.classes + t) * s.inner + p % s.inner];
      here.loss = -here.weight * static_cast<double>(score);
    }
    each[p] = here;
    if (loss) loss[p] = static_cast<T>(here.loss);
  });
}

// The labels' elements of dx, which is zero.
template <class T>
__global__ void write_gradients(NllLossShape s, const T* __restrict__ dloss,
                                const int64_t* __restrict__ target, const double* total,
                                const T* __restrict__ weight, T* __restrict__ dx) {
  const double divisor = s.reduction == LossReduction::mean ? *total : 1;
  for_each_item(s.positions(), [&](int64_t p) {
    const int64_t t = s.counted(target[p]);
    if (t < 0) return;
    const double g = static_cast<double>(dloss[s.reduction == LossReduction::none ? p : 0]);
    const double w = weight ? static_cast<double>(weight[t]) : 1;
    dx[(p / s.inner * s.classes + t) * s.inner + p % s.inner] = static_cast<T>(-g * w / divisor);
  });
}

template <class T>
void forward(Ctx& ctx, const NllLossShape& s, void* const* buffers, void* workspace) {
  const Context& c = context(ctx);
  const auto* weight = s.weighted ? static_cast<const T*>(buffers[2]) : nullptr;
  auto* loss = static_cast<T*>(buffers[2 + s.weighted]);
  if (s.positions() > 0) {
    launch_grid<find_losses<T>>(blocks_for(s.positions()), kBlockThreads, 0, c.stream, s,
                                static_cast<const T*>(buffers[0]),
                                static_cast<const int64_t*>(buffers[1]), weight,
                                s.reduction == LossReduction::none ? loss : nullptr,
                                static_cast<Labelled*>(workspace), error_of(ctx));
  }
  add_labelled(s, loss, static_cast<double*>(buffers[3 + s.weighted]), workspace, c.stream);
}

template <class T>
void backward(Ctx& ctx, const NllLossShape& s, void* const* buffers) {
  const Stream stream = context(ctx).stream;
  const auto* weight = s.weighted ? static_cast<const T*>(buffers[3]) : nullptr;
  auto* dx = static_cast<T*>(buffers[3 + s.weighted]);
  if (s.positions() == 0) return;
  fill(stream, dx, 0, s.positions() * s.classes * static_cast<int64_t>(sizeof(T)));
  launch_grid<write_gradients<T>>(
      blocks_for(s.positions()), kBlockThreads, 0, stream, s, static_cast<const T*>(buffers[0]),
      static_cast<const int64_t*>(buffers[1]), static_cast<const double*>(buffers[2]), weight, dx);
}

}  // namespace

int64_t nll_loss_workspace(const void* shape) {
  return labelled_workspace(static_cast<const NllLossShape*>(shape)->positions());
}

// x, target[, weight] -> loss, total
void nll_loss(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const NllLossShape*>(shape);
  s.dtype == DType::float64 ? forward<double>(ctx, s, buffers, workspace)
                            : forward<float>(ctx, s, buffers, workspace);
}

// dloss, target, total[, weight] -> dx
void nll_loss_backward(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const NllLossShape*>(shape);
  s.dtype == DType::float64 ? backward<double>(ctx, s, buffers) : backward<float>(ctx, s, buffers);
}

}  // namespace dlx::cuda
