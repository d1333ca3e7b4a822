#include "ops/scatter.h"

#include <algorithm>
#include <cstring>

#include "ops/element_bits.h"

namespace dlx {

ScatterShape ScatterShape::make(const Array& y, const Array& indices, int axis, int axes,
                                Dims* v_shape) {
  DLX_CHECK_AS(TypeError, indices.dtype == DType::int64, "setitem: expected int64 indices, got ",
               indices.dtype);
  const int behind = axis + axes;
  DLX_CHECK(axis >= 0 && axes >= 1 && behind <= y.shape.ndim, "setitem: axes ", axis, " to ",
            behind - 1, " are out of range; x=", y.shape);
  DLX_CHECK(y.shape.ndim - axes + indices.shape.ndim <= kMaxDims,
            "setitem: the indexed part would have more than ", kMaxDims, " dimensions; x=", y.shape,
            " indices=", indices.shape);
  ScatterShape s{};
  s.element_bytes = size_of(y.dtype);
  s.n = indices.size();
  s.axis = axis;
  s.outer = s.inner = s.extent = 1;
  *v_shape = Dims{};
  for (int i = 0; i < axis; ++i) {
    s.outer *= y.shape[i];
    v_shape->push_back(y.shape[i]);
  }
  for (int i = axis; i < behind; ++i) s.extent *= y.shape[i];
  for (int64_t extent : indices.shape) v_shape->push_back(extent);
  for (int i = behind; i < y.shape.ndim; ++i) {
    s.inner *= y.shape[i];
    v_shape->push_back(y.shape[i]);
  }
  return s;
}

namespace cpu {
namespace {

constexpr int64_t kScatterGrain = 32768;  // elements written
constexpr int64_t kLeastLanes =
    64;  // per chunk: shorter pieces of a row cost more than they share out

// Lanes [begin, end) of the (outer, inner) ones, each written in the order of the indices.
template <class T>
void scatter_lanes(const ScatterShape& s, const int64_t* indices, const T* v, T* y, int64_t begin,
                   int64_t end) {
  while (begin < end) {
    const int64_t o = begin / s.inner, first = begin % s.inner;
    const int64_t count = std::min(s.inner - first, end - begin);
    const T* from = v + o * s.n * s.inner + first;
    T* to = y + o * s.extent * s.inner + first;
    if (count == 1) {
      for (int64_t i = 0; i < s.n; ++i)
        to[wrap(indices[i], s.extent) * s.inner] = from[i * s.inner];
    } else {
      for (int64_t i = 0; i < s.n; ++i)
        std::memcpy(to + wrap(indices[i], s.extent) * s.inner, from + i * s.inner,
                    static_cast<size_t>(count) * sizeof(T));
    }
    begin += count;
  }
}

}  // namespace

void scatter(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const ScatterShape*>(shape);
  const auto* indices = static_cast<const int64_t*>(buffers[0]);
  if (!check_indices(ctx.error, indices, s.n, s.extent)) return;  // y stays as it was
  const int64_t grain = std::max(kLeastLanes, kScatterGrain / (s.n + 1));
  parallel_for(s.outer * s.inner, effective_grain(grain), [&](int64_t begin, int64_t end) {
    with_bits(s.element_bytes, [&]<class T>(T) {
      scatter_lanes(s, indices, static_cast<const T*>(buffers[1]), static_cast<T*>(buffers[2]),
                    begin, end);
    });
  });
}

}  // namespace cpu
}  // namespace dlx
