// The generator and what draws from it. A cell is passed as a Tensor, because drawing changes its
// array in place.
#include "ops/random.h"

#include <shared_mutex>

#include "bindings/tensor_base.h"
#include "core/device.h"
#include "ops/copy.h"
#include "ops/dropout.h"

namespace dlx {
namespace {

namespace py = pybind11;

// While one lives, the generator's cell stays where it is. The state is in one place: a draw on
// another device takes it there, so that the sequence is one, whatever the devices. Whoever waits
// leaves the GIL to those that draw.
class Turn {
 public:
  // Where the cell is.
  Turn(py::handle cell, const char* op) : array(cell_of(cell, op)) {
    wait_for(shared_);
    own(current_ctx(), array);
  }
  // On `device`. Not copied but moved: two copies would give the same numbers twice.
  Turn(py::handle cell, const char* op, Device device) : Turn(cell, op) {
    if (array.device() == device) return;
    shared_.unlock();
    wait_for(alone_);
    if (array.device() == device) return;  // another thread was faster
    array = moved(current_ctx(), array, device);
  }
  Array& array;

 private:
  static Array& cell_of(py::handle cell, const char* op) {
    DLX_CHECK_AS(TypeError, is_tensor(cell.ptr()), op,
                 ": expected the generator's cell as a Tensor");
    Array& array = as_tensor(cell.ptr())->array;
    DLX_CHECK(array.dtype == DType::int64 && array.shape == Dims{2}, op,
              ": expected a generator's cell, int64 of shape (2,), got ", array.dtype, " of shape ",
              array.shape);
    return array;
  }
  template <class Lock>
  static void wait_for(Lock& lock) {
    if (lock.try_lock()) return;
    GilRelease release(true);
    lock.lock();
  }

  static inline std::shared_mutex mutex_;
  std::shared_lock<std::shared_mutex> shared_{mutex_, std::defer_lock};
  std::unique_lock<std::shared_mutex> alone_{mutex_, std::defer_lock};
};

template <class Shape>
Array draw(const Op& op, const Shape& shape, py::handle cell, const Dims& y_shape, DType dtype,
           const DeviceCode& device) {
  Turn turn(cell, op.name, device_from(device));
  Array y = empty(y_shape, dtype, turn.array.device());
  launch_from_python(op, shape, {}, {&y, &turn.array});
  return y;
}

Array random_uniform(py::handle cell, py::handle shape, double low, double high, DType dtype,
                     const DeviceCode& device) {
  const Dims y_shape = dims_from(shape.ptr(), "random.uniform", "shape");
  return draw(ops::random_uniform, RandomUniformShape::make(y_shape, dtype, low, high), cell,
              y_shape, dtype, device);
}

Array random_normal(py::handle cell, py::handle shape, double mean, double std, DType dtype,
                    const DeviceCode& device) {
  const Dims y_shape = dims_from(shape.ptr(), "random.normal", "shape");
  return draw(ops::random_normal, RandomNormalShape::make(y_shape, dtype, mean, std), cell, y_shape,
              dtype, device);
}

Array random_int(py::handle cell, py::handle shape, int64_t low, int64_t last, DType dtype,
                 const DeviceCode& device) {
  const Dims y_shape = dims_from(shape.ptr(), "random.randint", "shape");
  return draw(ops::random_int, RandomIntShape::make(y_shape, dtype, low, last), cell, y_shape,
              dtype, device);
}

Array random_permutation(py::handle cell, int64_t n, const DeviceCode& device) {
  return draw(ops::random_permutation, RandomPermutationShape::make(n), cell, {n}, DType::int64,
              device);
}

std::tuple<Array, Array> dropout(const Array& x, py::handle cell, double p) {
  const DropoutShape shape = DropoutShape::make(x, p);
  Turn turn(cell, "dropout", x.device());
  Array y = empty(x.shape, x.dtype, x.device());
  Array start = empty({2}, DType::int64, x.device());
  launch_from_python(ops::dropout, shape, {&x}, {&y, &start, &turn.array});
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
  DLX_CHECK(state.dtype == DType::int64 && state.shape == Dims{2},
            "random.set_state: expected int64 of shape (2,), as get_state() gives, got ",
            state.dtype, " of shape ", state.shape);
  Turn turn(cell, "random.set_state");
  const Array here = moved(current_ctx(), state, turn.array.device());
  launch_from_python(ops::copy,
                     CopyShape::make(here.shape, here.dtype, here.strides, turn.array.strides),
                     {&here}, {&turn.array});
}

// On the CPU, wherever the cell is.
Array get_random_state(py::handle cell) {
  const Turn turn(cell, "random.get_state");
  const Array& a = turn.array;
  return a.device() == Device{} ? copy_of(current_ctx(), a) : moved(current_ctx(), a, Device{});
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
