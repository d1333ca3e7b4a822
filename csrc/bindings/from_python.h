// Data between Python and arrays: numbers, nested lists, the buffer protocol (NumPy and friends).
#pragma once
#include <optional>

#include "bindings/tensor_base.h"

namespace dlx {

// A copy of scalars, nested sequences or any buffer. Floats become float32, ints int64, bools bool;
// buffers keep their dtype; `dtype` overrides.
Array array_from_data(PyObject* data, std::optional<DType> dtype, Device device);

// A read-only view of a buffer; copies where its layout cannot be a view.
Array borrow_buffer(PyObject* exporter);

PyObject* item_of(const Array&);  // of one element, as a Python number
PyObject* list_of(const Array&);  // nested lists

// The buffer protocol of Tensors: read-only, zero-copy, a snapshot (the view keeps the memory it
// saw).
int get_buffer(PyObject* self, Py_buffer* view, int flags);
void release_buffer(PyObject* self, Py_buffer* view);

void bind_from_python(pybind11::module_&);

}  // namespace dlx
