#include "ops/upsample.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/cpu_features.h"
#include "core/parallel.h"
#include "core/view.h"
#include "ops/upsample_table.h"

namespace dlx {

DLX_EACH_ISA(extern const UpsampleTable upsample_table;)

UpsampleShape UpsampleShape::make(const char* op, const Dims& x, DType dtype, bool linear,
                                  const UpsampleOptions& o, Dims* y_shape) {
  DLX_CHECK_AS(TypeError, dtype == DType::float32 || dtype == DType::float64, op,
               ": no kernel for ", dtype, "; it works on float32, float64");
  const int n = o.size.ndim;
  DLX_CHECK(n == 1 || n == 2, op, ": expected a size of one or two numbers, got ", o.size);
  DLX_CHECK(x.ndim == n + 2, op, ": expected x of shape ", n == 2 ? "(N, C, H, W)" : "(N, C, L)",
            "; x=", x);
  *y_shape = {x[0], x[1]};
  for (int i = 0; i < n; ++i) {
    DLX_CHECK(x[2 + i] > 0, op, ": expected an image of at least one element; x=", x);
    DLX_CHECK(o.size[i] > 0, op, ": expected a size of at least 1, got ", o.size, "; x=", x);
    DLX_CHECK(o.step[i] >= 0 && std::isfinite(o.step[i]), op, ": a scale is out of range");
    y_shape->push_back(o.size[i]);
  }
  check_extents(*y_shape, op);
  UpsampleShape s{};
  s.dtype = dtype;
  s.linear = linear;
  s.aligned = o.aligned;
  s.planes = x[0] * x[1];
  s.H = n == 2 ? x[2] : 1, s.P = n == 2 ? o.size[0] : 1;
  s.W = x[1 + n], s.Q = o.size[n - 1];
  s.step_h = n == 2 ? o.step[0] : 1, s.step_w = o.step[n - 1];
  return s;
}

namespace {

// How many numbers an axis keeps in the workspace.
int64_t axis_numbers(int64_t n, int64_t m) { return 2 * m + n + 1; }

UpsampleAxis axis_in(const UpsampleShape& s, int64_t n, int64_t m, int64_t* space) {
  int64_t *first = space, *begin = space + m;
  return {n, m, first, s.linear ? reinterpret_cast<double*>(begin + n + 1) : nullptr, begin};
}

void fill(const UpsampleShape& s, double step, const UpsampleAxis& axis) {
  int64_t next = 0;
  for (int64_t i = 0; i < axis.m; ++i) {
    const double at = upsample_position(s, axis.n, step, i);
    axis.first[i] = static_cast<int64_t>(at);
    if (axis.weight) axis.weight[i] = at - static_cast<double>(axis.first[i]);
    while (next <= axis.first[i]) axis.begin[next++] = i;
  }
  while (next <= axis.n) axis.begin[next++] = axis.m;
}

UpsampleAxes filled_axes(const UpsampleShape& s, void* workspace) {
  const UpsampleAxes axes(s, workspace);
  fill(s, s.step_h, axes.rows);
  fill(s, s.step_w, axes.columns);
  return axes;
}

int64_t grain(int64_t work) {
  constexpr int64_t kGrain = 16384;  // elements: 10-50 us
  return effective_grain(std::max<int64_t>(kGrain / work, 1));
}

}  // namespace

UpsampleAxes::UpsampleAxes(const UpsampleShape& s, void* workspace) {
  auto* space = static_cast<int64_t*>(workspace);
  rows = axis_in(s, s.H, s.P, space);
  columns = axis_in(s, s.W, s.Q, space + axis_numbers(s.H, s.P));
}

namespace ops {
int64_t upsample_workspace(const void* shape) {
  const auto& s = *static_cast<const UpsampleShape*>(shape);
  return 8 * (axis_numbers(s.H, s.P) + axis_numbers(s.W, s.Q));
}
}  // namespace ops

namespace cpu {

void upsample(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const UpsampleShape*>(shape);
  const UpsampleAxes axes = filled_axes(s, workspace);
  const auto f = DLX_SELECT_ISA(upsample_table).forward[s.dtype == DType::float64];
  parallel_for(s.planes * s.P, grain(s.Q), [&](int64_t begin, int64_t end) {
    f(axes.rows, axes.columns, begin, end, buffers[0], buffers[1]);
  });
}

void upsample_backward(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const UpsampleShape*>(shape);
  const UpsampleAxes axes = filled_axes(s, workspace);
  const auto f = DLX_SELECT_ISA(upsample_table).backward[s.dtype == DType::float64];
  const int64_t work = s.W + s.Q * (s.P / s.H + 1);
  parallel_for(s.planes * s.H, grain(work), [&](int64_t begin, int64_t end) {
    f(axes.rows, axes.columns, begin, end, buffers[0], buffers[1]);
  });
}

}  // namespace cpu
}  // namespace dlx
