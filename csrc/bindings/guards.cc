#include "bindings/guards.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "bindings/bind_all.h"
#include "bindings/collect.h"

namespace dlx {

bool is_simple(PyObject* o) {
  // Of Python's own types their subclasses too; no code of a user's runs.
  if (o == Py_None || PyLong_Check(o) || PyFloat_Check(o) || PyUnicode_Check(o) ||
      PyBytes_Check(o) || PyComplex_Check(o) || PySlice_Check(o) || PyRange_Check(o))
    return true;
  if (PyTuple_Check(o)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(o); ++i)
      if (!is_simple(PyTuple_GET_ITEM(o, i))) return false;
    return true;
  }
  if (PyFrozenSet_Check(o)) {
    for (const py::handle item : py::reinterpret_borrow<py::frozenset>(o))
      if (!is_simple(item.ptr())) return false;
    return true;
  }
  static const auto* const ours =
      new std::array{py::object(py::module_::import("dlx._dtype").attr("DType")),
                     py::object(py::module_::import("dlx._device").attr("Device"))};
  return std::any_of(ours->begin(), ours->end(), [o](const py::object& type) {
    return PyType_IsSubtype(Py_TYPE(o), reinterpret_cast<PyTypeObject*>(type.ptr()));
  });
}

void Guards::add(py::object container, py::object key, py::object expected, py::object name) {
  Guard guard{Kind::attribute, is_simple(expected.ptr()), 0, {}, {}, {}, std::move(name), {}};
  PyObject* c = container.ptr();
  if (PyCell_Check(c)) {
    guard.kind = Kind::cell;
  } else if (key.is_none()) {
    guard.kind = PyDict_Check(c) ? Kind::dict_size : PyList_Check(c) ? Kind::list_size : Kind::size;
    guard.number = PyLong_AsSsize_t(expected.ptr());
  } else if (PyDict_Check(c)) {
    guard.kind = Kind::dict_item;
  } else if (PyList_Check(c)) {
    guard.kind = Kind::list_item;
    guard.number = PyLong_AsSsize_t(key.ptr());
  }  // else of a class, or in a slot
  if (PyErr_Occurred()) throw py::error_already_set();
  guard.container = std::move(container);
  guard.key = std::move(key);
  guard.expected = std::move(expected);
  guards_.push_back(std::move(guard));
}

py::list Guards::add_items(const py::object& container, const py::dict& items,
                           const py::object& name, const py::object& form,
                           const py::object& form_of_size) {
  const auto add_size = [&](const py::object& of, const py::object& its_name) {
    add(of, py::none(), py::int_(py::len(of)), its_name);
    guards_.back().form = form_of_size;
  };
  add_size(container, name);
  py::list reached;
  for (const auto& [key, value] : items) {
    const auto object = py::reinterpret_borrow<py::object>(value);
    add(container, py::reinterpret_borrow<py::object>(key), object, name);
    const bool is_end = guards_.back().by_value;
    guards_.back().form = form;
    if (is_end) continue;
    py::tuple below = py::make_tuple(name, form, key);
    if (PyDict_CheckExact(value.ptr()) && PyDict_GET_SIZE(value.ptr()) == 0)
      add_size(object, below);
    else
      reached.append(py::make_tuple(object, below));
  }
  return reached;
}

py::object Guards::name(size_t number) const {
  const Guard& guard = guards_.at(number);
  return guard.form ? py::make_tuple(guard.name, guard.form, guard.key) : guard.name;
}

int Guards::visit(visitproc visit, void* arg) const {
  for (const Guard& guard : guards_) {
    Py_VISIT(guard.container.ptr());
    Py_VISIT(guard.expected.ptr());
    Py_VISIT(guard.name.ptr());
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
      .def(py::init<>())
      .def("add", &Guards::add)
      .def("add_items", &Guards::add_items)
      .def("name", &Guards::name)
      .def("broken", &Guards::broken);
  m.def("is_simple", [](const py::handle& o) { return is_simple(o.ptr()); });
}

}  // namespace dlx
