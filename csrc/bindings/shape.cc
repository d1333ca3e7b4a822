// Views of the whole array, and joining arrays.
#include <vector>

#include "bindings/tensor_base.h"
#include "core/view.h"
#include "ops/copy.h"

namespace dlx {
namespace {

Array reshape(const Array& x, pybind11::handle shape) {
  const Dims resolved = resolve_shape(x, dims_from(shape.ptr(), "reshape", "shape"), "reshape");
  Array y;
  if (reshape_view(x, resolved, &y)) return y;
  y = empty(x.shape, x.dtype, x.device());
  launch_from_python(ops::copy, CopyShape::make(x.shape, x.dtype, x.strides, y.strides), {&x},
                     {&y});
  y.shape = resolved;
  y.strides = dense_strides(resolved);
  return y;
}

// Tensors of one dtype that differ in their extent along `axis` only.
Array concat(const pybind11::sequence& tensors, int axis) {
  std::vector<Array> arrays;
  for (pybind11::handle t : tensors) {
    DLX_CHECK_AS(TypeError, is_tensor(t.ptr()), "concat: expected Tensors, got ",
                 Py_TYPE(t.ptr())->tp_name);
    arrays.push_back(array_of(t.ptr()));
  }
  DLX_CHECK(!arrays.empty(), "concat: expected at least one array");
  const Array& first = arrays[0];
  DLX_CHECK(axis >= 0 && axis < first.shape.ndim, "concat: axis ", axis,
            " is out of range; x1=", first.shape);
  Dims shape = first.shape;
  shape[axis] = 0;
  for (size_t i = 0; i < arrays.size(); ++i) {
    Dims like = arrays[i].shape;
    bool fits = like.ndim == shape.ndim;
    if (fits) like[axis] = shape[axis];
    fits = fits && like == shape;
    DLX_CHECK(fits, "concat: expected shapes equal except along axis ", axis, "; x1=", first.shape,
              " x", i + 1, "=", arrays[i].shape);
    DLX_CHECK_AS(TypeError, arrays[i].dtype == first.dtype, "concat: expected one dtype, got ",
                 first.dtype, " and ", arrays[i].dtype);
    shape[axis] += arrays[i].shape[axis];
    check_extents(shape, "concat");
  }
  Array y = empty(shape, first.dtype, first.device());
  GilRelease release(y.bytes() > 100'000);
  Array part = y;
  for (const Array& x : arrays) {
    part.shape = x.shape;
    if (x.size() > 0)
      launch(current_ctx(), ops::copy, CopyShape::make(x.shape, x.dtype, x.strides, part.strides),
             {&x}, {&part});
    part.offset += x.shape[axis] * part.strides[axis];
  }
  return y;
}

}  // namespace

void bind_shape(pybind11::module_& m) {
  m.def("reshape", reshape);
  m.def("permute_dims",
        [](const Array& x, const Dims& axes) { return permute_view(x, axes, "permute_dims"); });
  m.def("broadcast_to", [](const Array& x, pybind11::handle shape) {
    return broadcast_view(x, dims_from(shape.ptr(), "broadcast_to", "shape"), "broadcast_to");
  });
  m.def("concat", concat);
}

}  // namespace dlx
