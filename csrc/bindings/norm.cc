// Batch, layer and group normalisation. Weight and bias are optional.
#include <pybind11/stl.h>

#include <vector>

#include "bindings/tensor_base.h"
#include "ops/batch_norm.h"
#include "ops/batch_norm_update.h"
#include "ops/group_norm.h"
#include "ops/layer_norm.h"

namespace dlx {
namespace {

namespace py = pybind11;
using Optional = std::optional<Array>;

const Array* pointer(const Optional& a) { return a ? &*a : nullptr; }

// Those that are there.
std::vector<const Array*> given(std::initializer_list<const Array*> all) {
  std::vector<const Array*> some;
  for (const Array* a : all)
    if (a) some.push_back(a);
  return some;
}

template <class Shape>
void run(const Op& op, const Shape& shape, std::initializer_list<const Array*> inputs,
         std::vector<Array*> outputs) {
  const Cost cost = op.cost(&shape);
  GilRelease release(cost.flops + cost.bytes > 200'000);
  launch_bytes(current_ctx(),
               {op, &shape, sizeof shape, given(inputs), outputs, same_shape<Shape>});
}

Array like(const Array& x) { return empty(x.shape, x.dtype, x.device()); }
Array statistic(const Array& x, const Dims& shape) {
  return empty(shape, DType::float64, x.device());
}

void check_dy(const char* op, const Array& dy, const Array& x) {
  DLX_CHECK(dy.shape == x.shape && dy.dtype == x.dtype, op,
            ": expected dy of x's shape and dtype; ", "dy=", dy.shape, " x=", x.shape);
}

std::tuple<Array, Array, Array, Array> batch_norm(const Array& x, const Optional& gamma,
                                                  const Optional& beta, double eps) {
  const BatchNormShape s =
      BatchNormShape::make("batch_norm", x, pointer(gamma), pointer(beta), true, eps);
  Array y = like(x);
  Array mean = statistic(x, {s.C}), rstd = statistic(x, {s.C}), var = statistic(x, {s.C});
  run(ops::batch_norm, s, {&x, pointer(gamma), pointer(beta)}, {&y, &mean, &rstd, &var});
  return {y, mean, rstd, var};
}

Array batch_norm_inference(const Array& x, const Array& mean, const Array& var,
                           const Optional& gamma, const Optional& beta, double eps) {
  const char* op = "batch_norm";
  const BatchNormShape s = BatchNormShape::make(op, x, pointer(gamma), pointer(beta), false, eps);
  s.check_statistic(op, "running_mean", mean, x.dtype);
  s.check_statistic(op, "running_var", var, x.dtype);
  Array y = like(x);
  run(ops::batch_norm_inference, s, {&x, &mean, &var, pointer(gamma), pointer(beta)}, {&y});
  return y;
}

std::tuple<Array, Array, Array> batch_norm_backward(const Array& dy, const Array& x,
                                                    const Array& mean, const Array& rstd,
                                                    const Optional& gamma, bool training) {
  const char* op = "batch_norm_backward";
  const BatchNormShape s = BatchNormShape::make(op, x, pointer(gamma), nullptr, training, 0);
  check_dy(op, dy, x);
  s.check_statistic(op, "mean", mean, DType::float64);
  s.check_statistic(op, "rstd", rstd, DType::float64);
  Array dx = like(x);
  Array dgamma = empty({s.C}, x.dtype, x.device()), dbeta = empty({s.C}, x.dtype, x.device());
  run(ops::batch_norm_backward, s, {&dy, &x, &mean, &rstd, pointer(gamma)}, {&dx, &dgamma, &dbeta});
  return {dx, dgamma, dbeta};
}

TensorObject* cell_of(py::handle cell, const char* what) {
  DLX_CHECK_AS(TypeError, is_tensor(cell.ptr()), "batch_norm: expected ", what,
               " as a Tensor, got ", Py_TYPE(cell.ptr())->tp_name);
  array_of(cell.ptr());  // raises when there is no value
  return as_tensor(cell.ptr());
}

// The running statistics are updated in place. momentum: None for the average of all batches.
void batch_norm_update(const Array& mean, const Array& var, py::handle running_mean,
                       py::handle running_var, py::handle count, int64_t n,
                       std::optional<double> momentum) {
  TensorObject* cells[] = {cell_of(running_mean, "running_mean"),
                           cell_of(running_var, "running_var"),
                           count.is_none() ? nullptr : cell_of(count, "num_batches_tracked")};
  const BatchNormUpdateShape s = BatchNormUpdateShape::make(
      mean, var, cells[0]->array, cells[1]->array, cells[2] ? &cells[2]->array : nullptr, n,
      !momentum, momentum.value_or(0));
  // Copies (of no memory) live through the launch whatever other threads do with the cells.
  std::vector<Array> held;
  std::vector<Array*> outputs;
  for (TensorObject* cell : cells) {
    if (!cell) continue;
    note_write(cell);
    own(current_ctx(), cell->array);
    held.push_back(cell->array);
  }
  for (Array& a : held) outputs.push_back(&a);
  run(ops::batch_norm_update, s, {&mean, &var}, outputs);
}

std::tuple<Array, Array, Array> layer_norm(const Array& x, int dims, const Optional& gamma,
                                           const Optional& beta, double eps) {
  const LayerNormShape s =
      LayerNormShape::make("layer_norm", x, dims, pointer(gamma), pointer(beta), eps);
  Array y = like(x), mean = statistic(x, {s.M}), rstd = statistic(x, {s.M});
  run(ops::layer_norm, s, {&x, pointer(gamma), pointer(beta)}, {&y, &mean, &rstd});
  return {y, mean, rstd};
}

std::tuple<Array, Array, Array> layer_norm_backward(const Array& dy, const Array& x,
                                                    const Array& mean, const Array& rstd, int dims,
                                                    const Optional& gamma) {
  const char* op = "layer_norm_backward";
  const LayerNormShape s = LayerNormShape::make(op, x, dims, pointer(gamma), nullptr, 0);
  check_dy(op, dy, x);
  const Dims rows{s.M};
  DLX_CHECK(mean.shape == rows && rstd.shape == rows && mean.dtype == DType::float64 &&
                rstd.dtype == DType::float64,
            op, ": expected mean and rstd as layer_norm gives them");
  Dims parameter;
  for (int i = x.shape.ndim - dims; i < x.shape.ndim; ++i) parameter.push_back(x.shape[i]);
  Array dx = like(x);
  Array dgamma = empty(parameter, x.dtype, x.device()),
        dbeta = empty(parameter, x.dtype, x.device());
  run(ops::layer_norm_backward, s, {&dy, &x, &mean, &rstd, pointer(gamma)}, {&dx, &dgamma, &dbeta});
  return {dx, dgamma, dbeta};
}

std::tuple<Array, Array, Array> group_norm(const Array& x, int64_t groups, const Optional& gamma,
                                           const Optional& beta, double eps) {
  const GroupNormShape s =
      GroupNormShape::make("group_norm", x, groups, pointer(gamma), pointer(beta), eps);
  Array y = like(x), mean = statistic(x, {s.N, s.G}), rstd = statistic(x, {s.N, s.G});
  run(ops::group_norm, s, {&x, pointer(gamma), pointer(beta)}, {&y, &mean, &rstd});
  return {y, mean, rstd};
}

std::tuple<Array, Array, Array> group_norm_backward(const Array& dy, const Array& x,
                                                    const Array& mean, const Array& rstd,
                                                    const Optional& gamma) {
  const char* op = "group_norm_backward";
  DLX_CHECK(mean.shape.ndim == 2 && mean.shape == rstd.shape && mean.dtype == DType::float64 &&
                rstd.dtype == DType::float64,
            op, ": expected mean and rstd as group_norm gives them");
  const GroupNormShape s = GroupNormShape::make(op, x, mean.shape[1], pointer(gamma), nullptr, 0);
  check_dy(op, dy, x);
  DLX_CHECK(mean.shape[0] == s.N, op, ": expected mean and rstd as group_norm gives them");
  Array dx = like(x);
  Array dgamma = empty({s.C}, x.dtype, x.device()), dbeta = empty({s.C}, x.dtype, x.device());
  run(ops::group_norm_backward, s, {&dy, &x, &mean, &rstd, pointer(gamma)}, {&dx, &dgamma, &dbeta});
  return {dx, dgamma, dbeta};
}

}  // namespace

void bind_norm(py::module_& m) {
  m.def("batch_norm", batch_norm);
  m.def("batch_norm_inference", batch_norm_inference);
  m.def("batch_norm_backward", batch_norm_backward);
  m.def("batch_norm_update", batch_norm_update);
  m.def("layer_norm", layer_norm);
  m.def("layer_norm_backward", layer_norm_backward);
  m.def("group_norm", group_norm);
  m.def("group_norm_backward", group_norm_backward);
}

}  // namespace dlx
