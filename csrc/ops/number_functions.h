// What the rows of pointwise.h need of numbers of any dtype: powers, magnitudes, whole numbers,
// floored division, selection. Included inside namespace dlx::<instruction set>, after
// math_functions.h.
#pragma once

namespace pointwise {

template <class T>
constexpr bool is_real = static_cast<T>(0.5) != T{};

// sqrt, but as the power 1/2 has it: 0 of -0 and infinity of -infinity.
template <class T>
constexpr T root(T x) {
  return x == -T(__builtin_inf()) ? -x : math::sqrt(x) + 0;
}

// x^(halves / 2) by so few operations that they stay within 2 ulp, and none overflows or vanishes
// where the power does not.
template <int halves, class T>
constexpr T short_power(T x) {
  if constexpr (halves < 0) {
    x = 1 / short_power<halves == -4 ? 2 : -halves>(x);
    return halves == -4 ? x * x : x;
  } else if constexpr (halves <= 2) {
    return halves == 1 ? root(x) : x;
  } else {
    return halves == 4 ? x * x : halves == 6 ? x * x * x : (x * x) * (x * x);
  }
}

template <int... halves>
struct Halves {
  template <class T>
  static constexpr bool contain(T e) {
    return ((e == halves * T(0.5)) | ...);
  }
  // Calls f<n>() for the n that has e = n / 2; whether there is one.
  template <class T, class F>
  static constexpr bool choose(T e, const F& f) {
    return ((e == halves * T(0.5) && (f.template operator()<halves>(), true)) || ...);
  }
  template <class T>
  static constexpr bool power(T x, T e, T& y) {
    return ((e == halves * T(0.5) && (y = short_power<halves>(x), true)) || ...);
  }
};
using ShortExponents = Halves<-4, -2, -1, 1, 2, 4, 6, 8>;

// Square-and-multiply for integers; a negative exponent truncates towards 0, as C's conversion of
// x^e would.
template <class T>
constexpr T power(T x, T e) {
  if constexpr (is_real<T>) {
    T y{};
    return ShortExponents::power(x, e, y) ? y : math::pow(x, e);
  } else {
    if (e < T{}) return x == 1 ? 1 : x + 1 == 0 ? (e & 1 ? x : 1) : 0;
    uint64_t result = 1, base = static_cast<uint64_t>(x);
    for (uint64_t rest = static_cast<uint64_t>(e); rest; rest >>= 1, base *= base)
      if (rest & 1) result *= base;
    return static_cast<T>(result);
  }
}

constexpr float magnitude(float x) { return __builtin_fabsf(x); }
constexpr double magnitude(double x) { return __builtin_fabs(x); }
template <class T>
constexpr T magnitude(T x) {
  return x < T{} ? -x : x;
}

template <int N>
struct BitsOf;
template <>
struct BitsOf<1> {
  using type = uint8_t;
};
template <>
struct BitsOf<4> {
  using type = uint32_t;
};
template <>
struct BitsOf<8> {
  using type = uint64_t;
};

// c ? x1 : x2 by a mask: g++ makes a branch of the other, for it then need not load both.
template <class T>
constexpr T choose(uint8_t c, T x1, T x2) {
  using Bits = typename BitsOf<sizeof(T)>::type;
  const Bits mask = static_cast<Bits>(-static_cast<Bits>(c != 0));
  const Bits a = __builtin_bit_cast(Bits, x1), b = __builtin_bit_cast(Bits, x2);
  return __builtin_bit_cast(T, static_cast<Bits>((a & mask) | (b & ~mask)));
}

// Integers stay.
template <class T>
constexpr T floor_of(T x) {
  if constexpr (is_real<T>) x = math::floor(x);
  return x;
}
template <class T>
constexpr T ceil_of(T x) {
  if constexpr (is_real<T>) x = math::ceil(x);
  return x;
}
template <class T>
constexpr T trunc_of(T x) {
  if constexpr (is_real<T>) x = math::trunc(x);
  return x;
}
template <class T>
constexpr T round_of(T x) {
  if constexpr (is_real<T>) x = math::round(x);
  return x;
}

// The lowest integer divided by -1 traps.
template <class T>
constexpr bool divides_by_minus_one(T x) {
  return static_cast<T>(-1) < 0 && x == static_cast<T>(-1);
}

// x1 - x2 floor(x1 / x2), of x2's sign, as Python's %. An integer modulo 0 is 0, as NumPy's.
template <class T>
constexpr T floored_remainder(T x1, T x2) {
  if constexpr (is_real<T>) {
    const T rest = math::fmod(x1, x2);
    if (rest == 0) return math::copysign(rest, x2);
    return (rest < 0) != (x2 < 0) ? rest + x2 : rest;
  } else {
    if (x2 == 0 || divides_by_minus_one(x2)) return 0;
    const T rest = x1 % x2;
    return rest != 0 && (rest < 0) != (x2 < 0) ? rest + x2 : rest;
  }
}

// floor(x1 / x2), as Python's //; by 0 the floats' x1 / 0, and 0 for integers, as NumPy's. From the
// exact remainder: x1 / x2 may round up to the next integer.
template <class T>
constexpr T floored_quotient(T x1, T x2) {
  if constexpr (is_real<T>) {
    if (x2 == 0) return x1 / x2;
    const T rest = math::fmod(x1, x2);
    const T quotient = (x1 - rest) / x2 - (rest != 0 && (rest < 0) != (x2 < 0));
    return quotient == 0 ? math::copysign(T{}, x1 / x2) : math::round(quotient);
  } else {
    if (x2 == 0) return 0;
    if (divides_by_minus_one(x2)) return static_cast<T>(0 - static_cast<uint64_t>(x1));
    const T rest = x1 % x2;
    return x1 / x2 - (rest != 0 && (rest < 0) != (x2 < 0));
  }
}

// Quotients of float32 up to 2^28, rounded to float64, are integers only where they are exactly:
// the distance of another from the next integer is at least 2^-24 (the unit of x2, divided by x2).
constexpr bool is_near_quotient(float x1, float x2) {
  const double quotient = static_cast<double>(x1) / static_cast<double>(x2);
  return (__builtin_fabs(quotient) < 268435456.) & (magnitude(x2) < __builtin_inff());
}
constexpr float near_quotient(float x1, float x2) {
  return static_cast<float>(__builtin_floor(static_cast<double>(x1) / static_cast<double>(x2)));
}
constexpr float near_remainder(float x1, float x2) {
  const double a = static_cast<double>(x1), d = static_cast<double>(x2);
  const float rest = static_cast<float>(a - __builtin_floor(a / d) * d);  // both exact
  return rest == 0.f ? math::copysign(0.f, x2) : rest;
}

}  // namespace pointwise
