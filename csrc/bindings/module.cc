// dlx._core: the native half of dlx.
#include "bindings/bind_all.h"
#include "core/cpu_features.h"
#include "core/parallel.h"
#include "core/precision.h"

namespace dlx {

namespace py = pybind11;

void set_dtypes(py::tuple singletons, py::object parser);  // convert.cc

namespace {

// record(rule, inputs, outputs, attrs=()): outputs, attached to the graph where an input needs a
// gradient.
PyObject* record_function(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return guarded([&]() -> PyObject* {
    DLX_CHECK_AS(TypeError, (count == 3 || count == 4) && PyTuple_Check(args[1]),
                 "record: expected rule, inputs, outputs");
    PyObject* result = args[2];
    if (recording) {
      const bool many = PyTuple_Check(result);
      PyObject* const* outputs = many ? &PyTuple_GET_ITEM(result, 0) : &result;
      const int output_count = many ? static_cast<int>(PyTuple_GET_SIZE(result)) : 1;
      for (int i = 0; i < output_count; ++i)
        DLX_CHECK_AS(TypeError, is_tensor(outputs[i]), "record: expected Tensors as outputs, got ",
                     Py_TYPE(outputs[i])->tp_name);
      record(rule_ref(args[0]), &PyTuple_GET_ITEM(args[1], 0),
             static_cast<int>(PyTuple_GET_SIZE(args[1])), outputs, output_count,
             count == 4 ? args[3] : nullptr);
    }
    return Py_NewRef(result);
  });
}

PyMethodDef record_method = {"record", reinterpret_cast<PyCFunction>(record_function),
                             METH_FASTCALL, nullptr};

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() =
      "The native half of dlx: arrays, kernels, the door, and the nodes of the recorded graph.";
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const TypeError& e) {
      PyErr_SetString(PyExc_TypeError, e.what());
    } catch (const FloatingPointError& e) {
      PyErr_SetString(PyExc_FloatingPointError, e.what());
    }
  });
  make_node_type(m.ptr());
  make_tensor_type(m.ptr());
  m.def("set_tensor_class",
        [](py::type t) { tensor_class = reinterpret_cast<PyTypeObject*>(t.release().ptr()); });
  m.def("set_dtypes", set_dtypes);
  m.add_object("record",
               py::reinterpret_steal<py::object>(PyCFunction_New(&record_method, nullptr)));
  m.def("recording", [] { return recording; });
  m.def("set_recording", [](bool on) { return std::exchange(recording, on); });
  m.def("rebind", [](py::handle cell, py::handle value, const char* op) {
    for (py::handle o : {cell, value})
      DLX_CHECK_AS(TypeError, is_tensor(o.ptr()), op, ": expected Tensors, got ",
                   Py_TYPE(o.ptr())->tp_name);
    rebind(as_tensor(cell.ptr()), as_tensor(value.ptr()), op);
  });
  m.def("detach", [](const Array& x) { return x; });
  m.def("dense", [](const Array& x) { return dense(current_ctx(), x); });

  m.def("num_threads", num_threads);
  m.def("set_num_threads", set_num_threads);
  m.def("exact_precision", [] { return precision() == Precision::exact; });
  m.def("set_exact_precision",
        [](bool exact) { set_precision(exact ? Precision::exact : Precision::fp32); });
  m.def("isa", [] { return kIsaName[static_cast<int>(current_isa())]; });
  m.def("best_isa", [] { return kIsaName[static_cast<int>(best_isa())]; });
  m.def("set_isa", set_isa);
  bind_all(m);
}

}  // namespace dlx
