#include "core/view.h"

#include <algorithm>

#include "core/check.h"

namespace dlx {

void check_extents(const Dims& shape, const char* op) {
  int64_t total = 1;
  for (int64_t extent : shape) {
    DLX_CHECK(extent >= 0, op, ": expected extents >= 0, got shape ", shape);
    // An extent of 0 counts as 1: the strides of the others must be numbers, too.
    const bool fits = !__builtin_mul_overflow(total, std::max<int64_t>(extent, 1), &total);
    DLX_CHECK(fits && total < int64_t{1} << 58, op, ": shape ", shape, " has too many elements");
  }
}

Dims resolve_shape(const Array& x, const Dims& shape, const char* op) {
  Dims resolved = shape;
  int open = -1;
  for (int i = 0; i < shape.ndim; ++i) {
    if (shape[i] != -1) continue;
    DLX_CHECK(open < 0, op, ": expected at most one -1, got shape ", shape);
    open = i;
    resolved[i] = 1;
  }
  check_extents(resolved, op);
  const int64_t rest = resolved.product(), size = x.size();
  if (open >= 0 && rest > 0) resolved[open] = size / rest;
  DLX_CHECK(resolved.product() == size && (open < 0 || rest > 0), op, ": x has ", size,
            " elements, which do not fit shape ", shape, "; x=", x.shape);
  return resolved;
}

bool reshape_view(const Array& x, const Dims& shape, Array* y) {
  Dims strides = dense_strides(shape);
  if (!x.is_dense() && x.size() > 0) {
    Dims extent, stride;  // x's, without dimensions of 1
    for (int i = 0; i < x.shape.ndim; ++i) {
      if (x.shape[i] == 1) continue;
      extent.push_back(x.shape[i]);
      stride.push_back(x.strides[i]);
    }
    // Runs of x's dimensions and of the new ones that hold equally many elements: those of x must
    // be gapless.
    for (int from = 0, to = 0; from < extent.ndim && to < shape.ndim;) {
      int old_end = from + 1, new_end = to + 1;
      int64_t old_count = extent[from], new_count = shape[to];
      while (old_count != new_count) {
        if (old_count > new_count) {
          new_count *= shape[new_end++];
          continue;
        }
        if (stride[old_end - 1] != extent[old_end] * stride[old_end]) return false;
        old_count *= extent[old_end++];
      }
      int64_t step = stride[old_end - 1];
      for (int i = new_end - 1; i >= to; --i) {
        strides[i] = step;
        step *= shape[i];
      }
      from = old_end;
      to = new_end;
    }
  }
  *y = x;
  y->shape = shape;
  y->strides = strides;
  return true;
}

Array permute_view(const Array& x, const Dims& axes, const char* op) {
  const int ndim = x.shape.ndim;
  DLX_CHECK(axes.ndim == ndim, op, ": expected ", ndim, " axes, got ", axes, "; x=", x.shape);
  Array y = x;
  bool taken[kMaxDims] = {};
  for (int i = 0; i < ndim; ++i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + ndim : axes[i];
    DLX_CHECK(axis >= 0 && axis < ndim && !taken[axis], op, ": expected every axis once, got ",
              axes, "; x=", x.shape);
    taken[axis] = true;
    y.shape[i] = x.shape[static_cast<int>(axis)];
    y.strides[i] = x.strides[static_cast<int>(axis)];
  }
  return y;
}

Array broadcast_view(const Array& x, const Dims& shape, const char* op) {
  check_extents(shape, op);
  const int added = shape.ndim - x.shape.ndim;
  bool fits = added >= 0;
  for (int i = 0; fits && i < x.shape.ndim; ++i)
    fits = x.shape[i] == 1 || x.shape[i] == shape[i + added];
  DLX_CHECK(fits, op, ": shape ", x.shape, " does not broadcast to ", shape);
  Array y = x;
  y.shape = shape;
  y.strides.ndim = shape.ndim;
  for (int i = 0; i < shape.ndim; ++i)
    y.strides[i] = i < added || x.shape[i - added] == 1 ? 0 : x.strides[i - added];
  return y;
}

}  // namespace dlx
