#include "bindings/guards.h"

#include <pybind11/stl.h>

#include <cstring>

#include "bindings/bind_all.h"
#include "bindings/collect.h"

namespace dlx {

Guards::Guards(const std::vector<Item>& items) {
  for (const auto& [container, key, expected, by_value] : items) {
    Guard guard{Kind::attribute, by_value, 0, container, key, expected};
    PyObject* c = container.ptr();
    if (PyCell_Check(c)) {
      guard.kind = Kind::cell;
    } else if (key.is_none()) {
      guard.kind = PyDict_Check(c)   ? Kind::dict_size
                   : PyList_Check(c) ? Kind::list_size
                                     : Kind::size;
      guard.number = PyLong_AsSsize_t(expected.ptr());
    } else if (PyDict_Check(c)) {
      guard.kind = Kind::dict_item;
    } else if (PyList_Check(c)) {
      guard.kind = Kind::list_item;
      guard.number = PyLong_AsSsize_t(key.ptr());
    }  // else of a class, or in a slot
    if (PyErr_Occurred()) throw py::error_already_set();
    guards_.push_back(std::move(guard));
  }
}

int Guards::visit(visitproc visit, void* arg) const {
  for (const Guard& guard : guards_) {
    Py_VISIT(guard.container.ptr());
    Py_VISIT(guard.expected.ptr());
  }
  return 0;
}

int64_t Guards::broken() const {
  for (size_t i = 0; i < guards_.size(); ++i)
    if (!holds(guards_[i])) return static_cast<int64_t>(i);
  return -1;
}

bool Guards::holds(const Guard& guard) {
  PyObject *container = guard.container.ptr(), *expected = guard.expected.ptr();
  PyObject* found = nullptr;
  switch (guard.kind) {
    case Kind::dict_item:
      found = PyDict_GetItemWithError(container, guard.key.ptr());
      if (!found && PyErr_Occurred()) throw py::error_already_set();
      break;
    case Kind::cell:
      found = PyCell_GET(container);
      break;
    case Kind::list_item:
      if (guard.number < PyList_GET_SIZE(container))
        found = PyList_GET_ITEM(container, guard.number);
      break;
    case Kind::dict_size:
      return PyDict_GET_SIZE(container) == guard.number;
    case Kind::list_size:
      return PyList_GET_SIZE(container) == guard.number;
    case Kind::size:
      return PyObject_Size(container) == guard.number;
    case Kind::attribute:
      found = PyObject_GetAttr(container, guard.key.ptr());
      if (!found) PyErr_Clear();
      Py_XDECREF(found);  // the container keeps it
  }
  if (!found) return expected == Py_NotImplemented;
  if (found == expected) return true;
  return guard.by_value && equal(found, expected);
}

bool Guards::equal(PyObject* a, PyObject* b) {
  if (a == b) return true;
  if (Py_TYPE(a) != Py_TYPE(b)) return false;
  if (PyFloat_CheckExact(a)) {
    const double x = PyFloat_AS_DOUBLE(a), y = PyFloat_AS_DOUBLE(b);
    return std::memcmp(&x, &y, sizeof x) == 0;
  }
  if (PyTuple_Check(a)) {
    if (PyTuple_GET_SIZE(a) != PyTuple_GET_SIZE(b)) return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(a); ++i)
      if (!equal(PyTuple_GET_ITEM(a, i), PyTuple_GET_ITEM(b, i))) return false;
    return true;
  }
  const int same = PyObject_RichCompareBool(a, b, Py_EQ);
  if (same < 0) throw py::error_already_set();
  return same;
}

void bind_guards(py::module_& m) {
  py::class_<Guards>(m, "Guards", py::custom_type_setup(collect<Guards>),
                     "What Python state was when a function was recorded.")
      .def(py::init<const std::vector<Guards::Item>&>())
      .def("broken", &Guards::broken);
}

}  // namespace dlx
