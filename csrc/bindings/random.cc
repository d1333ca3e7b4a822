// The generator and what draws from it. A cell is passed as a Tensor, because drawing changes its
// array in place.
#include "ops/random.h"

#include "bindings/tensor_base.h"
#include "ops/copy.h"
#include "ops/dropout.h"

namespace dlx {
namespace {

namespace py = pybind11;

// Valid without the GIL: nothing gives the generator's cell another value. A copy would make other
// threads that draw meanwhile copy the state, and give the same numbers twice.
Array& cell_of(py::handle cell, const char* op) {
  DLX_CHECK_AS(TypeError, is_tensor(cell.ptr()), op, ": expected the generator's cell as a Tensor");
  Array& array = as_tensor(cell.ptr())->array;
  DLX_CHECK(array.dtype == DType::int64 && array.shape == Dims{2}, op,
            ": expected a generator's cell, int64 of shape (2,), got ", array.dtype, " of shape ",
            array.shape);
  own(current_ctx(), array);
  return array;
}

template <class Shape>
Array draw(const Op& op, const Shape& shape, py::handle cell, const Dims& y_shape, DType dtype) {
  Array& state = cell_of(cell, op.name);
  Array y = empty(y_shape, dtype, state.device());
  launch_from_python(op, shape, {}, {&y, &state});
  return y;
}

Array random_uniform(py::handle cell, py::handle shape, double low, double high, DType dtype) {
  const Dims y_shape = dims_from(shape.ptr(), "random.uniform", "shape");
  return draw(ops::random_uniform, RandomUniformShape::make(y_shape, dtype, low, high), cell,
              y_shape, dtype);
}

Array random_normal(py::handle cell, py::handle shape, double mean, double std, DType dtype) {
  const Dims y_shape = dims_from(shape.ptr(), "random.normal", "shape");
  return draw(ops::random_normal, RandomNormalShape::make(y_shape, dtype, mean, std), cell, y_shape,
              dtype);
}

Array random_int(py::handle cell, py::handle shape, int64_t low, int64_t last, DType dtype) {
  const Dims y_shape = dims_from(shape.ptr(), "random.randint", "shape");
  return draw(ops::random_int, RandomIntShape::make(y_shape, dtype, low, last), cell, y_shape,
              dtype);
}

Array random_permutation(py::handle cell, int64_t n) {
  return draw(ops::random_permutation, RandomPermutationShape::make(n), cell, {n}, DType::int64);
}

std::tuple<Array, Array> dropout(const Array& x, py::handle cell, double p) {
  const DropoutShape shape = DropoutShape::make(x, p);
  Array& state = cell_of(cell, "dropout");
  Array y = empty(x.shape, x.dtype, x.device());
  Array start = empty({2}, DType::int64, x.device());
  launch_from_python(ops::dropout, shape, {&x}, {&y, &start, &state});
  return {y, start};
}

Array dropout_backward(const Array& dy, const Array& start, double p) {
  DLX_CHECK(start.dtype == DType::int64 && start.shape == Dims{2},
            "dropout_backward: expected start, int64 of shape (2,), got ", start.dtype,
            " of shape ", start.shape);
  Array dx = empty(dy.shape, dy.dtype, dy.device());
  launch_from_python(ops::dropout_backward, DropoutShape::make(dy, p), {&dy, &start}, {&dx});
  return dx;
}

// In place, so that what holds the cell's memory (a recorded program) sees the new state.
void set_random_state(py::handle cell, const Array& state) {
  Array& array = cell_of(cell, "random.set_state");
  DLX_CHECK(state.dtype == DType::int64 && state.shape == Dims{2},
            "random.set_state: expected int64 of shape (2,), as get_state() gives, got ",
            state.dtype, " of shape ", state.shape);
  launch_from_python(ops::copy,
                     CopyShape::make(state.shape, state.dtype, state.strides, array.strides),
                     {&state}, {&array});
}

Array get_random_state(py::handle cell) {
  const Array& array = cell_of(cell, "random.get_state");
  Array state = empty(array.shape, array.dtype, array.device());
  launch_from_python(ops::copy,
                     CopyShape::make(array.shape, array.dtype, array.strides, state.strides),
                     {&array}, {&state});
  return state;
}

}  // namespace

void bind_random(py::module_& m) {
  m.def("random_uniform", random_uniform);
  m.def("random_normal", random_normal);
  m.def("random_int", random_int);
  m.def("random_permutation", random_permutation);
  m.def("dropout", dropout);
  m.def("dropout_backward", dropout_backward);
  m.def("set_random_state", set_random_state);
  m.def("get_random_state", get_random_state);
}

}  // namespace dlx
