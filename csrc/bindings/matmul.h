#pragma once
#include "bindings/tensor_base.h"

namespace dlx {

PyObject* call_matmul(PyObject* a, PyObject* b);  // a @ b, recorded
void bind_matmul(pybind11::module_&);

}  // namespace dlx
