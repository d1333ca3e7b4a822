#include "ops/softmax.h"

#include "core/check.h"
#include "core/cpu_features.h"
#include "core/parallel.h"

namespace dlx {

DLX_EACH_ISA(extern const SoftmaxTable softmax_table;)

const SoftmaxTable& softmax_table() { return DLX_SELECT_ISA(softmax_table); }

SoftmaxShape SoftmaxShape::make(const char* op, const Array& x, const Array& z, int axis) {
  DLX_CHECK_AS(TypeError, x.dtype == DType::float32 || x.dtype == DType::float64, op,
               ": expected float32 or float64, got ", x.dtype);
  DLX_CHECK_AS(TypeError, x.dtype == z.dtype, op, ": expected one dtype, got ", x.dtype, " and ",
               z.dtype);
  DLX_CHECK(x.shape == z.shape, op, ": expected dy of y's shape; dy=", x.shape, " y=", z.shape);
  DLX_CHECK(axis >= 0 && axis < x.shape.ndim, op, ": axis ", axis, " does not exist; x=", x.shape);
  SoftmaxShape s{};
  s.dtype = x.dtype;
  s.outer = s.inner = 1;
  s.n = x.shape[axis];
  for (int i = 0; i < axis; ++i) s.outer *= x.shape[i];
  for (int i = axis + 1; i < x.shape.ndim; ++i) s.inner *= x.shape[i];
  return s;
}

namespace cpu {
namespace {

constexpr int64_t kGrain = 16384;  // elements: 10-50 us

// body(vectors, byte offset) over all positions, in parallel.
template <class Body>
void over_positions(const SoftmaxShape& s, const Body& body) {
  if (s.n == 0) return;
  const int64_t tile = s.inner == 1 ? 1 : effective_grain(kLossTile);
  const int64_t grain = std::max(tile, effective_grain(kGrain) / s.n);
  parallel_for(s.outer * s.inner, grain, [&](int64_t begin, int64_t end) {
    for_each_vectors(s.n, s.inner, begin, end, [&](const Vectors& v, int64_t, int64_t offset) {
      body(v, offset * size_of(s.dtype));
    });
  });
}

int by_dtype(DType t) { return t == DType::float64; }

using Forward = void (*)(const Vectors&, const void*, void*);
using Backward = void (*)(const Vectors&, const void*, const void*, void*);

void forward(const void* shape, void* const* buffers, Forward const* function) {
  const auto& s = *static_cast<const SoftmaxShape*>(shape);
  const char* x = static_cast<const char*>(buffers[0]);
  char* y = static_cast<char*>(buffers[1]);
  const Forward f = function[by_dtype(s.dtype)];
  over_positions(s, [&](const Vectors& v, int64_t at) { f(v, x + at, y + at); });
}

void backward(const void* shape, void* const* buffers, Backward const* function) {
  const auto& s = *static_cast<const SoftmaxShape*>(shape);
  const char* dy = static_cast<const char*>(buffers[0]);
  const char* y = static_cast<const char*>(buffers[1]);
  char* dx = static_cast<char*>(buffers[2]);
  const Backward f = function[by_dtype(s.dtype)];
  over_positions(s, [&](const Vectors& v, int64_t at) { f(v, dy + at, y + at, dx + at); });
}

}  // namespace

void softmax(Ctx&, const void* shape, void* const* buffers, void*) {
  forward(shape, buffers, softmax_table().softmax);
}
void log_softmax(Ctx&, const void* shape, void* const* buffers, void*) {
  forward(shape, buffers, softmax_table().log_softmax);
}
void softmax_backward(Ctx&, const void* shape, void* const* buffers, void*) {
  backward(shape, buffers, softmax_table().softmax_backward);
}
void log_softmax_backward(Ctx&, const void* shape, void* const* buffers, void*) {
  backward(shape, buffers, softmax_table().log_softmax_backward);
}

}  // namespace cpu
}  // namespace dlx
