#include "ops/nll_loss.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "core/cpu_features.h"
#include "core/parallel.h"
#include "ops/softmax.h"

namespace dlx {

DLX_EACH_ISA(extern const LossTable loss_table;)

namespace {

constexpr int64_t kGrain = 16384;  // elements: 10-50 us

int64_t losses(const NllLossShape& s) {
  return s.reduction == LossReduction::none ? s.positions() : 1;
}

template <class F>
void by_dtype(DType t, const F& f) {
  t == DType::float64 ? f(double{}) : f(float{});
}

}  // namespace

// Of x only the labelled elements move.
Cost nll_loss_cost(const void* shape) {
  const auto& s = *static_cast<const NllLossShape*>(shape);
  const bool adds = s.reduction != LossReduction::none;
  return {(1 + s.weighted + adds) * s.positions(),
          size_of(s.dtype) * (s.positions() + s.weighted * s.classes + losses(s)) +
              8 * s.positions() + 8};
}

Cost nll_loss_backward_cost(const void* shape) {
  const auto& s = *static_cast<const NllLossShape*>(shape);
  return {(1 + s.weighted) * s.positions(),
          size_of(s.dtype) * (s.positions() * s.classes + s.weighted * s.classes + losses(s)) +
              8 * s.positions() + 8};
}

std::string explain_nll_loss(const void*, const ErrorSlot& error) {
  return message("nll_loss: label ", error.value, " in row ", error.row, " is outside 0…",
                 error.limit - 1, " (C = ", error.limit, ")");
}

namespace cpu {

void nll_loss(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const NllLossShape*>(shape);
  const auto* target = static_cast<const int64_t*>(buffers[1]);
  const int64_t positions = s.positions();
  for (int64_t p = 0; p < positions; ++p) {  // the first one, whatever the number of threads
    if (!s.is_wrong(target[p])) continue;
    ctx.error.report(p, target[p], s.classes);
    break;
  }
  auto* each = static_cast<double*>(workspace);  // loss and weight of the positions
  double* weights = each + positions;
  by_dtype(s.dtype, [&]<class T>(T) {
    const T* x = static_cast<const T*>(buffers[0]);
    const T* weight = s.weighted ? static_cast<const T*>(buffers[2]) : nullptr;
    T* loss = static_cast<T*>(buffers[2 + s.weighted]);
    parallel_for(positions, effective_grain(kGrain), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const int64_t t = s.counted(target[p]);
        each[p] = weights[p] = 0;
        if (t >= 0) {
          weights[p] = weight ? static_cast<double>(weight[t]) : 1;
          const T score = x[(p / s.inner * s.classes + t) * s.inner + p % s.inner];
          each[p] = -weights[p] * static_cast<double>(score);
        }
        if (s.reduction == LossReduction::none) loss[p] = static_cast<T>(each[p]);
      }
    });
    const LossTable& table = DLX_SELECT_ISA(loss_table);
    const double total = table.total(weights, positions);
    *static_cast<double*>(buffers[3 + s.weighted]) = total;
    if (s.reduction == LossReduction::none) return;
    const double sum = table.total(each, positions);
    *loss = static_cast<T>(s.reduction == LossReduction::mean ? sum / total : sum);
  });
}

void nll_loss_backward(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const NllLossShape*>(shape);
  const auto* target = static_cast<const int64_t*>(buffers[1]);
  const double divisor =
      s.reduction == LossReduction::mean ? *static_cast<const double*>(buffers[2]) : 1;
  const int64_t grain =
      std::max<int64_t>(1, effective_grain(kGrain) / std::max(s.classes, int64_t{1}));
  by_dtype(s.dtype, [&]<class T>(T) {
    const T* dloss = static_cast<const T*>(buffers[0]);
    const T* weight = s.weighted ? static_cast<const T*>(buffers[3]) : nullptr;
    T* dx = static_cast<T*>(buffers[3 + s.weighted]);
    const auto clear = [](T* to, int64_t n) {
      std::memset(to, 0, static_cast<size_t>(n) * sizeof(T));
    };
    const auto body = [&](const Vectors& v, int64_t first, int64_t offset) {
      if (v.step == 1) clear(dx + offset, v.count * v.n);
      for (int64_t c = 0; v.step != 1 && c < v.n; ++c) clear(dx + offset + c * v.step, v.count);
      for (int64_t j = 0; j < v.count; ++j) {
        const int64_t t = s.counted(target[first + j]);
        if (t < 0) continue;
        const double g =
            static_cast<double>(dloss[s.reduction == LossReduction::none ? first + j : 0]);
        const double w = weight ? static_cast<double>(weight[t]) : 1;
        dx[offset + (v.step == 1 ? j * v.n + t : t * v.step + j)] =
            static_cast<T>(-g * w / divisor);
      }
    };
    parallel_for(s.positions(), grain, [&](int64_t begin, int64_t end) {
      for_each_vectors(s.classes, s.inner, kLossTile, begin, end, body);
    });
  });
}

}  // namespace cpu
}  // namespace dlx
