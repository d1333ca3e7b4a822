// y = softmax(x), log_softmax(x) or logsumexp(x) along one axis, and their gradients. x, y, dy, dx:
// (outer, n, inner), dense; y and dy of logsumexp: (outer, inner).
#pragma once
#include <algorithm>

#include "core/launch.h"
#include "core/parallel.h"
#include "ops/loss_table.h"

namespace dlx {

struct SoftmaxShape {
  DType dtype;  // float32 or float64
  int64_t outer, n, inner;

  int64_t size() const { return outer * n * inner; }
  // x and z (y for the forward ops) have one shape and dtype; 0 <= axis < ndim.
  static SoftmaxShape make(const char* op, const Array& x, const Array& z, int axis);
  bool operator==(const SoftmaxShape&) const = default;
};

const SoftmaxTable& softmax_table();  // of the instruction set in force

// Positions to a chunk.
inline int64_t positions_grain(int64_t n, int64_t inner, int64_t positions) {
  constexpr int64_t kLeast = 16384, kMost = 1 << 19;  // elements: 5-50 us, 2 MB of float32
  if (inner == 1)
    return long_grain(positions, std::max<int64_t>(1, kLeast / n), std::max<int64_t>(1, kMost / n));
  return std::max(effective_grain(kLossTile), effective_grain(kLeast) / n);
}

// body(vectors, first position, element offset) for the pieces of positions [begin, end), which
// count (outer, inner), kLossTile columns or most_rows rows at most.
template <class Body>
void for_each_vectors(int64_t n, int64_t inner, int64_t most_rows, int64_t begin, int64_t end,
                      const Body& body) {
  for (int64_t p = begin; p < end;) {
    const int64_t rest = inner == 1 ? end - p : std::min(end - p, inner - p % inner);
    const int64_t count = std::min(rest, inner == 1 ? most_rows : kLossTile);
    body(Vectors{n, inner, count}, p, p / inner * n * inner + p % inner);
    p += count;
  }
}

DLX_DECLARE_KERNEL(softmax)
DLX_DECLARE_KERNEL(softmax_backward)
DLX_DECLARE_KERNEL(log_softmax)
DLX_DECLARE_KERNEL(log_softmax_backward)
DLX_DECLARE_KERNEL(logsumexp)
DLX_DECLARE_KERNEL(logsumexp_backward)

namespace ops {

template <int kFlops, int kArrays>
Cost softmax_cost(const void* shape) {
  const auto& s = *static_cast<const SoftmaxShape*>(shape);
  return {kFlops * s.size(), kArrays * s.size() * size_of(s.dtype)};
}

template <int kFlops, int kArrays, int kReduced>
Cost logsumexp_cost(const void* shape) {
  const auto& s = *static_cast<const SoftmaxShape*>(shape);
  return {kFlops * s.size(),
          (kArrays * s.size() + kReduced * s.outer * s.inner) * size_of(s.dtype)};
}

// x -> y = e^(x - max) / sum e^(x - max)
inline constexpr Op softmax{
    .name = "softmax", .kernels = DLX_KERNELS(softmax), .cost = softmax_cost<5, 2>};
// dy, y -> dx = y (dy - sum dy y)
inline constexpr Op softmax_backward{.name = "softmax_backward",
                                     .kernels = DLX_KERNELS(softmax_backward),
                                     .cost = softmax_cost<4, 3>};
// x -> y = x - max - log sum e^(x - max)
inline constexpr Op log_softmax{
    .name = "log_softmax", .kernels = DLX_KERNELS(log_softmax), .cost = softmax_cost<5, 2>};
// dy, y -> dx = dy - e^y sum dy
inline constexpr Op log_softmax_backward{.name = "log_softmax_backward",
                                         .kernels = DLX_KERNELS(log_softmax_backward),
                                         .cost = softmax_cost<4, 3>};
// x -> y = max + log sum e^(x - max); infinite where the maximum is, -inf where n is 0
inline constexpr Op logsumexp{
    .name = "logsumexp", .kernels = DLX_KERNELS(logsumexp), .cost = logsumexp_cost<4, 1, 1>};
// dy, x, y -> dx = dy e^(x - y)
inline constexpr Op logsumexp_backward{.name = "logsumexp_backward",
                                       .kernels = DLX_KERNELS(logsumexp_backward),
                                       .cost = logsumexp_cost<3, 2, 2>};

}  // namespace ops

}  // namespace dlx
