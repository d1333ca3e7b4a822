// What the sums and extremes of every kernel are made of, on numbers and on vectors of them.
// Included inside namespace dlx::<instruction set> or dlx::cuda: constexpr, for nvcc compiles such
// functions for both sides.
#pragma once

template <class T>
constexpr bool kIsReal = static_cast<T>(0.5) != T{};
template <class T>
constexpr bool kIsDouble = kIsReal<T> && sizeof(T) == 8;

struct Sum {
  double value, error;  // error: what rounding took from value, where it was kept
};

// sum += x. kExact keeps the rounding error as well (Knuth's TwoSum, TAOCP 4.2.2), for float64
// terms: they have no wider type.
template <bool kExact, class D>
[[gnu::always_inline]] constexpr void add_term(D& sum, D& error, D x) {
  if constexpr (kExact) {
    const D total = sum + x, part = total - sum;
    error += (sum - (total - part)) + (x - part);
    sum = total;
  } else {
    sum += x;
  }
}

// An infinite sum has no error worth adding: inf - inf.
constexpr double rounded(Sum s) { return s.value - s.value == 0 ? s.value + s.error : s.value; }

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
[[gnu::always_inline]] constexpr T extreme(T best, T x) {
  return (kMax ? x > best : x < best) || x != x ? x : best;
}
