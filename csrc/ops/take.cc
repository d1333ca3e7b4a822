#include "ops/take.h"

#include <algorithm>
#include <cstring>

#include "ops/element_bits.h"
#include "ops/strided.h"

namespace dlx {
namespace {

int64_t merged(const Array& x, int begin, int end, int32_t* ndim, int64_t* extent,
               int64_t* stride) {
  int64_t strides[1][kMaxDims], count = 1;
  for (int i = begin; i < end; ++i) {
    extent[i - begin] = x.shape[i];
    strides[0][i - begin] = x.strides[i];
    count *= x.shape[i];
  }
  *ndim = merge_dims(end - begin, extent, strides, 1);
  std::copy_n(strides[0], *ndim, stride);
  std::fill(extent + *ndim, extent + kMaxDims, 0);
  return count;
}

}  // namespace

TakeShape TakeShape::make(const Array& x, const Array& indices, int axis, Dims* y_shape) {
  DLX_CHECK_AS(TypeError, indices.dtype == DType::int64, "take: expected int64 indices, got ",
               indices.dtype);
  DLX_CHECK(axis >= 0 && axis < x.shape.ndim, "take: axis ", axis, " is out of range; x=", x.shape);
  const int ndim = x.shape.ndim - 1 + indices.shape.ndim;
  DLX_CHECK(ndim <= kMaxDims, "take: the result would have ", ndim, " dimensions, at most ",
            kMaxDims, " are possible; x=", x.shape, " indices=", indices.shape);
  TakeShape s{};
  s.element_bytes = size_of(x.dtype);
  s.n = indices.size();
  s.extent = x.shape[axis];
  s.step = x.strides[axis];
  s.axis = axis;
  s.outer = merged(x, 0, axis, &s.outer_ndim, s.outer_extent, s.outer_stride);
  s.inner = merged(x, axis + 1, x.shape.ndim, &s.inner_ndim, s.inner_extent, s.inner_stride);
  *y_shape = Dims{};
  for (int i = 0; i < axis; ++i) y_shape->push_back(x.shape[i]);
  for (int64_t extent : indices.shape) y_shape->push_back(extent);
  for (int i = axis + 1; i < x.shape.ndim; ++i) y_shape->push_back(x.shape[i]);
  return s;
}

namespace cpu {
namespace {

constexpr int64_t kTakeGrain = 65536;  // elements: 25 us of rows from anywhere
// Rows lie anywhere, so no hardware foresees them: the start of a row a few ahead is asked for, the
// rest of it the hardware does see coming. 60000 x 784 float32, 64 rows: 50 us without, 37 us with.
constexpr int64_t kRowsAhead = 4, kPrefetchBytes = 1024;

int64_t outer_offset(const TakeShape& s, int64_t o) {
  int64_t offset = 0;
  for (int i = s.outer_ndim - 1; i >= 0; --i) {
    offset += o % s.outer_extent[i] * s.outer_stride[i];
    o /= s.outer_extent[i];
  }
  return offset;
}

void prefetch(const void* row, int64_t bytes) {
  for (int64_t at = 0; at < std::min(bytes, kPrefetchBytes); at += 64)
    __builtin_prefetch(static_cast<const char*>(row) + at);
}

// Elements [begin, end) of y.
template <class T>
void take_elements(const TakeShape& s, const T* x, const int64_t* indices, T* y, int64_t begin,
                   int64_t end) {
  int64_t i = begin / s.inner % s.n, first = begin % s.inner;
  const bool contiguous = s.inner_ndim == 1 && (s.inner_stride[0] == 1 || s.inner == 1);
  for (int64_t o = begin / s.inner / s.n; begin < end; ++o, i = 0) {
    const T* from = x + outer_offset(s, o);
    if (s.inner == 1) {
      const int64_t count = std::min(s.n - i, end - begin);
      for (int64_t j = 0; j < count; ++j)
        y[begin + j] = from[wrap(indices[i + j], s.extent) * s.step];
      begin += count;
      continue;
    }
    for (; i < s.n && begin < end; ++i, first = 0) {
      const T* row = from + wrap(indices[i], s.extent) * s.step;
      const int64_t count = std::min(s.inner - first, end - begin);
      if (contiguous) {
        if (i + kRowsAhead < s.n)
          prefetch(from + wrap(indices[i + kRowsAhead], s.extent) * s.step, s.inner * sizeof(T));
        std::memcpy(y + begin, row + first, static_cast<size_t>(count) * sizeof(T));
      } else {
        gather(sizeof(T), s.inner_ndim, s.inner_extent, s.inner_stride, row, first, count,
               y + begin);
      }
      begin += count;
    }
  }
}

// Of indices that have been checked.
void take_checked(const TakeShape& s, const int64_t* indices, void* const* buffers) {
  parallel_for(s.outer * s.n * s.inner, effective_grain(kTakeGrain),
               [&](int64_t begin, int64_t end) {
                 with_bits(s.element_bytes, [&]<class T>(T) {
                   take_elements(s, static_cast<const T*>(buffers[0]), indices,
                                 static_cast<T*>(buffers[2]), begin, end);
                 });
               });
}

}  // namespace

void take(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const TakeShape*>(shape);
  const auto* indices = static_cast<const int64_t*>(buffers[1]);
  if (check_indices(ctx.error, indices, s.n, s.extent)) take_checked(s, indices, buffers);
}

void embedding(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const TakeShape*>(shape);
  const auto* indices = static_cast<const int64_t*>(buffers[1]);
  if (check_between(ctx.error, indices, s.n, 0, s.extent)) take_checked(s, indices, buffers);
}

}  // namespace cpu
}  // namespace dlx
