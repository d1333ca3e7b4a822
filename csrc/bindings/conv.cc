// Convolution, transposed convolution (its input gradient) and its weight gradient.
#include <pybind11/stl.h>

#include "bindings/tensor_base.h"
#include "ops/conv2d.h"

namespace dlx {
namespace {

namespace py = pybind11;
using Optional = std::optional<Array>;

const Array* pointer(const Optional& a) { return a ? &*a : nullptr; }

Array with_bias(const Op& op, const Conv2dShape& s, const Array& x, const Array& w,
                const Optional& b, const Dims& result) {
  Array y = empty(result, x.dtype, x.device());
  b ? launch_from_python(op, s, {&x, &w, &*b}, {&y}) : launch_from_python(op, s, {&x, &w}, {&y});
  return y;
}

// `op` is the caller's name in messages; the pairs are (rows, columns).
Array conv2d(const char* op, const Array& x, const Array& w, const Optional& b, const Dims& size,
             const Dims& stride, const Dims& padding, const Dims& dilation, int64_t groups) {
  const Conv2dShape s =
      conv2d_shape(op, x, w, pointer(b), {size, stride, padding, dilation, groups});
  return with_bias(ops::conv2d, s, x, w, b, {s.N, s.K, s.P, s.Q});
}

Array conv_transpose2d(const char* op, const Array& x, const Array& w, const Optional& b,
                       const Dims& size, const Dims& stride, const Dims& padding,
                       const Dims& dilation, int64_t groups) {
  const Conv2dShape s =
      conv_transpose2d_shape(op, x, w, pointer(b), {size, stride, padding, dilation, groups});
  return with_bias(ops::conv_transpose2d, s, x, w, b, {s.N, s.C, s.H, s.W});
}

Array conv2d_backward_weight(const Array& x, const Array& dy, const Dims& size, const Dims& stride,
                             const Dims& padding, const Dims& dilation, int64_t groups) {
  const Conv2dShape s =
      conv2d_backward_weight_shape(x, dy, {size, stride, padding, dilation, groups});
  Array dw = empty({s.K, s.C / s.groups, s.R, s.S}, x.dtype, x.device());
  launch_from_python(ops::conv2d_backward_weight, s, {&x, &dy}, {&dw});
  return dw;
}

}  // namespace

void bind_conv(py::module_& m) {
  m.def("conv2d", conv2d);
  m.def("conv_transpose2d", conv_transpose2d);
  m.def("conv2d_backward_weight", conv2d_backward_weight);
}

}  // namespace dlx
