#include "bindings/matmul.h"

#include "core/view.h"
#include "ops/matmul.h"

namespace dlx {
namespace {

RuleRef matmul_rule;

PyObject* matmul_checked(PyObject* a, PyObject* b) {
  for (PyObject* o : {a, b})
    DLX_CHECK_AS(TypeError, is_tensor(o), "matmul: expected two Tensors, got ",
                 Py_TYPE(o)->tp_name);
  const Array x1 = array_of(a), x2 = array_of(b);
  Dims y_shape;
  MatmulShape shape = MatmulShape::make(x1, x2, nullptr, &y_shape);
  Array y = empty(y_shape, x1.dtype, x1.device());
  launch_from_python(ops::matmul, shape, {&x1, &x2}, {&y});
  PyObject* result = wrap(std::move(y));
  PyObject* inputs[] = {a, b};
  if (recording && matmul_rule.rule) record(matmul_rule, inputs, 2, &result, 1, nullptr);
  return result;
}

PyObject* matmul_function(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count == 2) return call_matmul(args[0], args[1]);
  PyErr_Format(PyExc_TypeError, "matmul: expected 2 arguments, got %zd", count);
  return nullptr;
}

// linear(x, w, b): x w^T + b, not recorded; b: None or of w's first extent, as Python has checked.
PyObject* linear_checked(PyObject* x, PyObject* w, PyObject* b) {
  const Array a = array_of(x), transposed = permute_view(array_of(w), {1, 0}, "linear");
  const bool has_bias = b != Py_None;
  const Array bias = has_bias ? dense(current_ctx(), array_of(b)) : Array{};
  Dims y_shape;
  const MatmulShape shape = MatmulShape::make(a, transposed, has_bias ? &bias : nullptr, &y_shape);
  Array y = empty(y_shape, a.dtype, a.device());
  if (has_bias) {
    launch_from_python(ops::matmul, shape, {&a, &transposed, &bias}, {&y});
  } else {
    launch_from_python(ops::matmul, shape, {&a, &transposed}, {&y});
  }
  return wrap(std::move(y));
}

PyObject* linear_function(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count != 3) {
    PyErr_Format(PyExc_TypeError, "linear: expected 3 arguments, got %zd", count);
    return nullptr;
  }
  return guarded([&] { return linear_checked(args[0], args[1], args[2]); });
}

PyMethodDef matmul_method = {
    "matmul", reinterpret_cast<PyCFunction>(matmul_function), METH_FASTCALL,
    "matmul(a, b, /)\n--\n\n"
    "The matrix product y = a @ b: y[..., m, n] = sum over k of a[..., m, k] * b[..., k, n].\n\n"
    "a: (..., M, K), b: (..., K, N), y: (..., M, N); batch dimensions broadcast. A 1-d operand is "
    "a\n"
    "row (a) or a column (b) whose dimension is dropped. Both of one floating dtype,\n"
    "of which bfloat16 and float16 are summed in float32 and rounded once; any "
    "strides,\n"
    "without a copy. Raises TypeError for other or mixed dtypes, ValueError for shapes that do "
    "not\n"
    "fit."};

PyMethodDef linear_method = {"linear", reinterpret_cast<PyCFunction>(linear_function),
                             METH_FASTCALL, "linear(x, w, b, /)\n--\n\nx w^T + b, not recorded."};

}  // namespace

PyObject* call_matmul(PyObject* a, PyObject* b) {
  return guarded([&] { return matmul_checked(a, b); });
}

void bind_matmul(pybind11::module_& m) {
  m.add_object("matmul", pybind11::reinterpret_steal<pybind11::object>(
                             PyCFunction_New(&matmul_method, nullptr)));
  m.add_object("linear", pybind11::reinterpret_steal<pybind11::object>(
                             PyCFunction_New(&linear_method, nullptr)));
  m.def("set_matmul_rule",
        [](pybind11::object rule) { matmul_rule = rule_ref(rule.release().ptr()); });
}

}  // namespace dlx
