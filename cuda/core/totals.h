// Sums in float64. Those of float64 keep what rounding takes from them: the last bits do not depend
// on the order of additions.
#pragma once
#include <cstdint>

#include "cuda/core/device.h"

namespace dlx::cuda {

#include "ops/sums.h"

// Of terms of type T.
template <class T>
struct Total {
  double value;

  __device__ void add(double x) { value += x; }
  __device__ Total operator+(Total other) const { return {value + other.value}; }
  __device__ double rounded() const { return value; }
};
template <>
struct Total<double> {
  double value, error;

  __device__ void add(double x) { add_term<true>(value, error, x); }
  __device__ Total operator+(Total other) const {
    Total t = *this;
    t.add(other.value);
    t.error += other.error;
    return t;
  }
  __device__ double rounded() const { return dlx::cuda::rounded(Sum{value, error}); }
};

struct Add {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

}  // namespace dlx::cuda
