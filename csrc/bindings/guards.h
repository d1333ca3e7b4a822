// What Python was like when dlx.jit recorded a function (python/dlx/_jit_reach.py).
#pragma once
#include <pybind11/pybind11.h>

#include <tuple>
#include <vector>

namespace dlx {

namespace py = pybind11;

// Items of dicts, lists and cells that were these objects, or equal numbers and strings.
class Guards {
 public:
  // (container, key, value, by_value): key None: the contents of a closure's cell, or the length
  // of a dict or list; value: NotImplemented for an item that is not there.
  using Item = std::tuple<py::object, py::object, py::object, bool>;
  explicit Guards(const std::vector<Item>&);

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
  };
  static bool holds(const Guard&);

  std::vector<Guard> guards_;
};

}  // namespace dlx
