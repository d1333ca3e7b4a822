// Sums, dot products and extremes of dense rows. Element i belongs to lane i mod kLanes; the lanes
// are joined as a tree: the order of additions depends on the length alone, neither on strides nor
// on the instruction set. For kernel files only.
#pragma once
#include "core/simd.h"

namespace dlx::DLX_ISA {

constexpr int kSumLanes =
    16;  // float64: two AVX-512 registers, enough to hide the latency of additions
constexpr int kExtremeLanes = 32;  // float32: two AVX-512 registers

struct Sum {
  double value, error;  // error: what rounding took from value, where it was kept
};

// sum += x. kExact keeps the rounding error as well (Knuth's TwoSum, TAOCP 4.2.2): float64 terms
// have no wider type.
template <bool kExact, class D>
[[gnu::always_inline]] inline void add_term(D& sum, D& error, D x) {
  if constexpr (kExact) {
    const D total = sum + x, part = total - sum;
    error += (sum - (total - part)) + (x - part);
    sum = total;
  } else {
    sum += x;
  }
}

inline DoubleVec load_wide(const double* p) {
  DoubleVec v;
  memcpy(&v, p, sizeof v);
  return v;
}
inline DoubleVec load_wide(const float* p) {
  typedef float Narrow __attribute__((vector_size(kVecBytes / 2)));
  Narrow v;
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, DoubleVec);
}

// Joins lanes [0, 2 half), the upper half into the lower, until one is left. Lanes that do not
// exist are zero.
template <bool kExact>
inline Sum join_lanes(double* sum, double* error) {
  for (int half = kSumLanes / 2; half; half /= 2) {
    for (int l = 0; l < half; ++l) {
      add_term<kExact>(sum[l], error[l], sum[l + half]);
      if (kExact) error[l] += error[l + half];
    }
  }
  return {sum[0], error[0]};
}

// The sum over i < n of term(x[i]...), where term works on double and on vectors of them.
template <bool kExact, class Term, class... T>
Sum sum_of(int64_t n, const Term& term, const T*... x) {
  constexpr int W = Vec<double>::kWidth, R = kSumLanes / W;
  DoubleVec sum[R] = {}, error[R] = {};
  int64_t i = 0;
  for (; i + kSumLanes <= n; i += kSumLanes) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const DoubleVec t = term(load_wide(x + i + r * W)...);
      add_term<kExact>(sum[r], error[r], t);
    }
  }
  alignas(64) double sums[kSumLanes], errors[kSumLanes];
  memcpy(sums, sum, sizeof sums);
  memcpy(errors, error, sizeof errors);
  for (int lane = 0; i < n; ++i, ++lane) {
    const double t = term(static_cast<double>(x[i])...);
    add_term<kExact>(sums[lane], errors[lane], t);
  }
  return join_lanes<kExact>(sums, errors);
}

// An infinite sum has no error worth adding: inf - inf.
inline double rounded(Sum s) { return s.value - s.value == 0 ? s.value + s.error : s.value; }

template <class T>
constexpr bool kIsReal = static_cast<T>(0.5) != T{};
template <class T>
constexpr bool kIsDouble = kIsReal<T> && sizeof(T) == 8;

struct Same {
  template <class V>
  V operator()(V x) const {
    return x;
  }
};
struct Product {
  template <class V>
  V operator()(V x, V y) const {
    return x * y;
  }
};

template <class T>
double total_of(const T* x, int64_t n) {
  return rounded(sum_of<kIsDouble<T>>(n, Same{}, x));
}
template <class T>
double dot_of(const T* x, const T* y, int64_t n) {
  return rounded(sum_of<kIsDouble<T>>(n, Product{}, x, y));
}

// What every value replaces: -inf for the maximum of floats, the lowest integer, ...
template <bool kMax, class T>
constexpr T neutral() {
  if constexpr (kIsReal<T>) {
    return kMax ? -static_cast<T>(__builtin_inf()) : static_cast<T>(__builtin_inf());
  } else {
    constexpr bool is_signed = static_cast<T>(-1) < T{};
    constexpr T lowest = is_signed ? static_cast<T>(uint64_t{1} << (8 * sizeof(T) - 1)) : T{};
    return kMax ? lowest : static_cast<T>(~lowest);
  }
}

// NaN wins, as in NumPy. The first of equal values stays.
template <bool kMax, class T>
[[gnu::always_inline]] inline T extreme(T best, T x) {
  return (kMax ? x > best : x < best) || x != x ? x : best;
}

template <bool kMax, class T>
T extreme_of(const T* x, int64_t n) {
  if constexpr (!kIsReal<T>) {
    T best = neutral<kMax, T>();
    for (int64_t i = 0; i < n; ++i) best = extreme<kMax>(best, x[i]);
    return best;
  } else {
    constexpr int W = Vec<T>::kWidth, R = kExtremeLanes / W;
    using Raw = typename Vec<T>::Raw;
    Raw best[R];
    for (Raw& b : best) b = Vec<T>::broadcast(neutral<kMax, T>()).raw;
    int64_t i = 0;
    for (; i + kExtremeLanes <= n; i += kExtremeLanes) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const Raw v = Vec<T>::load(x + i + r * W).raw;
        best[r] = ((kMax ? v > best[r] : v < best[r]) | (v != v)) ? v : best[r];
      }
    }
    alignas(64) T lanes[kExtremeLanes];
    memcpy(lanes, best, sizeof lanes);
    for (int lane = 0; i < n; ++i, ++lane) lanes[lane] = extreme<kMax>(lanes[lane], x[i]);
    for (int half = kExtremeLanes / 2; half; half /= 2)
      for (int l = 0; l < half; ++l) lanes[l] = extreme<kMax>(lanes[l], lanes[l + half]);
    return lanes[0];
  }
}

}  // namespace dlx::DLX_ISA
