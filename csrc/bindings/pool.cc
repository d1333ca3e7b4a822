// Pooling and resampling. Options come as one number for each axis; `op` is the caller's name in
// messages.
#include <pybind11/stl.h>

#include "bindings/tensor_base.h"
#include "ops/avg_pool2d.h"
#include "ops/max_pool2d.h"
#include "ops/upsample.h"

namespace dlx {
namespace {

namespace py = pybind11;

struct Options : PoolOptions {
  Options(const Dims& kernel, const Dims& stride, const Dims& padding, const Dims& dilation,
          int mode)
      : PoolOptions{kernel, stride, padding, dilation, static_cast<PoolMode>(mode)} {
    DLX_CHECK(mode >= 0 && mode <= static_cast<int>(PoolMode::adaptive), "pool: no mode ", mode);
  }
};

void check_y(const char* op, const char* name, const Array& y, const Dims& shape, DType dtype) {
  DLX_CHECK(y.shape == shape && y.dtype == dtype, op, ": expected ", name, " of ", dtype,
            " and shape ", shape, ", got ", y.dtype, " of shape ", y.shape);
}

// (y, places): as the number `places` says none, indices or bytes; a tensor's dtype tells which.
std::pair<Array, std::optional<Array>> max_pool2d(const char* op, const Array& x,
                                                  const Dims& kernel, const Dims& stride,
                                                  const Dims& padding, const Dims& dilation,
                                                  int mode, int places) {
  DLX_CHECK(places >= 0 && places <= static_cast<int>(Places::bytes), op, ": no places ", places);
  Dims y_shape;
  const auto s =
      MaxPoolShape::make(op, x.shape, x.dtype, Options(kernel, stride, padding, dilation, mode),
                         static_cast<Places>(places), &y_shape);
  Array y = empty(y_shape, x.dtype, x.device());
  if (s.places == Places::none) {
    launch_from_python(ops::max_pool2d, s, {&x}, {&y});
    return {y, std::nullopt};
  }
  Array at = empty(y_shape, s.places_dtype(), x.device());
  launch_from_python(ops::max_pool2d, s, {&x}, {&y, &at});
  return {y, at};
}

MaxPoolShape shape_of_places(const char* op, const Array& places, const Dims& x_shape, DType dtype,
                             const Options& options, Dims* y_shape) {
  const Places kind = places.dtype == DType::uint8 ? Places::bytes : Places::indices;
  const auto s = MaxPoolShape::make(op, x_shape, dtype, options, kind, y_shape);
  check_y(op, "indices", places, *y_shape, s.places_dtype());
  return s;
}

Array max_pool2d_backward(const Array& dy, const Array& places, const Dims& x_shape,
                          const Dims& kernel, const Dims& stride, const Dims& padding,
                          const Dims& dilation, int mode) {
  const char* op = "max_pool2d_backward";
  Dims y_shape;
  const MaxPoolShape s = shape_of_places(
      op, places, x_shape, dy.dtype, Options(kernel, stride, padding, dilation, mode), &y_shape);
  check_y(op, "dy", dy, y_shape, dy.dtype);
  Array dx = empty(x_shape, dy.dtype, dy.device());
  launch_from_python(ops::max_pool2d_backward, s, {&dy, &places}, {&dx});
  return dx;
}

Array max_pool2d_gather(const Array& x, const Array& places, const Dims& kernel, const Dims& stride,
                        const Dims& padding, const Dims& dilation, int mode) {
  Dims y_shape;
  const MaxPoolShape s =
      shape_of_places("max_pool2d_gather", places, x.shape, x.dtype,
                      Options(kernel, stride, padding, dilation, mode), &y_shape);
  Array y = empty(y_shape, x.dtype, x.device());
  launch_from_python(ops::max_pool2d_gather, s, {&x, &places}, {&y});
  return y;
}

PoolShape avg_shape(const char* op, const Dims& x_shape, DType dtype, const Options& options,
                    bool padded, std::optional<int64_t> divisor, Dims* y_shape) {
  PoolShape s = PoolShape::make(op, x_shape, dtype, options, y_shape);
  DLX_CHECK(!divisor || *divisor, op, ": expected a divisor_override other than 0");
  for (int64_t v : options.dilation)
    DLX_CHECK(v == 1, op, ": expected dilation 1, got ", options.dilation);
  s.divisor.fixed = divisor.value_or(0);
  s.divisor.padded = padded && options.mode <= PoolMode::ceil;
  return s;
}

Array avg_pool2d(const char* op, const Array& x, const Dims& kernel, const Dims& stride,
                 const Dims& padding, const Dims& dilation, int mode, bool padded,
                 std::optional<int64_t> divisor) {
  Dims y_shape;
  const PoolShape s =
      avg_shape(op, x.shape, x.dtype, Options(kernel, stride, padding, dilation, mode), padded,
                divisor, &y_shape);
  Array y = empty(y_shape, x.dtype, x.device());
  launch_from_python(ops::avg_pool2d, s, {&x}, {&y});
  return y;
}

Array avg_pool2d_backward(const Array& dy, const Dims& x_shape, const Dims& kernel,
                          const Dims& stride, const Dims& padding, const Dims& dilation, int mode,
                          bool padded, std::optional<int64_t> divisor) {
  const char* op = "avg_pool2d_backward";
  Dims y_shape;
  const PoolShape s =
      avg_shape(op, x_shape, dy.dtype, Options(kernel, stride, padding, dilation, mode), padded,
                divisor, &y_shape);
  check_y(op, "dy", dy, y_shape, dy.dtype);
  Array dx = empty(x_shape, dy.dtype, dy.device());
  launch_from_python(ops::avg_pool2d_backward, s, {&dy}, {&dx});
  return dx;
}

UpsampleShape upsample_shape(const char* op, const Dims& x, DType dtype, bool linear,
                             const Dims& size, const std::vector<double>& step, bool aligned,
                             Dims* y_shape) {
  DLX_CHECK(step.size() == static_cast<size_t>(size.ndim), op, ": expected one step for each of ",
            size.ndim, " axes");
  UpsampleOptions options{size, {}, aligned};
  for (size_t i = 0; i < std::min<size_t>(step.size(), 2); ++i) options.step[i] = step[i];
  return UpsampleShape::make(op, x, dtype, linear, options, y_shape);
}

// step: pixels of x for each of y; aligned: corners, where linear.
Array upsample(const char* op, const Array& x, bool linear, const Dims& size,
               const std::vector<double>& step, bool aligned) {
  Dims y_shape;
  const UpsampleShape s =
      upsample_shape(op, x.shape, x.dtype, linear, size, step, aligned, &y_shape);
  Array y = empty(y_shape, x.dtype, x.device());
  launch_from_python(linear ? ops::upsample_bilinear2d : ops::upsample_nearest2d, s, {&x}, {&y});
  return y;
}

Array upsample_backward(const Array& dy, const Dims& x_shape, bool linear, const Dims& size,
                        const std::vector<double>& step, bool aligned) {
  const char* op = linear ? "upsample_bilinear2d_backward" : "upsample_nearest2d_backward";
  Dims y_shape;
  const UpsampleShape s =
      upsample_shape(op, x_shape, dy.dtype, linear, size, step, aligned, &y_shape);
  check_y(op, "dy", dy, y_shape, dy.dtype);
  Array dx = empty(x_shape, dy.dtype, dy.device());
  launch_from_python(linear ? ops::upsample_bilinear2d_backward : ops::upsample_nearest2d_backward,
                     s, {&dy}, {&dx});
  return dx;
}

}  // namespace

void bind_pool(py::module_& m) {
  m.def("max_pool2d", max_pool2d);
  m.def("max_pool2d_backward", max_pool2d_backward);
  m.def("max_pool2d_gather", max_pool2d_gather);
  m.def("avg_pool2d", avg_pool2d);
  m.def("avg_pool2d_backward", avg_pool2d_backward);
  m.def("upsample", upsample);
  m.def("upsample_backward", upsample_backward);
}

}  // namespace dlx
