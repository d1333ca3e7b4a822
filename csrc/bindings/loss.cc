// Softmax and the losses. The half types compute in float32.
#include <pybind11/stl.h>

#include "bindings/map.h"
#include "ops/cross_entropy.h"
#include "ops/mse_loss.h"
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
      CrossEntropyShape::make(x, target, weight0 ? &weight : nullptr, ignore_index, label_smoothing,
                              reduction_of(reduction));
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
      CrossEntropyShape::make(x, target, weight0 ? &weight : nullptr, ignore_index, label_smoothing,
                              reduction_of(reduction));
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
  // reduction: 0 none, 1 mean, 2 sum
  m.def("cross_entropy", cross_entropy);
  m.def("cross_entropy_backward", cross_entropy_backward);
  m.def("mse_loss", mse_loss);
  m.def("mse_loss_backward", mse_loss_backward);
}

}  // namespace dlx
