// What softmax and cross entropy find first: a vector's maximum and its sum of exponentials.
// Include it inside namespace dlx::cuda, after math_functions.h.
#pragma once

template <class T>
struct Largest {
  __device__ T operator()(T a, T b) const { return extreme<true>(a, b); }
};

template <class T>
struct Exponentials {
  T top;       // the maximum of x
  double sum;  // of e^(x - top)
};

// Every thread of the block calls.
template <class T>
__device__ Exponentials<T> exponentials_of(const Row& row, const T* x) {
  T best = neutral<true, T>();
  row.for_each([&](int64_t at) { best = extreme<true>(best, x[at]); });
  const T top = row.join(best, Largest<T>{});
  Total<T> sum{};
  row.for_each([&](int64_t at) { sum.add(static_cast<double>(math::exp(x[at] - top))); });
  return {top, row.join(sum, Add{}).rounded()};
}
