// Objects of C++ that hold Python objects, as the garbage collector wants to see them.
#pragma once
#include <pybind11/pybind11.h>

namespace dlx {

// For py::custom_type_setup: T::visit(visitproc, void*) tells what it holds, T::clear() lets it go.
template <class T>
void collect(PyHeapTypeObject* heap_type) {
  namespace py = pybind11;
  PyTypeObject* type = &heap_type->ht_type;
  type->tp_flags |= Py_TPFLAGS_HAVE_GC;
  type->tp_traverse = [](PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    if (!py::detail::is_holder_constructed(self)) return 0;
    return py::cast<T&>(py::handle(self)).visit(visit, arg);
  };
  type->tp_clear = [](PyObject* self) {
    if (py::detail::is_holder_constructed(self)) py::cast<T&>(py::handle(self)).clear();
    return 0;
  };
}

}  // namespace dlx
