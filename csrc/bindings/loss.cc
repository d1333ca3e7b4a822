// Softmax and the losses. The half types compute in float32.
#include <pybind11/stl.h>

#include "bindings/map.h"
#include "ops/cross_entropy.h"
#include "ops/mse_loss.h"
#include "ops/nll_loss.h"
#include "ops/pair_loss.h"
#include "ops/softmax.h"

namespace dlx {
namespace {

DType compute_dtype(DType t) {
  return t == DType::bfloat16 || t == DType::float16 ? DType::float32 : t;
}

Array widened(const Array& x) { return cast_to(x, compute_dtype(x.dtype)); }

void check_dloss(const char* op, const Array& dloss, const Dims& shape, DType dtype) {
  DLX_CHECK(dloss.shape == shape && dloss.dtype == dtype, op, ": expected a gradient of ", dtype,
            " and shape ", shape, ", got ", dloss.dtype, " of shape ", dloss.shape);
}

Dims norm_shape(const Array& target) {
  Dims shape{2};
  for (int64_t n : target.shape) shape.push_back(n);
  return shape;
}

Dims without(const Dims& shape, int axis) {
  Dims rest;
  for (int i = 0; i < shape.ndim; ++i)
    if (i != axis) rest.push_back(shape[i]);
  return rest;
}

LossReduction reduction_of(int code) { return static_cast<LossReduction>(code); }

Array softmax_forward(const Op& op, const Array& x0, int axis) {
  const Array x = widened(x0);
  Array y = empty(x.shape, x.dtype, x.device());
  launch_from_python(op, SoftmaxShape::make(op.name, x, x, axis), {&x}, {&y});
  return cast_to(y, x0.dtype);
}

Array softmax_backward(const Op& op, const Array& dy0, const Array& y0, int axis) {
  const Array dy = widened(dy0), y = widened(y0);
  Array dx = empty(y.shape, y.dtype, y.device());
  launch_from_python(op, SoftmaxShape::make(op.name, dy, y, axis), {&dy, &y}, {&dx});
  return cast_to(dx, y0.dtype);
}

std::tuple<Array, Array, Array> cross_entropy(const Array& x0, const Array& target,
                                              const std::optional<Array>& weight0,
                                              int64_t ignore_index, double label_smoothing,
                                              int reduction) {
  const Array x = widened(x0);
  const Array weight = weight0 ? widened(*weight0) : Array{};
  const CrossEntropyShape s =
      CrossEntropyShape::make("cross_entropy", x, target, weight0 ? &weight : nullptr, ignore_index,
                              label_smoothing, reduction_of(reduction));
  Array loss = empty(s.loss_shape(target), x.dtype, x.device());
  Array norm = empty(norm_shape(target), x.dtype, x.device());
  Array total = empty(Dims{}, DType::float64, x.device());
  if (weight0) {
    launch_from_python(ops::cross_entropy, s, {&x, &target, &weight}, {&loss, &norm, &total});
  } else {
    launch_from_python(ops::cross_entropy, s, {&x, &target}, {&loss, &norm, &total});
  }
  return {cast_to(loss, x0.dtype), norm, total};
}

Array cross_entropy_backward(const Array& dloss0, const Array& x0, const Array& target,
                             const Array& norm, const Array& total,
                             const std::optional<Array>& weight0, int64_t ignore_index,
                             double label_smoothing, int reduction) {
  const Array dloss = widened(dloss0), x = widened(x0);
  const Array weight = weight0 ? widened(*weight0) : Array{};
  const CrossEntropyShape s =
      CrossEntropyShape::make("cross_entropy", x, target, weight0 ? &weight : nullptr, ignore_index,
                              label_smoothing, reduction_of(reduction));
  check_dloss("cross_entropy_backward", dloss, s.loss_shape(target), x.dtype);
  DLX_CHECK(norm.shape == norm_shape(target) && norm.dtype == x.dtype && total.shape == Dims{} &&
                total.dtype == DType::float64,
            "cross_entropy_backward: expected norm and total as cross_entropy gives them");
  Array dx = empty(x.shape, x.dtype, x.device());
  if (weight0) {
    launch_from_python(ops::cross_entropy_backward, s,
                       {&dloss, &x, &target, &norm, &total, &weight}, {&dx});
  } else {
    launch_from_python(ops::cross_entropy_backward, s, {&dloss, &x, &target, &norm, &total}, {&dx});
  }
  return cast_to(dx, x0.dtype);
}

std::tuple<Array, Array> nll_loss(const Array& x0, const Array& target,
                                  const std::optional<Array>& weight0, int64_t ignore_index,
                                  int reduction) {
  const Array x = widened(x0);
  const Array weight = weight0 ? widened(*weight0) : Array{};
  const NllLossShape s = NllLossShape::make("nll_loss", x, target, weight0 ? &weight : nullptr,
                                            ignore_index, 0, reduction_of(reduction));
  Array loss = empty(s.loss_shape(target), x.dtype, x.device());
  Array total = empty(Dims{}, DType::float64, x.device());
  if (weight0) {
    launch_from_python(ops::nll_loss, s, {&x, &target, &weight}, {&loss, &total});
  } else {
    launch_from_python(ops::nll_loss, s, {&x, &target}, {&loss, &total});
  }
  return {cast_to(loss, x0.dtype), total};
}

// x0: its shape and dtype only
Array nll_loss_backward(const Array& dloss0, const Array& x0, const Array& target,
                        const Array& total, const std::optional<Array>& weight0,
                        int64_t ignore_index, int reduction) {
  const Array dloss = widened(dloss0), weight = weight0 ? widened(*weight0) : Array{};
  Array x = x0;
  x.dtype = compute_dtype(x0.dtype);
  const NllLossShape s = NllLossShape::make("nll_loss", x, target, weight0 ? &weight : nullptr,
                                            ignore_index, 0, reduction_of(reduction));
  check_dloss("nll_loss_backward", dloss, s.loss_shape(target), x.dtype);
  DLX_CHECK(total.shape == Dims{} && total.dtype == DType::float64,
            "nll_loss_backward: expected total as nll_loss gives it");
  Array dx = empty(x.shape, x.dtype, x.device());
  if (weight0) {
    launch_from_python(ops::nll_loss_backward, s, {&dloss, &target, &total, &weight}, {&dx});
  } else {
    launch_from_python(ops::nll_loss_backward, s, {&dloss, &target, &total}, {&dx});
  }
  return cast_to(dx, x0.dtype);
}

Array logsumexp(const Array& x0, int axis) {
  const Array x = widened(x0);
  const SoftmaxShape s = SoftmaxShape::make("logsumexp", x, x, axis);
  Array y = empty(without(x.shape, axis), x.dtype, x.device());
  launch_from_python(ops::logsumexp, s, {&x}, {&y});
  return cast_to(y, x0.dtype);
}

Array logsumexp_backward(const Array& dy0, const Array& x0, const Array& y0, int axis) {
  const Array dy = widened(dy0), x = widened(x0), y = widened(y0);
  const SoftmaxShape s = SoftmaxShape::make("logsumexp_backward", x, x, axis);
  const Dims expected = without(x.shape, axis);
  DLX_CHECK(
      dy.shape == expected && y.shape == expected && dy.dtype == x.dtype && y.dtype == x.dtype,
      "logsumexp_backward: expected dy and y of x's shape without axis ", axis, "; dy=", dy.shape,
      " y=", y.shape, " x=", x.shape);
  Array dx = empty(x.shape, x.dtype, x.device());
  launch_from_python(ops::logsumexp_backward, s, {&dy, &x, &y}, {&dx});
  return cast_to(dx, x0.dtype);
}

Array mse_loss(const Array& x0, const Array& target0, int reduction) {
  const Array x = widened(x0), target = widened(target0);
  const MseLossShape s = MseLossShape::make(x, target, reduction_of(reduction));
  Array loss = empty(s.loss_shape(x), x.dtype, x.device());
  launch_from_python(ops::mse_loss, s, {&x, &target}, {&loss});
  return cast_to(loss, x0.dtype);
}

Array mse_loss_backward(const Array& dloss0, const Array& x0, const Array& target0, int reduction) {
  const Array dloss = widened(dloss0), x = widened(x0), target = widened(target0);
  const MseLossShape s = MseLossShape::make(x, target, reduction_of(reduction));
  check_dloss("mse_loss_backward", dloss, s.loss_shape(x), x.dtype);
  Array dx = empty(x.shape, x.dtype, x.device());
  launch_from_python(ops::mse_loss_backward, s, {&dloss, &x, &target}, {&dx});
  return cast_to(dx, x0.dtype);
}

using Optional = std::optional<Array>;

struct PairLossArrays {
  Array x, target, weight, parameters;
  PairLossShape shape;

  PairLossArrays(const Op& op, PairLoss kind, const Array& x0, const Array& target0,
                 const Optional& weight0, const Optional& parameters0, double parameter,
                 int reduction)
      : x(widened(x0)), target(widened(target0)) {
    if (weight0) weight = widened(*weight0);
    if (parameters0) parameters = widened(*parameters0);
    shape = PairLossShape::make(op.name, kind, x, target, weight0 ? &weight : nullptr,
                                parameters0 ? &parameters : nullptr, parameter,
                                reduction_of(reduction));
  }

  Array launch(const Op& op, const Array* dloss, const Dims& y_shape) const {
    const Array* inputs[5];
    size_t count = 0;
    if (dloss) inputs[count++] = dloss;
    inputs[count++] = &x;
    inputs[count++] = &target;
    if (shape.weighted) inputs[count++] = &weight;
    if (shape.parametrised) inputs[count++] = &parameters;
    Array y = empty(y_shape, x.dtype, x.device());
    Array* outputs[] = {&y};
    GilRelease release(x.size() > 32768);
    launch_bytes(current_ctx(),
                 {op, &shape, sizeof shape, {inputs, count}, outputs, same_shape<PairLossShape>});
    return y;
  }
};

void bind_pair_loss(pybind11::module_& m, PairLoss kind, const Op& op, const Op& backward) {
  m.def(op.name, [kind, &op](const Array& x, const Array& target, const Optional& weight,
                             const Optional& parameters, double parameter, int reduction) {
    const PairLossArrays a(op, kind, x, target, weight, parameters, parameter, reduction);
    return cast_to(a.launch(op, nullptr, a.shape.loss_shape(x)), x.dtype);
  });
  m.def(backward.name,
        [kind, &op, &backward](const Array& dloss0, const Array& x, const Array& target,
                               const Optional& weight, const Optional& parameters, double parameter,
                               int reduction) {
          const PairLossArrays a(op, kind, x, target, weight, parameters, parameter, reduction);
          const Array dloss = widened(dloss0);
          check_dloss(backward.name, dloss, a.shape.loss_shape(x), a.x.dtype);
          return cast_to(a.launch(backward, &dloss, x.shape), x.dtype);
        });
}

}  // namespace

void bind_loss(pybind11::module_& m) {
  m.def("softmax", [](const Array& x, int axis) { return softmax_forward(ops::softmax, x, axis); });
  m.def("log_softmax",
        [](const Array& x, int axis) { return softmax_forward(ops::log_softmax, x, axis); });
  m.def("softmax_backward", [](const Array& dy, const Array& y, int axis) {
    return softmax_backward(ops::softmax_backward, dy, y, axis);
  });
  m.def("log_softmax_backward", [](const Array& dy, const Array& y, int axis) {
    return softmax_backward(ops::log_softmax_backward, dy, y, axis);
  });
  m.def("logsumexp", logsumexp);
  m.def("logsumexp_backward", logsumexp_backward);
  // reduction: 0 none, 1 mean, 2 sum
  m.def("nll_loss", nll_loss);
  m.def("nll_loss_backward", nll_loss_backward);
  m.def("cross_entropy", cross_entropy);
  m.def("cross_entropy_backward", cross_entropy_backward);
  m.def("mse_loss", mse_loss);
  m.def("mse_loss_backward", mse_loss_backward);
  using enum PairLoss;
  bind_pair_loss(m, l1, ops::l1_loss, ops::l1_loss_backward);
  bind_pair_loss(m, smooth_l1, ops::smooth_l1_loss, ops::smooth_l1_loss_backward);
  bind_pair_loss(m, huber, ops::huber_loss, ops::huber_loss_backward);
  bind_pair_loss(m, binary_cross_entropy, ops::binary_cross_entropy,
                 ops::binary_cross_entropy_backward);
  bind_pair_loss(m, with_logits, ops::binary_cross_entropy_with_logits,
                 ops::binary_cross_entropy_with_logits_backward);
  bind_pair_loss(m, kl_div, ops::kl_div, ops::kl_div_backward);
}

}  // namespace dlx
