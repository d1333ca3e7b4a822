#include "bindings/matmul.h"

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
  MatmulShape shape = MatmulShape::make(x1, x2, &y_shape);
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

PyMethodDef matmul_method = {
    "matmul", reinterpret_cast<PyCFunction>(matmul_function), METH_FASTCALL,
    "matmul(a, b, /)\n--\n\n"
    "The matrix product y = a @ b: y[..., m, n] = sum over k of a[..., m, k] * b[..., k, n].\n\n"
    "a: (..., M, K), b: (..., K, N), y: (..., M, N); batch dimensions broadcast. A 1-d operand is "
    "a\n"
    "row (a) or a column (b) whose dimension is dropped. Both float32 or both float64; any "
    "strides,\n"
    "without a copy. Raises TypeError for other or mixed dtypes, ValueError for shapes that do "
    "not\n"
    "fit."};

}  // namespace

PyObject* call_matmul(PyObject* a, PyObject* b) {
  return guarded([&] { return matmul_checked(a, b); });
}

void bind_matmul(pybind11::module_& m) {
  m.add_object("matmul", pybind11::reinterpret_steal<pybind11::object>(
                             PyCFunction_New(&matmul_method, nullptr)));
  m.def("set_matmul_rule",
        [](pybind11::object rule) { matmul_rule = rule_ref(rule.release().ptr()); });
}

}  // namespace dlx
