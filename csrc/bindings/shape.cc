// Views of the whole array, joining arrays, borders, running sums.
#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "bindings/tensor_base.h"
#include "core/view.h"
#include "ops/copy.h"
#include "ops/cumsum.h"
#include "ops/pad.h"

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

Array pad(const Array& x, const std::optional<Array>& value, const Dims& before, const Dims& after,
          int mode) {
  DLX_CHECK(mode >= 0 && mode < 4, "pad: unknown mode ", mode);
  Dims y_shape;
  const PadShape shape = PadShape::make(x, value ? &*value : nullptr, before, after,
                                        static_cast<PadMode>(mode), &y_shape);
  Array y = empty(y_shape, x.dtype, x.device());
  if (value) {
    launch_from_python(ops::pad, shape, {&x, &*value}, {&y});
  } else {
    launch_from_python(ops::pad, shape, {&x}, {&y});
  }
  return y;
}

Array cumsum(const Array& x, int axis, bool reverse) {
  const CumsumShape shape = CumsumShape::make(x, axis, reverse);
  Array y = empty(x.shape, shape.output_dtype(), x.device());
  launch_from_python(ops::cumsum, shape, {&x}, {&y});
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
  m.def("pad", pad);
  m.def("cumsum", cumsum);
}

}  // namespace dlx
