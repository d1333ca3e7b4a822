// _core.optimizer_step: lists of Tensors in, few launches out.
#include "ops/optimizer.h"

#include <pybind11/stl.h>

#include <array>
#include <vector>

#include "bindings/tensor_base.h"

namespace dlx {
namespace {

namespace py = pybind11;

// A list or tuple of Python, of known length.
std::span<PyObject* const> items_of(PyObject* o, const char* what, int64_t expected = -1) {
  DLX_CHECK_AS(TypeError, PyList_Check(o) || PyTuple_Check(o), "optimizer_step: expected ", what,
               " as a list, got ", Py_TYPE(o)->tp_name);
  const auto n = static_cast<int64_t>(PySequence_Fast_GET_SIZE(o));
  DLX_CHECK(expected < 0 || n == expected, "optimizer_step: expected ", expected, " ", what,
            ", one per parameter, got ", n);
  return {PySequence_Fast_ITEMS(o), static_cast<size_t>(n)};
}

Array& array_in(PyObject* o, const char* what, int64_t index) {
  DLX_CHECK_AS(TypeError, is_tensor(o), "optimizer_step: expected ", what, " ", index,
               " as a Tensor, got ", Py_TYPE(o)->tp_name);
  array_of(o);  // raises when there is no value
  return as_tensor(o)->array;
}

struct Parameter {
  Array *p, *g;
  std::array<Array*, kMaxOptimizerStates> states;
  int32_t group;
};

// All arrays are copies (of no memory), so that they live through the launch whatever other threads
// do.
struct Buffers {
  const Array &lr, &weight_decay, &grad_scale, &skip;
  Array step;
};

void launch_some(OptimizerShape shape, Buffers& shared, std::span<const Parameter> some,
                 bool last) {
  Ctx& ctx = current_ctx();
  const size_t count = some.size();
  shape.count = static_cast<int32_t>(count);
  shape.advance = last;
  std::vector<Array> arrays;
  arrays.reserve((2 + kMaxOptimizerStates) * count);
  for (size_t i = 0; i < count; ++i) {
    shape.dtype = some[i].p->dtype;
    shape.group[i] = some[i].group;
    shape.size[i] = some[i].p->size();
    arrays.push_back(*some[i].g);
  }
  const auto take = [&](Array& a) {
    own(ctx, a);
    arrays.push_back(a);
  };
  for (const Parameter& x : some) take(*x.p);
  for (int k = 0; k < shape.states(); ++k)
    for (const Parameter& x : some) take(*x.states[static_cast<size_t>(k)]);

  std::vector<const Array*> inputs = {&shared.lr, &shared.weight_decay, &shared.grad_scale,
                                      &shared.skip};
  std::vector<Array*> outputs = {&shared.step};
  for (size_t i = 0; i < count; ++i) inputs.push_back(&arrays[i]);
  for (size_t i = count; i < arrays.size(); ++i) outputs.push_back(&arrays[i]);
  const Cost cost = ops::optimizer_step.cost(&shape);
  GilRelease release(cost.flops + cost.bytes > 200'000);
  launch_bytes(ctx, {ops::optimizer_step, &shape, sizeof shape, inputs, outputs,
                     same_shape<OptimizerShape>});
}

void optimizer_step(int kind, py::handle params, py::handle grads, py::handle states,
                    py::handle groups, const Array& lr, const Array& weight_decay, py::handle step,
                    const Array& grad_scale, const Array& skip, const std::vector<double>& hyper) {
  Array& counter = array_in(step.ptr(), "step", 0);
  const OptimizerShape shape =
      OptimizerShape::make(kind, hyper, lr, weight_decay, counter, grad_scale, skip);

  const auto p = items_of(params.ptr(), "parameters");
  const auto n = static_cast<int64_t>(p.size());
  const auto g = items_of(grads.ptr(), "gradients", n),
             s = items_of(states.ptr(), "lists of states", n),
             group = items_of(groups.ptr(), "groups", n);
  std::vector<Parameter> of_dtype[2];  // float32, float64: a launch has one dtype
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    Parameter x{&array_in(p[at], "parameter", i), &array_in(g[at], "gradient", i), {}, 0};
    const auto kept = items_of(s[at], "states");
    const size_t count = std::min<size_t>(kept.size(), kMaxOptimizerStates);
    for (size_t k = 0; k < count; ++k) x.states[k] = &array_in(kept[k], "a state of parameter", i);
    const long its_group = PyLong_AsLong(group[at]);
    if (its_group == -1 && PyErr_Occurred()) throw py::error_already_set();
    shape.check(i, *x.p, *x.g, {x.states.data(), kept.size()}, its_group, lr);
    x.group = static_cast<int32_t>(its_group);
    of_dtype[x.p->dtype == DType::float64].push_back(x);
  }

  own(current_ctx(), counter);
  Buffers shared{lr, weight_decay, grad_scale, skip, counter};
  const auto most = static_cast<size_t>(shape.tensors_per_launch());
  auto left = static_cast<size_t>(n);
  if (n == 0) launch_some(shape, shared, {}, true);  // a step all the same
  for (const auto& all : of_dtype) {
    for (size_t at = 0; at < all.size(); at += most) {
      const size_t count = std::min(most, all.size() - at);
      left -= count;
      launch_some(shape, shared, {all.data() + at, count}, left == 0);
    }
  }
}

}  // namespace

void bind_optimizer(py::module_& m) { m.def("optimizer_step", optimizer_step); }

}  // namespace dlx
