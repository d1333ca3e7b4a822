// What reduction.h reduces: the sum, the squares about a centre, the extreme, its place. S: how x
// is stored.
#pragma once
#include "cuda/core/numbers.h"
#include "cuda/core/reduction.h"
#include "cuda/core/totals.h"

namespace dlx::cuda {

template <class S>
struct ReducerOf {
  using Compute = typename ComputeOf<S>::type;
  static constexpr int kPack = kAccessBytes / sizeof(S);
  static constexpr bool kReal = kIsReal<Compute>;
  const S* x;

  template <int kCount>
  __device__ Pack<S, kCount> load(int64_t at) const {
    return read_run<kCount>(x + at);
  }
};

// A sum by a divisor, into y: S, or float64 for means that are not yet rounded.
struct Quotient {
  void* y;
  double divisor;
  bool wide;

  template <class S>
  __device__ void write(double sum, int64_t m) const {
    const double value = sum / divisor;
    if (wide) {
      static_cast<double*>(y)[m] = value;
    } else {
      static_cast<S*>(y)[m] = Narrow<S>::of(value);
    }
  }
};

template <class S>
struct SumOfReals : ReducerOf<S> {
  using State = Total<S>;
  Quotient to;

  __device__ State start() const { return {}; }
  __device__ void take(State& state, S x, int64_t, int64_t) const {
    state.add(static_cast<double>(widen(x)));
  }
  __device__ State combine(State a, State b) const { return a + b; }
  __device__ void finish(State state, int64_t m) const { to.template write<S>(state.rounded(), m); }
};

// Modulo 2^64.
template <class S>
struct SumOfIntegers : ReducerOf<S> {
  using State = uint64_t;
  int64_t* y;

  __device__ State start() const { return 0; }
  __device__ void take(State& state, S x, int64_t, int64_t) const {
    state += static_cast<uint64_t>(static_cast<int64_t>(x));
  }
  __device__ State combine(State a, State b) const { return a + b; }
  __device__ void finish(State state, int64_t m) const { y[m] = static_cast<int64_t>(state); }
};

// The sum of (x - centre[m])^2: variance in two passes keeps the digits where |mean| >> std.
template <class S>
struct SumOfSquares : ReducerOf<S> {
  using State = Total<S>;
  Quotient to;
  const double* centre;

  __device__ State start() const { return {}; }
  __device__ void take(State& state, S x, int64_t m, int64_t) const {
    const double d = static_cast<double>(widen(x)) - centre[m];
    state.add(d * d);
  }
  __device__ State combine(State a, State b) const { return a + b; }
  __device__ void finish(State state, int64_t m) const { to.template write<S>(state.rounded(), m); }
};

// The maximum or the minimum. NaN is more extreme than any number.
template <class S>
struct ExtremeOf : ReducerOf<S> {
  using State = typename ReducerOf<S>::Compute;
  S* y;
  bool largest;

  __device__ State start() const {
    return largest ? neutral<true, State>() : neutral<false, State>();
  }
  __device__ State combine(State a, State b) const {
    return largest ? extreme<true>(a, b) : extreme<false>(a, b);
  }
  __device__ void take(State& state, S x, int64_t, int64_t) const {
    state = combine(state, widen(x));
  }
  __device__ void finish(State state, int64_t m) const { y[m] = Narrow<S>::of(state); }
};

template <class T>
struct Placed {
  T value;
  int64_t place;
};

// The first place of the extreme. Widened, so that a state has no padding.
template <class S>
struct PlaceOfExtreme : ReducerOf<S> {
  using Value = std::conditional_t<ReducerOf<S>::kReal, double, int64_t>;
  using State = Placed<Value>;
  static constexpr int kPack = 1;  // comparisons, not reads, are what it does most
  int64_t* y;
  bool largest;

  __device__ State start() const {
    constexpr int64_t kNowhere = static_cast<int64_t>(~uint64_t{0} >> 1);
    return {largest ? neutral<true, Value>() : neutral<false, Value>(), kNowhere};
  }
  __device__ State combine(State a, State b) const {
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    const bool better = b_nan ? !a_nan : largest ? b.value > a.value : b.value < a.value;
    const bool equal = a.value == b.value || (a_nan && b_nan);
    return better || (equal && b.place < a.place) ? b : a;
  }
  __device__ void take(State& state, S x, int64_t, int64_t k) const {
    state = combine(state, {static_cast<Value>(widen(x)), k});
  }
  __device__ void finish(State state, int64_t m) const { y[m] = state.place; }
};

}  // namespace dlx::cuda
