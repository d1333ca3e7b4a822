#include "bindings/tensor_operators.h"

#include "bindings/from_python.h"
#include "bindings/map.h"
#include "bindings/matmul.h"
#include "ops/map.h"

namespace dlx {
namespace {

int row_of(const char* name) { return map_row(name); }

PyObject* binary(int row, PyObject* a, PyObject* b) {
  for (PyObject* o : {a, b})
    if (!is_tensor(o) && !is_number(o)) Py_RETURN_NOTIMPLEMENTED;
  PyObject* args[] = {a, b};
  return call_map(row, args, 2);
}

PyObject* add(PyObject* a, PyObject* b) {
  static const int row = row_of("add");
  return binary(row, a, b);
}
PyObject* subtract(PyObject* a, PyObject* b) {
  static const int row = row_of("subtract");
  return binary(row, a, b);
}
PyObject* multiply(PyObject* a, PyObject* b) {
  static const int row = row_of("multiply");
  return binary(row, a, b);
}
PyObject* divide(PyObject* a, PyObject* b) {
  static const int row = row_of("divide");
  return binary(row, a, b);
}
PyObject* remainder(PyObject* a, PyObject* b) {
  static const int row = row_of("remainder");
  return binary(row, a, b);
}
PyObject* floor_divide(PyObject* a, PyObject* b) {
  static const int row = row_of("floor_divide");
  return binary(row, a, b);
}
PyObject* bit_and(PyObject* a, PyObject* b) {
  static const int row = row_of("logical_and");
  return binary(row, a, b);
}
PyObject* bit_or(PyObject* a, PyObject* b) {
  static const int row = row_of("logical_or");
  return binary(row, a, b);
}
PyObject* positive(PyObject* a) { return Py_NewRef(a); }  // values never change: itself will do
PyObject* negative(PyObject* a) {
  static const int row = row_of("negative");
  return call_map(row, &a, 1);
}
PyObject* absolute(PyObject* a) {
  static const int row = row_of("abs");
  return call_map(row, &a, 1);
}
PyObject* invert(PyObject* a) {
  static const int row = row_of("logical_not");
  return call_map(row, &a, 1);
}

PyObject* power(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) Py_RETURN_NOTIMPLEMENTED;
  for (PyObject* o : {a, b})
    if (!is_tensor(o) && !is_number(o)) Py_RETURN_NOTIMPLEMENTED;
  return call_pow(a, b);
}

PyObject* matmul(PyObject* a, PyObject* b) {
  if (!is_tensor(a) || !is_tensor(b)) Py_RETURN_NOTIMPLEMENTED;
  return call_matmul(a, b);
}

PyObject* compare(PyObject* a, PyObject* b, int op) {
  static const int rows[] = {row_of("less"),      row_of("less_equal"), row_of("equal"),
                             row_of("not_equal"), row_of("greater"),    row_of("greater_equal")};
  return binary(rows[op], a, b);  // Py_LT, LE, EQ, NE, GT, GE are 0..5
}

template <PyObject* (*F)(PyObject*, PyObject*)>
PyObject* in_place(PyObject* self, PyObject* other) {
  PyObject* value = F(self, other);
  if (!value || value == Py_NotImplemented) return value;
  PyObject* result = guarded([&] {
    const Array& before = as_tensor(self)->array;
    const Array& after = as_tensor(value)->array;
    DLX_CHECK(after.shape == before.shape, "in-place op: the result has shape ", after.shape,
              ", the tensor ", before.shape);
    DLX_CHECK_AS(TypeError, after.dtype == before.dtype, "in-place op: the result is ", after.dtype,
                 ", the tensor ", before.dtype);
    rebind(as_tensor(self), as_tensor(value), "in-place op");
    return Py_NewRef(self);
  });
  Py_DECREF(value);
  return result;
}

Py_ssize_t length(PyObject* self) {
  const Dims& shape = as_tensor(self)->array.shape;
  if (shape.ndim > 0) return shape[0];
  PyErr_SetString(PyExc_TypeError, "len: expected at least 1 dimension, got a tensor of shape ()");
  return -1;
}

int truth(PyObject* self) {
  PyObject* value = guarded([&] {
    const Array& array = as_tensor(self)->array;
    DLX_CHECK(array.size() == 1, "bool: expected one element, got shape ", array.shape,
              "; reduce first, with x.all() or x.any()");
    return item_of(array);
  });
  if (!value) return -1;
  int result = PyObject_IsTrue(value);
  Py_DECREF(value);
  return result;
}

PyObject* to_float(PyObject* self) {
  PyObject* value = item_of(as_tensor(self)->array);
  if (!value) return nullptr;
  PyObject* result = PyNumber_Float(value);
  Py_DECREF(value);
  return result;
}

PyObject* to_int(PyObject* self) {
  PyObject* value = item_of(as_tensor(self)->array);
  if (!value) return nullptr;
  PyObject* result = PyNumber_Long(value);
  Py_DECREF(value);
  return result;
}

PyObject* to_index(PyObject* self) {
  if (is_floating(as_tensor(self)->array.dtype)) {
    PyErr_Format(PyExc_TypeError, "index: expected an integer tensor, got %s",
                 name_of(as_tensor(self)->array.dtype));
    return nullptr;
  }
  return to_int(self);
}

}  // namespace

std::vector<PyType_Slot> operator_slots() {
  return {{Py_tp_richcompare, as_slot(compare)},
          {Py_nb_add, as_slot(add)},
          {Py_nb_subtract, as_slot(subtract)},
          {Py_nb_multiply, as_slot(multiply)},
          {Py_nb_true_divide, as_slot(divide)},
          {Py_nb_remainder, as_slot(dlx::remainder)},
          {Py_nb_floor_divide, as_slot(floor_divide)},
          {Py_nb_power, as_slot(power)},
          {Py_nb_matrix_multiply, as_slot(matmul)},
          {Py_nb_and, as_slot(bit_and)},
          {Py_nb_or, as_slot(bit_or)},
          {Py_nb_positive, as_slot(positive)},
          {Py_nb_negative, as_slot(negative)},
          {Py_nb_absolute, as_slot(absolute)},
          {Py_nb_invert, as_slot(invert)},
          {Py_nb_inplace_add, as_slot(in_place<add>)},
          {Py_nb_inplace_subtract, as_slot(in_place<subtract>)},
          {Py_nb_inplace_multiply, as_slot(in_place<multiply>)},
          {Py_nb_inplace_true_divide, as_slot(in_place<divide>)},
          {Py_nb_bool, as_slot(truth)},
          {Py_nb_float, as_slot(to_float)},
          {Py_nb_int, as_slot(to_int)},
          {Py_nb_index, as_slot(to_index)},
          {Py_mp_length, as_slot(length)}};
}

}  // namespace dlx
