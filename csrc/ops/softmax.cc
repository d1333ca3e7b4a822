#include "ops/softmax.h"

#include <cmath>
#include <limits>

#include "core/check.h"
#include "core/cpu_features.h"
#include "core/parallel.h"

namespace dlx {

DLX_EACH_ISA(extern const SoftmaxTable softmax_table;)
DLX_EACH_ISA(extern const LossTable loss_table;)

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

// body(vectors, first position, element offset) over all positions, in parallel.
template <class Body>
void over_positions(const SoftmaxShape& s, int64_t most_rows, const Body& body) {
  if (s.n == 0) return;
  const int64_t positions = s.outer * s.inner;
  parallel_for(positions, positions_grain(s.n, s.inner, positions),
               [&](int64_t begin, int64_t end) {
                 for_each_vectors(s.n, s.inner, most_rows, begin, end, body);
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
  over_positions(s, s.outer, [&](const Vectors& v, int64_t, int64_t offset) {
    const int64_t at = offset * size_of(s.dtype);
    f(v, x + at, y + at);
  });
}

void backward(const void* shape, void* const* buffers, Backward const* function) {
  const auto& s = *static_cast<const SoftmaxShape*>(shape);
  const char* dy = static_cast<const char*>(buffers[0]);
  const char* y = static_cast<const char*>(buffers[1]);
  char* dx = static_cast<char*>(buffers[2]);
  const Backward f = function[by_dtype(s.dtype)];
  over_positions(s, s.outer, [&](const Vectors& v, int64_t, int64_t offset) {
    const int64_t at = offset * size_of(s.dtype);
    f(v, dy + at, y + at, dx + at);
  });
}

// Where the maximum is infinite: itself, unless there is a NaN.
template <class T>
double infinite_sum(const Vectors& v, const T* x, double top) {
  for (int64_t c = 0; c < v.n; ++c)
    if (std::isnan(x[c * v.step])) return std::nan("");
  return top;
}

template <class T>
void logsumexp_of(const SoftmaxShape& s, const T* x, T* y) {
  if (s.n == 0) std::fill_n(y, s.outer * s.inner, -std::numeric_limits<T>::infinity());
  over_positions(s, kLossTile, [&](const Vectors& v, int64_t first, int64_t offset) {
    double top[kLossTile], log_sum[kLossTile];
    softmax_table().log_sum_exp[by_dtype(s.dtype)](v, x + offset, top, log_sum);
    for (int64_t j = 0; j < v.count; ++j) {
      const T* vector = x + offset + j * (v.step == 1 ? v.n : 1);
      const bool infinite = std::isinf(top[j]);
      y[first + j] =
          static_cast<T>(infinite ? infinite_sum(v, vector, top[j]) : top[j] + log_sum[j]);
    }
  });
}

template <class T>
void logsumexp_gradient(const SoftmaxShape& s, const T* dy, const T* x, const T* y, T* dx) {
  const auto scaled_exp = DLX_SELECT_ISA(loss_table).cross_entropy_backward[by_dtype(s.dtype)];
  over_positions(s, kLossTile, [&](const Vectors& v, int64_t first, int64_t offset) {
    const T zeros[kLossTile] = {};
    double scale[kLossTile];
    for (int64_t j = 0; j < v.count; ++j) scale[j] = static_cast<double>(dy[first + j]);
    scaled_exp(v, x + offset, nullptr, y + first, zeros, scale, nullptr, dx + offset);
  });
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
void logsumexp(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const SoftmaxShape*>(shape);
  const auto run = [&]<class T>(T) {
    logsumexp_of(s, static_cast<const T*>(buffers[0]), static_cast<T*>(buffers[1]));
  };
  s.dtype == DType::float64 ? run(double{}) : run(float{});
}
void logsumexp_backward(Ctx&, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const SoftmaxShape*>(shape);
  const auto run = [&]<class T>(T) {
    logsumexp_gradient(s, static_cast<const T*>(buffers[0]), static_cast<const T*>(buffers[1]),
                       static_cast<const T*>(buffers[2]), static_cast<T*>(buffers[3]));
  };
  s.dtype == DType::float64 ? run(double{}) : run(float{});
}

}  // namespace cpu
}  // namespace dlx
