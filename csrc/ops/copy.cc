#include "ops/copy.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "ops/element_bits.h"
#include "ops/strided.h"

namespace dlx {

CopyShape CopyShape::make(const Dims& shape, DType dtype, const Dims& x_strides,
                          const Dims& y_strides) {
  CopyShape s{};
  int64_t strides[2][kMaxDims];
  for (int i = 0; i < shape.ndim; ++i) {
    s.extent[i] = shape[i];
    strides[0][i] = x_strides[i];
    strides[1][i] = y_strides[i];
  }
  s.element_bytes = size_of(dtype);
  s.ndim = merge_dims(shape.ndim, s.extent, strides, 2);
  std::copy_n(strides[0], s.ndim, s.x_stride);
  std::copy_n(strides[1], s.ndim, s.y_stride);
  std::fill(s.extent + s.ndim, s.extent + kMaxDims, 0);
  return s;
}

namespace cpu {
namespace {

constexpr int64_t kCopyGrain = 32768;  // elements: 10-100 us of memory traffic

// One innermost row: y[i * y_step] = x[i * x_step].
template <class T>
void copy_row(const T* x, int64_t x_step, T* y, int64_t y_step, int64_t n) {
  if (x_step == 1 && y_step == 1) {
    std::memcpy(y, x, static_cast<size_t>(n) * sizeof(T));
  } else {
    for (int64_t i = 0; i < n; ++i) y[i * y_step] = x[i * x_step];
  }
}

template <class T>
void copy_elements(const CopyShape& s, const T* x, T* y, int64_t begin, int64_t end) {
  const int inner = s.ndim - 1;
  for_each_run(s.ndim, s.extent, s.x_stride, begin, end - begin,
               [&](int64_t x_offset, int64_t x_step, int64_t done, int64_t n) {
                 int64_t rest = begin + done, offset = 0;
                 for (int i = inner; i >= 0; --i) {
                   offset += rest % s.extent[i] * s.y_stride[i];
                   rest /= s.extent[i];
                 }
                 copy_row(x + x_offset, x_step, y + offset, s.y_stride[inner], n);
               });
}

}  // namespace

void copy(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const CopyShape*>(shape);
  int64_t n = 1;
  for (int i = 0; i < s.ndim; ++i) n *= s.extent[i];
  parallel_for(n, effective_grain(kCopyGrain), [&](int64_t begin, int64_t end) {
    with_bits(s.element_bytes, [&]<class T>(T) {
      copy_elements(s, static_cast<const T*>(buffers[0]), static_cast<T*>(buffers[1]), begin, end);
    });
  });
}

}  // namespace cpu
}  // namespace dlx
