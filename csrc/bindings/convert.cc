// Small things that cross the border everywhere: dtypes, shapes.
#include "bindings/tensor_base.h"

namespace dlx {

namespace py = pybind11;

namespace {
PyObject* dtype_objects[kNumDTypes] = {};
PyObject* as_dtype = nullptr;  // Python's parser of everything else that names a dtype
}  // namespace

void set_dtypes(py::tuple singletons, py::object parser) {
  for (int i = 0; i < kNumDTypes; ++i) dtype_objects[i] = py::object(singletons[i]).release().ptr();
  as_dtype = parser.release().ptr();
}

PyObject* dtype_object(DType t) { return dtype_objects[static_cast<int>(t)]; }

DType dtype_from(PyObject* o, const char*) {
  for (int i = 0; i < kNumDTypes; ++i)
    if (o == dtype_objects[i]) return static_cast<DType>(i);
  py::object parsed = py::reinterpret_steal<py::object>(PyObject_CallOneArg(as_dtype, o));
  if (!parsed) throw py::error_already_set();
  for (int i = 0; i < kNumDTypes; ++i)
    if (parsed.ptr() == dtype_objects[i]) return static_cast<DType>(i);
  throw TypeError("dtype: expected one of dlx's eight dtypes");
}

Dims dims_from(PyObject* o, const char* op, const char* what) {
  Dims dims;
  auto add = [&](PyObject* item) {
    const py::object held = py::reinterpret_borrow<py::object>(item);  // __index__ may drop it
    PyObject* const value = held.ptr();
    PyObject* index = PyIndex_Check(value) ? PyNumber_Index(value) : nullptr;
    if (!index) {
      PyErr_Clear();
      throw TypeError(message(op, ": expected ", what, " as an int or a tuple of ints, got ",
                              Py_TYPE(value)->tp_name));
    }
    int64_t v = PyLong_AsLongLong(index);
    Py_DECREF(index);
    if (v == -1 && PyErr_Occurred()) throw py::error_already_set();
    DLX_CHECK(dims.ndim < kMaxDims, op, ": expected at most ", kMaxDims, " dimensions");
    dims.push_back(v);
  };
  if (PyTuple_Check(o) || PyList_Check(o)) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i)
      add(PySequence_Fast_GET_ITEM(o, i));
  } else {
    add(o);
  }
  return dims;
}

PyObject* tuple_of(const Dims& dims) {
  return new_tuple(dims.ndim, [&](int i) { return PyLong_FromLongLong(dims[i]); });
}

}  // namespace dlx
