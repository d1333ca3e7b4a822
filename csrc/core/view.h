// Zero-copy views: the same memory under another shape. `op` names the caller in messages.
#pragma once
#include "core/array.h"

namespace dlx {

// Throws unless all extents are >= 0 and their product is countable.
void check_extents(const Dims& shape, const char* op);

// x's number of elements as `shape`, in which one -1 stands for whatever is left.
Dims resolve_shape(const Array& x, const Dims& shape, const char* op);

// False where no strides describe x's elements in row-major order under `shape` (of as many
// elements).
bool reshape_view(const Array& x, const Dims& shape, Array* y);

// y.shape[d] = x.shape[axes[d]]; axes: a permutation, negative ones count from the end.
Array permute_view(const Array& x, const Dims& axes, const char* op);

// NumPy's broadcasting: shapes aligned at the right, extents of 1 repeat (stride 0).
Array broadcast_view(const Array& x, const Dims& shape, const char* op);

}  // namespace dlx
