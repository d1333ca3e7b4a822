// Pointwise ops called from Python's hot path.
#pragma once
#include "bindings/tensor_base.h"

namespace dlx {

// The op `row` of the pointwise list on Tensors and Python numbers; a new reference, or null with
// an exception set.
PyObject* call_map(int row, PyObject* const* args, Py_ssize_t count);

// x to the power of a Python number or a Tensor; x ** 2 is x * x.
PyObject* call_pow(PyObject* x, PyObject* exponent);

bool is_number(PyObject*);  // Python's and NumPy's scalars, not arrays

DType promote(DType, DType);  // array API; an integer with a floating type gives the floating type

Array cast_to(const Array&, DType);  // itself where the dtype is right already

void bind_map(pybind11::module_&);

}  // namespace dlx
