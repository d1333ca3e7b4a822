#include "bindings/tensor_base.h"

#include <structmember.h>
#include <unistd.h>

#include <new>
#include <utility>

#include "bindings/from_python.h"
#include "bindings/tensor_operators.h"

namespace dlx {

namespace py = pybind11;

PyTypeObject* tensor_base_type = nullptr;
PyTypeObject* tensor_class = nullptr;

PyObject* raise_current_exception() {
  try {
    throw;
  } catch (py::error_already_set& e) {
    e.restore();
  } catch (const TypeError& e) {
    PyErr_SetString(PyExc_TypeError, e.what());
  } catch (const FloatingPointError& e) {
    PyErr_SetString(PyExc_FloatingPointError, e.what());
  } catch (const std::out_of_range& e) {
    PyErr_SetString(PyExc_IndexError, e.what());
  } catch (const std::invalid_argument& e) {
    PyErr_SetString(PyExc_ValueError, e.what());
  } catch (const std::bad_alloc& e) {
    PyErr_SetString(PyExc_MemoryError, e.what());
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  }
  return nullptr;
}

// Until 3.13 Python ends the daemon threads of a finished program here, by unwinding, which would
// go through destructors without the GIL. They sleep instead, as from 3.14 on.
void GilRelease::restore(PyThreadState* state) {
  try {
    PyEval_RestoreThread(state);
  } catch (...) {
    for (;;) pause();
  }
}

PyObject* wrap(Array array) {
  PyObject* self = tensor_class->tp_alloc(tensor_class, 0);
  if (!self) throw py::error_already_set();
  TensorObject* t = as_tensor(self);
  new (&t->array) Array(std::move(array));
  return self;
}

PyObject* wrap(Array array, NodeObject* node, int output_index) {
  PyObject* self = wrap(std::move(array));
  TensorObject* t = as_tensor(self);
  Py_INCREF(node);
  t->node = node;
  t->output_index = output_index;
  t->requires_grad = node->is_leaf();
  return self;
}

const Array& array_of(PyObject* o) {
  const Array& array = as_tensor(o)->array;
  DLX_CHECK_AS(std::runtime_error, array.storage, "this value was not kept: only the shape ",
               array.shape, " and dtype ", array.dtype, " of it are known to the gradient rule");
  return array;
}

void let_go_of_node(TensorObject* t) {
  if (t->node && t->node->leaf == t) t->node->leaf = nullptr;
  Py_CLEAR(t->node);
}

void check_writable(const TensorObject* cell, const char* op) {
  DLX_CHECK_AS(std::runtime_error, !(recording && cell->requires_grad), op,
               ": a leaf that requires a gradient cannot be written in place; use dlx.no_grad() or "
               "detach()");
}

void rebind(TensorObject* cell, TensorObject* value, const char* op) {
  check_writable(cell, op);
  note_write(cell);
  // The old value goes last: letting go of borrowed memory runs code of others.
  const Array before = std::exchange(cell->array, value->array);
  if (cell->requires_grad) return;  // under no_grad a leaf stays the same leaf
  NodeObject* old = cell->node;
  cell->node =
      value->node ? (is_leaf(value) && !value->requires_grad ? nullptr : value->node) : nullptr;
  if (value->requires_grad) cell->node = leaf_node(value);
  Py_XINCREF(cell->node);
  cell->output_index = value->output_index;
  Py_XDECREF(old);
}

namespace {

PyObject* tensor_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  if (PyTuple_GET_SIZE(args) != 1 || (kwargs && PyDict_GET_SIZE(kwargs)) ||
      !is_tensor(PyTuple_GET_ITEM(args, 0))) {
    PyErr_SetString(PyExc_TypeError,
                    "Tensor: expected one Tensor; dlx.tensor(data) makes Tensors of other data");
    return nullptr;
  }
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  new (&as_tensor(self)->array) Array(as_tensor(PyTuple_GET_ITEM(args, 0))->array);
  return self;
}

void tensor_dealloc(PyObject* self) {
  TensorObject* t = as_tensor(self);
  let_go_of_node(t);  // before other code runs, which could find a dying leaf through it
  if (t->weak_references) PyObject_ClearWeakRefs(self);
  Py_CLEAR(t->grad);
  t->array.~Array();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

// ---- attributes

PyObject* get_shape(PyObject* self, void*) { return tuple_of(as_tensor(self)->array.shape); }
PyObject* get_ndim(PyObject* self, void*) {
  return PyLong_FromLong(as_tensor(self)->array.shape.ndim);
}
PyObject* get_size(PyObject* self, void*) {
  return PyLong_FromLongLong(as_tensor(self)->array.size());
}
PyObject* get_dtype(PyObject* self, void*) {
  return Py_NewRef(dtype_object(as_tensor(self)->array.dtype));
}
PyObject* get_strides(PyObject* self, void*) { return tuple_of(as_tensor(self)->array.strides); }
PyObject* get_node(PyObject* self, void*) {
  TensorObject* t = as_tensor(self);
  return guarded([&] {
    if (t->requires_grad && !t->node) leaf_node(t);
    return Py_NewRef(t->node ? reinterpret_cast<PyObject*>(t->node) : Py_None);
  });
}
PyObject* get_output_index(PyObject* self, void*) {
  return PyLong_FromLong(as_tensor(self)->output_index);
}
PyObject* get_is_leaf(PyObject* self, void*) { return PyBool_FromLong(is_leaf(as_tensor(self))); }
PyObject* get_requires_grad(PyObject* self, void*) {
  return PyBool_FromLong(needs_grad(as_tensor(self)));
}
PyObject* get_is_dense(PyObject* self, void*) {
  return PyBool_FromLong(as_tensor(self)->array.is_dense());
}
PyObject* get_storage_id(PyObject* self, void*) {
  return guarded([&] { return PyLong_FromUnsignedLongLong(array_of(self).storage->id); });
}
PyObject* get_device_code(PyObject* self, void*) {
  Device d = as_tensor(self)->array.device();
  return Py_BuildValue("(ii)", static_cast<int>(d.kind), static_cast<int>(d.index));
}

int set_requires_grad(PyObject* self, PyObject* value, void*) {
  TensorObject* t = as_tensor(self);
  if (!value) {
    PyErr_SetString(PyExc_TypeError, "requires_grad: expected a bool, and cannot be deleted");
    return -1;
  }
  const int on = PyObject_IsTrue(value);
  if (on < 0) return -1;
  if (on && !is_floating(t->array.dtype)) {
    PyErr_Format(PyExc_TypeError, "requires_grad: expected a floating dtype, got %s",
                 name_of(t->array.dtype));
    return -1;
  }
  if (!is_leaf(t)) {
    if (on) return 0;
    PyErr_SetString(PyExc_RuntimeError,
                    "requires_grad: a computed tensor always follows its inputs; use detach()");
    return -1;
  }
  t->requires_grad = on;
  if (!on) let_go_of_node(t);
  return 0;
}

PyObject* get_grad(PyObject* self, void*) {
  PyObject* grad = as_tensor(self)->grad;
  return Py_NewRef(grad ? grad : Py_None);
}

int set_grad(PyObject* self, PyObject* value, void*) {
  TensorObject* t = as_tensor(self);
  if (!value || value == Py_None) {
    Py_CLEAR(t->grad);
    return 0;
  }
  if (!is_tensor(value)) {
    PyErr_Format(PyExc_TypeError, "grad: expected a Tensor or None, got %s",
                 Py_TYPE(value)->tp_name);
    return -1;
  }
  PyObject* done = guarded([&] {
    const Dims &expected = t->array.shape, &shape = as_tensor(value)->array.shape;
    DLX_CHECK(shape == expected, "grad: expected shape ", expected, ", got ", shape);
    const DType dtype = as_tensor(value)->array.dtype;
    DLX_CHECK_AS(TypeError, dtype == t->array.dtype, "grad: expected ", t->array.dtype, ", got ",
                 dtype);
    return value;
  });
  if (!done) return -1;
  Py_XSETREF(t->grad, Py_NewRef(value));
  return 0;
}

PyGetSetDef getset[] = {
    // "type: meaning"; the type goes into _core.pyi
    {"shape", get_shape, nullptr, "tuple[int, ...]: the extents", nullptr},
    {"ndim", get_ndim, nullptr, "int: the number of dimensions", nullptr},
    {"_numel", get_size, nullptr, "int: the number of elements", nullptr},
    {"dtype", get_dtype, nullptr, "dlx._dtype.DType: the element type", nullptr},
    {"_strides", get_strides, nullptr, "tuple[int, ...]: strides in elements", nullptr},
    {"node", get_node, nullptr, "Node | None: the graph node that made this value, or None",
     nullptr},
    {"output_index", get_output_index, nullptr, "int: which of the node's outputs this is",
     nullptr},
    {"is_leaf", get_is_leaf, nullptr, "bool: whether no recorded op made this value", nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad,
     "bool: whether gradients flow to this tensor", nullptr},
    {"grad", get_grad, set_grad,
     "dlx._tensor.Tensor | None: the accumulated gradient of a leaf, or None", nullptr},
    {"_is_dense", get_is_dense, nullptr, "bool: whether the elements stand row-major without gaps",
     nullptr},
    {"_storage_id", get_storage_id, nullptr, "int: identity of the memory behind this view",
     nullptr},
    {"_device_code", get_device_code, nullptr, "tuple[int, int]: (kind, index) of the device",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TensorObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

// ---- methods

PyObject* item(PyObject* self, PyObject*) { return item_of(as_tensor(self)->array); }
PyObject* tolist(PyObject* self, PyObject*) { return list_of(as_tensor(self)->array); }

PyMethodDef methods[] = {
    {"item", item, METH_NOARGS, "The value of a tensor of one element, as a Python number."},
    {"tolist", tolist, METH_NOARGS,
     "The values as nested lists of Python numbers (a number for shape ())."},
    {nullptr, nullptr, 0, nullptr}};

std::vector<PyType_Slot> slots() {
  std::vector<PyType_Slot> all = operator_slots();
  all.insert(all.end(), {{Py_tp_new, as_slot(tensor_new)},
                         {Py_tp_dealloc, as_slot(tensor_dealloc)},
                         {Py_tp_getset, getset},
                         {Py_tp_members, members},
                         {Py_tp_methods, methods},
                         {Py_tp_hash, as_slot(PyBaseObject_Type.tp_hash)},
                         {Py_bf_getbuffer, as_slot(get_buffer)},
                         {Py_bf_releasebuffer, as_slot(release_buffer)},
                         {Py_tp_doc, const_cast<char*>("The native base of dlx.Tensor.")},
                         {0, nullptr}});
  return all;
}

}  // namespace

PyTypeObject* make_tensor_type(PyObject* module) {
  std::vector<PyType_Slot> all = slots();
  PyType_Spec spec = {"dlx._core.TensorBase", sizeof(TensorObject), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, all.data()};
  tensor_base_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!tensor_base_type || PyModule_AddObjectRef(module, "TensorBase",
                                                 reinterpret_cast<PyObject*>(tensor_base_type)) < 0)
    throw py::error_already_set();
  tensor_class = tensor_base_type;
  return tensor_base_type;
}

}  // namespace dlx
