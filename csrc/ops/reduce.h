// sum, mean, max, min, var, argmax, argmin of x over any set of its axes. x: any shape and strides,
// outputs M by count K; y: the kept dimensions, dense. Sums of floats are exact to the last bits
// (float64, whose own rounding errors are kept) and added in an order that depends on K alone: the
// same bits for any strides and any number of threads.
#pragma once
#include "core/launch.h"
#include "ops/reduce_table.h"

namespace dlx {

enum class Reduction : uint8_t { sum, mean, max, min, var, argmax, argmin };
constexpr const char* kReductionName[] = {"sum", "mean", "max", "min", "var", "argmax", "argmin"};

// Takes one of the elements, or its place.
constexpr bool is_extreme(Reduction kind) {
  return kind != Reduction::sum && kind != Reduction::mean && kind != Reduction::var;
}

// Dimensions after merging those that lie without a gap.
struct ReduceDims {
  int32_t ndim;
  int64_t extent[kMaxDims], stride[kMaxDims];
  bool operator==(const ReduceDims&) const = default;
};

struct ReduceShape {
  Reduction kind;
  DType dtype;                    // of x
  int64_t outputs;                // M
  int64_t count;                  // K: elements behind each output
  double correction;              // of var: divides by max(K - correction, 0)
  ReduceDims kept, reduced, all;  // all: kept, then reduced

  // int64 for argmax, argmin and the sum of integers and bools, else x's.
  DType output_dtype() const;
  int64_t chunks() const { return (count + kReduceChunk - 1) / kReduceChunk; }

  // axes: sorted, each once. keepdims leaves extents of 1 in y.
  static ReduceShape make(Reduction kind, const Array& x, const Dims& axes, bool keepdims,
                          double correction, Dims* y_shape);
  bool operator==(const ReduceShape&) const = default;
};

DLX_DECLARE_KERNEL(reduce)

int64_t reduce_workspace(const void* shape);
namespace cuda {
int64_t reduce_workspace(const void* shape);
}

namespace ops {

constexpr Op reduction(Reduction kind, Cost (*cost)(const void*)) {
  return {.name = kReductionName[static_cast<int>(kind)],
          .kernels = DLX_KERNELS(reduce),
          .strided = true,
          .cost = cost,
          .workspace = {reduce_workspace, DLX_IF_CUDA(cuda::reduce_workspace)}};
}

// flops an element of x and flops an element of y
template <int kPerElement, int kPerOutput>
Cost reduction_cost(const void* shape) {
  const auto& s = *static_cast<const ReduceShape*>(shape);
  const int64_t n = s.outputs * s.count;
  return {kPerElement * n + kPerOutput * s.outputs,
          n * size_of(s.dtype) + s.outputs * size_of(s.output_dtype())};
}

inline constexpr Op sum = reduction(Reduction::sum, reduction_cost<1, 0>);
inline constexpr Op mean = reduction(Reduction::mean, reduction_cost<1, 1>);
inline constexpr Op max = reduction(Reduction::max, reduction_cost<1, 0>);
inline constexpr Op min = reduction(Reduction::min, reduction_cost<1, 0>);
inline constexpr Op var =
    reduction(Reduction::var, reduction_cost<4, 2>);  // the mean, then (x - mean)^2
inline constexpr Op argmax = reduction(Reduction::argmax, reduction_cost<1, 0>);
inline constexpr Op argmin = reduction(Reduction::argmin, reduction_cost<1, 0>);

}  // namespace ops

}  // namespace dlx
