// Guards of dlx.jit (python/dlx/_jit_reach.py): whether Python is as it was when a function was
// recorded.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>
#include <tuple>
#include <vector>

#include "bindings/bind_all.h"

namespace dlx {
namespace {

namespace py = pybind11;

// Items of dicts, lists and cells that were these objects, or equal numbers and strings, when a
// function was recorded.
class Guards {
 public:
  // (container, key, value, by_value): key None: the contents of a closure's cell, or the length
  // of a dict or list; value: NotImplemented for an item that is not there.
  explicit Guards(const std::vector<std::tuple<py::object, py::object, py::object, bool>>& items)
      : items_(items) {}

  // Guards hold what leads back to them: an object whose method is under dlx.jit.
  int visit(visitproc visit, void* arg) const {
    for (const auto& [container, key, value, by_value] : items_) {
      Py_VISIT(container.ptr());
      Py_VISIT(value.ptr());
    }
    return 0;
  }
  void clear() { items_.clear(); }

  // The number of the first that holds no more; -1 if all hold.
  int64_t broken() const {
    for (size_t i = 0; i < items_.size(); ++i)
      if (!holds(items_[i])) return static_cast<int64_t>(i);
    return -1;
  }

 private:
  using Item = std::tuple<py::object, py::object, py::object, bool>;

  static bool holds(const Item& item) {
    PyObject *container = std::get<0>(item).ptr(), *key = std::get<1>(item).ptr(),
             *expected = std::get<2>(item).ptr();
    PyObject* found = nullptr;
    if (PyCell_Check(container)) {
      found = PyCell_GET(container);
    } else if (key == Py_None) {
      const Py_ssize_t n = PyObject_Size(container);
      return n == PyLong_AsSsize_t(expected);
    } else if (PyDict_Check(container)) {
      found = PyDict_GetItemWithError(container, key);
      if (!found && PyErr_Occurred()) throw py::error_already_set();
    } else if (PyList_Check(container)) {
      const Py_ssize_t i = PyLong_AsSsize_t(key);
      if (i < PyList_GET_SIZE(container)) found = PyList_GET_ITEM(container, i);
    } else {  // an attribute of a class, or in a slot
      found = PyObject_GetAttr(container, key);
      if (!found) PyErr_Clear();
      Py_XDECREF(found);  // the container keeps it
    }
    if (!found) return expected == Py_NotImplemented;
    if (found == expected) return true;
    return std::get<3>(item) && equal(found, expected);
  }

  // As values: of one type, floats by their bits, tuples item by item.
  static bool equal(PyObject* a, PyObject* b) {
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

  std::vector<Item> items_;
};

void collect_guards(PyHeapTypeObject* heap_type) {
  PyTypeObject* type = &heap_type->ht_type;
  type->tp_flags |= Py_TPFLAGS_HAVE_GC;
  type->tp_traverse = [](PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    if (!py::detail::is_holder_constructed(self)) return 0;
    return py::cast<Guards&>(py::handle(self)).visit(visit, arg);
  };
  type->tp_clear = [](PyObject* self) {
    if (py::detail::is_holder_constructed(self)) py::cast<Guards&>(py::handle(self)).clear();
    return 0;
  };
}

}  // namespace

void bind_guards(py::module_& m) {
  py::class_<Guards>(m, "Guards", py::custom_type_setup(collect_guards),
                     "What Python state was when a function was recorded.")
      .def(py::init<const std::vector<std::tuple<py::object, py::object, py::object, bool>>&>())
      .def("broken", &Guards::broken);
}

}  // namespace dlx
