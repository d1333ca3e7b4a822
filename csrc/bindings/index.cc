// Reading and writing by position. Python's ops/index.py splits an index into what stands here.
#include <vector>

#include "bindings/tensor_base.h"
#include "core/device.h"
#include "core/view.h"
#include "ops/copy.h"
#include "ops/nonzero.h"
#include "ops/one_hot.h"
#include "ops/ravel_index.h"
#include "ops/scatter.h"
#include "ops/scatter_add.h"
#include "ops/take.h"

namespace dlx {
namespace {

namespace py = pybind11;

// An int, None, Ellipsis or a slice of ints: nothing has to be read first.
bool is_plain(PyObject* item) {
  const auto bound = [](PyObject* o) { return o == Py_None || PyLong_CheckExact(o); };
  if (!PySlice_Check(item)) return item == Py_Ellipsis || bound(item);
  const auto* slice = reinterpret_cast<PySliceObject*>(item);
  return bound(slice->start) && bound(slice->stop) && bound(slice->step);
}

bool is_plain_index(py::handle index) {
  if (!PyTuple_Check(index.ptr())) return is_plain(index.ptr());
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(index.ptr()); ++i)
    if (!is_plain(PyTuple_GET_ITEM(index.ptr(), i))) return false;
  return true;
}

// The view x[index] for an int, a slice, None, Ellipsis, or a tuple of them.
class BasicIndex {
 public:
  BasicIndex(const Array& x, PyObject* index) : x_(x), y_(x) {
    y_.shape = y_.strides = Dims{};
    const bool many = PyTuple_Check(index);
    const Py_ssize_t count = many ? PyTuple_GET_SIZE(index) : 1;
    const auto item = [&](Py_ssize_t i) { return many ? PyTuple_GET_ITEM(index, i) : index; };
    int consumed = 0, ellipses = 0;
    for (Py_ssize_t i = 0; i < count; ++i) {
      if (item(i) == Py_Ellipsis)
        ++ellipses;
      else if (item(i) != Py_None)
        ++consumed;
    }
    DLX_CHECK_AS(std::out_of_range, ellipses <= 1, "getitem: expected at most one Ellipsis, got ",
                 ellipses);
    DLX_CHECK_AS(std::out_of_range, consumed <= x.shape.ndim, "getitem: the index has ", consumed,
                 " entries for dimensions, x has ", x.shape.ndim, " dimensions; x=", x.shape);
    const int left_out = x.shape.ndim - consumed;
    for (Py_ssize_t i = 0; i < count; ++i) {
      if (item(i) == Py_Ellipsis)
        keep(left_out);
      else
        add(item(i));
    }
    keep(x.shape.ndim - axis_);
  }
  Array view() && { return std::move(y_); }

 private:
  void append(int64_t extent, int64_t stride) {
    DLX_CHECK_AS(std::out_of_range, y_.shape.ndim < kMaxDims,
                 "getitem: the result would have more than ", kMaxDims,
                 " dimensions; x=", x_.shape);
    y_.shape.push_back(extent);
    y_.strides.push_back(stride);
  }

  void keep(int axes) {
    for (; axes > 0; --axes, ++axis_) append(x_.shape[axis_], x_.strides[axis_]);
  }

  void add(PyObject* item) {
    if (item == Py_None) return append(1, 0);
    if (PySlice_Check(item)) {
      Py_ssize_t start, stop, step;
      if (PySlice_Unpack(item, &start, &stop, &step) < 0) throw py::error_already_set();
      const Py_ssize_t length = PySlice_AdjustIndices(x_.shape[axis_], &start, &stop, step);
      if (length > 0) y_.offset += start * x_.strides[axis_];
      append(length, length > 1 ? step * x_.strides[axis_] : x_.strides[axis_]);
      ++axis_;
      return;
    }
    DLX_CHECK_AS(TypeError, PyIndex_Check(item) && !PyBool_Check(item),
                 "getitem: expected ints, slices, None, Ellipsis or index arrays, got ",
                 Py_TYPE(item)->tp_name);
    const Py_ssize_t i = PyNumber_AsSsize_t(item, PyExc_IndexError);
    if (i == -1 && PyErr_Occurred()) throw py::error_already_set();
    const int64_t extent = x_.shape[axis_];
    DLX_CHECK_AS(std::out_of_range, in_range(i, extent), "getitem: index ", i,
                 " is out of range for axis ", axis_, " with extent ", extent, "; x=", x_.shape);
    y_.offset += wrap(i, extent) * x_.strides[axis_];
    ++axis_;
  }

  const Array x_;  // a copy: reading an index may run code that gives x another value
  Array y_;
  int axis_ = 0;  // of x_, the next one to be consumed
};

// v without leading extents of 1 that `shape` has no place for: NumPy's rule for values that are
// set.
Array without_leading_ones(const Array& v, const Dims& shape) {
  int extra = 0;
  while (v.shape.ndim - extra > shape.ndim && v.shape[extra] == 1) ++extra;
  Array y = v;
  y.shape = y.strides = Dims{};
  for (int i = extra; i < v.shape.ndim; ++i) {
    y.shape.push_back(v.shape[i]);
    y.strides.push_back(v.strides[i]);
  }
  return y;
}

TensorObject* writable_cell(py::handle o, const Array& value) {
  DLX_CHECK_AS(TypeError, is_tensor(o.ptr()), "setitem: expected a Tensor, got ",
               Py_TYPE(o.ptr())->tp_name);
  TensorObject* cell = as_tensor(o.ptr());
  check_writable(cell, "setitem");
  DLX_CHECK_AS(TypeError, array_of(o.ptr()).dtype == value.dtype,
               "setitem: expected a value of dtype ", cell->array.dtype, ", got ", value.dtype);
  return cell;
}

// cell[index] = value, in memory that the cell alone owns from then on. The value is held as an
// Array of its own, so that one with the cell's memory makes the cell copy first. The GIL stays: no
// other thread may see the cell half done.
void assign(py::handle o, py::handle index, const Array& value) {
  TensorObject* cell = writable_cell(o, value);
  const Dims shape = BasicIndex(cell->array, index.ptr()).view().shape;
  const Array v = broadcast_view(without_leading_ones(value, shape), shape, "setitem");
  if (v.size() == 0) return;
  note_write(cell);
  own(current_ctx(), cell->array);
  Array part = BasicIndex(cell->array, index.ptr()).view();
  DLX_CHECK_AS(std::runtime_error, part.shape == shape, "setitem: the index changed while in use");
  launch(current_ctx(), ops::copy, CopyShape::make(shape, v.dtype, v.strides, part.strides), {&v},
         {&part});
}

// The same for cell[..., indices, ...] = value, the indices running in axes ... axis + axes - 1
// taken as one.
void scatter(py::handle o, const Array& indices, int axis, int axes, const Array& value) {
  TensorObject* cell = writable_cell(o, value);
  const Array positions = dense(current_ctx(), indices);
  Dims v_shape;
  const ScatterShape shape = ScatterShape::make(cell->array, positions, axis, axes, &v_shape);
  const Array v = dense(current_ctx(),
                        broadcast_view(without_leading_ones(value, v_shape), v_shape, "setitem"));
  note_write(cell);
  own(current_ctx(), cell->array);
  launch(current_ctx(), ops::scatter, shape, {&positions, &v}, {&cell->array});
}

Array take(const Op& op, const Array& x, const Array& indices, int axis) {
  const Array positions = dense(current_ctx(), indices);
  Dims y_shape;
  const TakeShape shape = TakeShape::make(x, positions, axis, &y_shape);
  Array y = empty(y_shape, x.dtype, x.device());
  launch_from_python(op, shape, {&x, &positions}, {&y});
  return y;
}

Array one_hot(const Array& labels, int64_t classes, DType dtype) {
  Dims y_shape;
  const OneHotShape shape = OneHotShape::make(labels, classes, dtype, &y_shape);
  Array y = empty(y_shape, dtype, labels.device());
  launch_from_python(ops::one_hot, shape, {&labels}, {&y});
  return y;
}

Array scatter_add(const Array& g, const Array& indices, int axis, int64_t extent) {
  Dims y_shape;
  const ScatterAddShape shape = ScatterAddShape::make(g, indices, axis, extent, &y_shape);
  check_extents(y_shape, "scatter_add");
  Array y = empty(y_shape, g.dtype, g.device());
  launch_from_python(ops::scatter_add, shape, {&g, &indices}, {&y});
  return y;
}

Array ravel_index(const py::sequence& tensors, const Dims& limits, const Dims& axes) {
  std::vector<Array> arrays;
  std::vector<const Array*> indices;
  for (py::handle t : tensors) arrays.push_back(t.cast<Array>());
  for (const Array& a : arrays) indices.push_back(&a);
  Dims y_shape;
  const RavelIndexShape shape = RavelIndexShape::make(static_cast<int>(indices.size()),
                                                      indices.data(), limits, axes, &y_shape);
  Array y = empty(y_shape, DType::int64, arrays[0].device());
  Array* outputs[] = {&y};
  GilRelease release(y.size() > 32768);
  launch_bytes(current_ctx(), {ops::ravel_index, &shape, sizeof shape, indices, outputs,
                               same_shape<RavelIndexShape>});
  return y;
}

Array nonzero(const Array& mask) {
  Array count = empty(Dims{}, DType::int64, mask.device());
  NonzeroShape shape = NonzeroShape::make(mask, 0);
  launch_from_python(ops::count_nonzero, shape, {&mask}, {&count});
  const Array found = on_host(current_ctx(), count);
  shape.count = *static_cast<const int64_t*>(found.data());
  Array y = empty(Dims{shape.count}, DType::int64, mask.device());
  launch_from_python(ops::nonzero, shape, {&mask}, {&y});
  return y;
}

}  // namespace

void bind_index(py::module_& m) {
  m.def("basic_index",
        [](const Array& x, py::handle index) { return BasicIndex(x, index.ptr()).view(); });
  m.def("is_plain_index", is_plain_index);
  m.def("assign", assign);
  m.def("take", [](const Array& x, const Array& indices, int axis) {
    return take(ops::take, x, indices, axis);
  });
  m.def("embedding", [](const Array& weight, const Array& indices) {
    return take(ops::embedding, weight, indices, 0);
  });
  m.def("one_hot", one_hot);
  m.def("scatter", scatter);
  m.def("scatter_add", scatter_add);
  m.def("ravel_index", ravel_index);
  m.def("nonzero", nonzero);
}

}  // namespace dlx
