// The C type under dlx.Tensor, and how native functions take and return Tensors.
#pragma once
#include <pybind11/pybind11.h>

#include <utility>

#include "bindings/node.h"
#include "core/allocator.h"
#include "core/check.h"
#include "core/launch.h"

namespace dlx {

// A cell holding a value: the array, and where it came from. No garbage-collector slots: node and
// grad never lead back to the cell (a node keeps arrays, not tensors; a leaf's node only borrows
// it).
struct TensorObject {
  PyObject_HEAD Array array;
  NodeObject* node;  // that made this value; for a leaf, the node that accumulates into .grad (made
                     // when needed)
  int32_t output_index;  // among node's outputs
  bool requires_grad;    // of a leaf
  PyObject* grad;        // Tensor or null
  PyObject* weak_references;
};

extern PyTypeObject* tensor_base_type;
extern PyTypeObject* tensor_class;  // dlx.Tensor, once Python has registered it

inline bool is_tensor(PyObject* o) { return PyObject_TypeCheck(o, tensor_base_type); }
inline TensorObject* as_tensor(PyObject* o) { return reinterpret_cast<TensorObject*>(o); }
inline bool is_leaf(const TensorObject* t) { return !t->node || t->node->is_leaf(); }
inline bool needs_grad(const TensorObject* t) {
  return t->requires_grad || (t->node && !t->node->is_leaf());
}

PyObject* wrap(Array array);                                      // a new dlx.Tensor
PyObject* wrap(Array array, NodeObject* node, int output_index);  // attached to the graph
// The tensor's array; raises when its value was not kept (a saved input that its rule did not ask
// for).
const Array& array_of(PyObject* tensor);

// A leaf's node is found through the leaf and must not outlive what it points back to.
void let_go_of_node(TensorObject*);

// Raises on a leaf that requires a gradient, outside no_grad.
void check_writable(const TensorObject* cell, const char* op);
// Before a cell's value is written, in place or by another one: dlx.remat undoes it.
void note_write(TensorObject* cell);
// Rebinds the cell to another value, as x += v and x[i] = v do, where it is writable.
void rebind(TensorObject* cell, TensorObject* value, const char* op);

PyObject* dtype_object(DType);
DType dtype_from(PyObject*, const char* op);  // dlx.float32, "float32", numpy.float32, ...
Dims dims_from(PyObject*, const char* op, const char* what);  // an int or a sequence of ints
PyObject* tuple_of(const Dims&);

PyTypeObject* make_tensor_type(PyObject* module);

// Turns C++ exceptions into Python's, for functions of the C API.
PyObject* raise_current_exception();
template <class F>
PyObject* guarded(const F& body) {
  try {
    return body();
  } catch (...) {
    return raise_current_exception();
  }
}

// A tuple of element(0), ..., element(n - 1), new references; null, as is the first failing one.
template <class F>
PyObject* new_tuple(int n, const F& element) {
  PyObject* tuple = PyTuple_New(n);
  for (int i = 0; tuple && i < n; ++i) {
    if (PyObject* o = element(i))
      PyTuple_SET_ITEM(tuple, i, o);
    else
      Py_CLEAR(tuple);
  }
  return tuple;
}

// Releases the GIL for work that takes longer than handing it over (about 10 us). Meanwhile other
// threads may give any tensor a new value: the work needs Arrays of its own.
class GilRelease {
 public:
  explicit GilRelease(bool worth) : state_(worth ? PyEval_SaveThread() : nullptr) {}
  ~GilRelease() {
    if (state_) restore(state_);
  }
  GilRelease(const GilRelease&) = delete;

 private:
  static void restore(PyThreadState*);
  PyThreadState* state_;
};

pybind11::dict as_dict(const MemoryStats&);

using DeviceCode = std::pair<int, int>;  // (kind, index), as Tensor._device_code
inline Device device_from(const DeviceCode& code) {
  return {static_cast<DeviceKind>(code.first), static_cast<int8_t>(code.second)};
}

// launch() for bindings: the GIL is released when the op's cost says that it pays.
template <class Shape>
void launch_from_python(const Op& op, const Shape& shape,
                        std::initializer_list<const Array*> inputs,
                        std::initializer_list<Array*> outputs) {
  Cost cost = op.cost ? op.cost(&shape) : Cost{};
  GilRelease release(cost.flops + cost.bytes > 200'000);
  launch(current_ctx(), op, shape, inputs, outputs);
}

}  // namespace dlx

namespace pybind11::detail {

// Native functions take and return dlx::Array; Python passes and gets Tensors.
template <>
struct type_caster<dlx::Array> {
  PYBIND11_TYPE_CASTER(dlx::Array, const_name("dlx._tensor.Tensor"));
  bool load(handle source, bool) {
    if (!dlx::is_tensor(source.ptr())) return false;
    value = dlx::array_of(source.ptr());
    return true;
  }
  static handle cast(const dlx::Array& array, return_value_policy, handle) {
    return dlx::wrap(array);
  }
};

template <>
struct type_caster<dlx::Dims> {
  PYBIND11_TYPE_CASTER(dlx::Dims, const_name("tuple[int, ...]"));
  bool load(handle source, bool) {
    value = dlx::dims_from(source.ptr(), "shape", "shape");
    return true;
  }
  static handle cast(const dlx::Dims& dims, return_value_policy, handle) {
    return dlx::tuple_of(dims);
  }
};

template <>
struct type_caster<dlx::DType> {
  PYBIND11_TYPE_CASTER(dlx::DType, const_name("dlx._dtype.DType"));
  bool load(handle source, bool) {
    value = dlx::dtype_from(source.ptr(), "dtype");
    return true;
  }
  static handle cast(dlx::DType t, return_value_policy, handle) {
    return handle(dlx::dtype_object(t)).inc_ref();
  }
};

}  // namespace pybind11::detail
