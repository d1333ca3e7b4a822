#include "ops/cross_entropy.h"

#include "core/check.h"
#include "core/cpu_features.h"
#include "core/parallel.h"
#include "ops/softmax.h"

namespace dlx {

DLX_EACH_ISA(extern const LossTable loss_table;)

CrossEntropyShape CrossEntropyShape::make(const char* op, const Array& x, const Array& target,
                                          const Array* weight, int64_t ignore_index,
                                          double label_smoothing, LossReduction reduction) {
  const auto shapes = [&] {
    return message("; input=", x.shape, " target=", target.shape) +
           (weight ? message(" weight=", weight->shape) : "");
  };
  DLX_CHECK_AS(TypeError, x.dtype == DType::float32 || x.dtype == DType::float64, op,
               ": expected an input of float32 or float64, got ", x.dtype);
  DLX_CHECK_AS(TypeError, target.dtype == DType::int64, op, ": expected int64 labels, got ",
               target.dtype);
  DLX_CHECK_AS(TypeError, !weight || weight->dtype == x.dtype, op,
               ": expected weight of the input's dtype ", x.dtype, ", got ",
               weight ? weight->dtype : x.dtype);
  DLX_CHECK(x.shape.ndim > 0, op,
            ": expected an input with a class dimension: (C,), (N, C) or (N, C, ...)", shapes());
  CrossEntropyShape s{};
  const int axis = x.shape.ndim > 1 ? 1 : 0;
  Dims expected;
  for (int i = 0; i < x.shape.ndim; ++i)
    if (i != axis) expected.push_back(x.shape[i]);
  DLX_CHECK(target.shape == expected, op,
            ": expected one label for each vector of scores, target=", expected, shapes());
  s.dtype = x.dtype;
  s.reduction = reduction;
  s.weighted = weight != nullptr;
  s.n = axis ? x.shape[0] : 1;
  s.classes = x.shape[axis];
  s.inner = 1;
  for (int i = axis + 1; i < x.shape.ndim; ++i) s.inner *= x.shape[i];
  s.ignore_index = ignore_index;
  s.label_smoothing = label_smoothing;
  DLX_CHECK(s.classes > 0 || s.positions() == 0, op, ": expected at least one class", shapes());
  DLX_CHECK(!weight || (weight->shape.ndim == 1 && weight->shape[0] == s.classes), op,
            ": expected a weight for each of the ", s.classes, " classes", shapes());
  DLX_CHECK(label_smoothing >= 0 && label_smoothing <= 1, op,
            ": expected label_smoothing from 0 to 1, got ", label_smoothing);
  return s;
}

// Each position's loss and weight.
int64_t cross_entropy_workspace(const void* shape) {
  return 2 * static_cast<const CrossEntropyShape*>(shape)->positions() *
         static_cast<int64_t>(sizeof(double));
}

Cost cross_entropy_cost(const void* shape) {
  const auto& s = *static_cast<const CrossEntropyShape*>(shape);
  const int64_t p = s.positions(), width = size_of(s.dtype);
  const int64_t losses = s.reduction == LossReduction::none ? p : 1;
  // maximum, difference, exp, sum; with smoothing also the weighted sum of x
  return {(s.label_smoothing > 0 ? 6 : 4) * p * s.classes,
          width * (p * s.classes + losses + 2 * p + s.weighted * s.classes) + 8 * p + 8};
}

Cost cross_entropy_backward_cost(const void* shape) {
  const auto& s = *static_cast<const CrossEntropyShape*>(shape);
  const int64_t p = s.positions(), width = size_of(s.dtype);
  const int64_t losses = s.reduction == LossReduction::none ? p : 1;
  // difference, exp, product; with smoothing also the weights
  return {(s.label_smoothing > 0 ? 5 : 3) * p * s.classes,
          width * (2 * p * s.classes + losses + 2 * p + s.weighted * s.classes) + 8 * p + 8};
}

std::string explain_cross_entropy(const void*, const ErrorSlot& error) {
  return message("cross_entropy: label ", error.value, " in row ", error.row, " is outside 0…",
                 error.limit - 1, " (C = ", error.limit, ")");
}

namespace cpu {
namespace {

template <class T>
struct CrossEntropy {
  const CrossEntropyShape& s;
  const T* x;
  const int64_t* target;
  const T* weight;  // null: ones
  const LossTable& table = DLX_SELECT_ISA(loss_table);
  const double smoothing = s.label_smoothing, even = smoothing / static_cast<double>(s.classes);
  static constexpr int kType = sizeof(T) == 8;

  // -1 where the position does not count.
  int64_t label(int64_t position) const { return s.counted(target[position]); }
  double weight_of(int64_t c) const { return weight ? static_cast<double>(weight[c]) : 1; }
  double all_weights() const {
    if (!weight) return static_cast<double>(s.classes);
    double sum;
    table.weighted_sum[kType]({s.classes, 1, 1}, weight, nullptr, &sum);
    return sum;
  }

  template <class Body>
  void over_positions(const Body& body) const {
    if (s.classes == 0) return;
    const int64_t positions = s.positions();
    const int64_t grain = positions_grain(s.classes, s.inner, positions);
    parallel_for(positions, grain, [&](int64_t begin, int64_t end) {
      for_each_vectors(s.classes, s.inner, kLossTile, begin, end, body);
    });
  }

  // The first label outside 0...C-1, whatever the number of threads.
  void check_labels(ErrorSlot& error) const {
    for (int64_t p = 0; p < s.positions(); ++p) {
      const int64_t t = target[p];
      if (s.is_wrong(t)) return error.report(p, t, s.classes);
    }
  }

  void forward(T* loss, T* norm, double* total, double* losses, double* weights) const {
    const double sum_of_weights = smoothing > 0 ? all_weights() : 0;
    over_positions([&](const Vectors& v, int64_t first, int64_t offset) {
      double top[kLossTile], log_sum[kLossTile], scores[kLossTile];
      softmax_table().log_sum_exp[kType](v, x + offset, top, log_sum);
      if (smoothing > 0) table.weighted_sum[kType](v, x + offset, weight, scores);
      for (int64_t j = 0; j < v.count; ++j) {
        const int64_t p = first + j, t = label(p);
        norm[p] = static_cast<T>(top[j]);
        norm[s.positions() + p] = static_cast<T>(log_sum[j]);
        losses[p] = weights[p] = 0;
        if (t >= 0) {
          const T* vector = x + offset + (s.inner == 1 ? j * s.classes : j);
          const double at_label = static_cast<double>(vector[t * s.inner]);
          weights[p] = weight_of(t);
          losses[p] = (1 - smoothing) * weights[p] * (log_sum[j] - (at_label - top[j]));
          if (smoothing > 0)
            losses[p] += even * (sum_of_weights * (top[j] + log_sum[j]) - scores[j]);
        }
        if (s.reduction == LossReduction::none) loss[p] = static_cast<T>(losses[p]);
      }
    });
    *total = table.total(weights, s.positions());
    if (s.reduction == LossReduction::none) return;
    const double sum = table.total(losses, s.positions());
    *loss = static_cast<T>(s.reduction == LossReduction::mean ? sum / *total : sum);
  }

  void backward(const T* dloss, const T* norm, double total, T* dx) const {
    const double sum_of_weights = smoothing > 0 ? all_weights() : 0;
    over_positions([&](const Vectors& v, int64_t first, int64_t offset) {
      double scale[kLossTile], a[kLossTile], b[kLossTile];
      for (int64_t j = 0; j < v.count; ++j) {
        const int64_t p = first + j, t = label(p);
        scale[j] =
            t < 0 ? 0 : static_cast<double>(dloss[s.reduction == LossReduction::none ? p : 0]);
        if (s.reduction == LossReduction::mean && t >= 0) scale[j] /= total;
        const double q = t < 0 ? 0 : (1 - smoothing) * weight_of(t) + even * sum_of_weights;
        a[j] = scale[j] * q;
        b[j] = scale[j] * even;
      }
      table.cross_entropy_backward[kType](v, x + offset, weight, norm + first,
                                          norm + s.positions() + first, a,
                                          smoothing > 0 ? b : nullptr, dx + offset);
      for (int64_t j = 0; j < v.count; ++j) {
        const int64_t t = label(first + j);
        T* vector = dx + offset + (s.inner == 1 ? j * s.classes : j);
        if (t >= 0) {
          vector[t * s.inner] -= static_cast<T>(scale[j] * (1 - smoothing) * weight_of(t));
        } else {
          for (int64_t c = 0; c < s.classes; ++c)
            vector[c * s.inner] = 0;  // even where its scores are not finite
        }
      }
    });
  }
};

template <class F>
void by_dtype(DType t, const F& f) {
  t == DType::float64 ? f(double{}) : f(float{});
}

}  // namespace

void cross_entropy(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const CrossEntropyShape*>(shape);
  auto* losses = static_cast<double*>(workspace);
  void* const* out = buffers + 2 + s.weighted;
  by_dtype(s.dtype, [&]<class T>(T) {
    const CrossEntropy<T> op{s, static_cast<const T*>(buffers[0]),
                             static_cast<const int64_t*>(buffers[1]),
                             s.weighted ? static_cast<const T*>(buffers[2]) : nullptr};
    op.check_labels(ctx.error);
    op.forward(static_cast<T*>(out[0]), static_cast<T*>(out[1]), static_cast<double*>(out[2]),
               losses, losses + s.positions());
  });
}

void cross_entropy_backward(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const CrossEntropyShape*>(shape);
  by_dtype(s.dtype, [&]<class T>(T) {
    const CrossEntropy<T> op{s, static_cast<const T*>(buffers[1]),
                             static_cast<const int64_t*>(buffers[2]),
                             s.weighted ? static_cast<const T*>(buffers[5]) : nullptr};
    op.backward(static_cast<const T*>(buffers[0]), static_cast<const T*>(buffers[3]),
                *static_cast<const double*>(buffers[4]), static_cast<T*>(buffers[5 + s.weighted]));
  });
}

}  // namespace cpu
}  // namespace dlx
