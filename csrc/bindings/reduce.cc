// sum, mean, max, min, var, argmax, argmin: (x, axes, keepdims), axes sorted and counted from 0.
#include "ops/reduce.h"

#include "bindings/tensor_base.h"

namespace dlx {
namespace {

Array reduce(const Op& op, Reduction kind, const Array& x, const Dims& axes, bool keepdims,
             double correction = 0) {
  Dims y_shape;
  const ReduceShape shape = ReduceShape::make(kind, x, axes, keepdims, correction, &y_shape);
  Array y = empty(y_shape, shape.output_dtype(), x.device());
  launch_from_python(op, shape, {&x}, {&y});
  return y;
}

template <const Op& kOp, Reduction kKind>
void bind(pybind11::module_& m) {
  m.def(kOp.name, [](const Array& x, const Dims& axes, bool keepdims) {
    return reduce(kOp, kKind, x, axes, keepdims);
  });
}

}  // namespace

void bind_reduce(pybind11::module_& m) {
  bind<ops::sum, Reduction::sum>(m);
  bind<ops::mean, Reduction::mean>(m);
  bind<ops::max, Reduction::max>(m);
  bind<ops::min, Reduction::min>(m);
  bind<ops::argmax, Reduction::argmax>(m);
  bind<ops::argmin, Reduction::argmin>(m);
  m.def("var", [](const Array& x, const Dims& axes, double correction, bool keepdims) {
    return reduce(ops::var, Reduction::var, x, axes, keepdims, correction);
  });
}

}  // namespace dlx
