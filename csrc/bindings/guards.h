// What Python was like when dlx.jit recorded a function (python/dlx/_jit_reach.py).
#pragma once
#include <pybind11/pybind11.h>

#include <vector>

namespace dlx {

namespace py = pybind11;

// Whether equal values are as good as the same one: numbers, strings, dtypes, tuples of them.
bool is_simple(PyObject*);

// Items of dicts, lists and cells that were these objects, or equal simple values.
class Guards {
 public:
  // key None: the contents of a closure's cell, or the length of a dict or list; expected:
  // NotImplemented for an item that is not there.
  void add(py::object container, py::object key, py::object expected, py::object name);
  // The length of a dict or list and `items`, {key: value}, of it, each named by (name, form, key).
  // Gives the items through which more can be reached: [(value, its name)].
  py::list add_items(const py::object& container, const py::dict& items, const py::object& name,
                     const py::object& form, const py::object& form_of_size);

  // What add() was told, or (name, form, key).
  py::object name(size_t number) const;

  // The number of the first that holds no more; -1 if all hold.
  int64_t broken() const;

  // For the garbage collector: guards hold what leads back to them, such as an object whose method
  // is under dlx.jit.
  int visit(visitproc, void* arg) const;
  void clear() { guards_.clear(); }

  // As values: of one type, floats by their bits, tuples item by item.
  static bool equal(PyObject*, PyObject*);

 private:
  enum class Kind : uint8_t { cell, dict_item, list_item, dict_size, list_size, size, attribute };
  struct Guard {
    Kind kind;
    bool by_value;
    Py_ssize_t number;  // list_item: its index; sizes: the size
    py::object container, key, expected;
    py::object name, form;  // form: of (name, form, key), null where `name` says it all
  };
  static bool holds(const Guard&);

  std::vector<Guard> guards_;
};

}  // namespace dlx
