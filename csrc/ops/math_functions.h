// exp, log, tanh, sigmoid, erf and their like as branch-free formulas that g++ vectorises, without
// FMA, so that every instruction set gives the same bits. float64 calls libm: it is the precision
// that checks, not the one that races; so do pow, sin, cos and the floored division.
// Included inside namespace dlx::<instruction set>.
#pragma once

namespace math {

inline float from_bits(int32_t i) { return __builtin_bit_cast(float, i); }
inline int32_t to_bits(float f) { return __builtin_bit_cast(int32_t, f); }

// e^x = 2^n e^r, |r| <= ln2/2, polynomial of Cephes expf (Moshier); under 2 ulp. 2^n = a b in two
// factors, so that results in the subnormal range and the overflow to infinity come out right.
struct Exponential {
  float p, a, b;  // e^r - 1, which is small, and 2^n
};
inline Exponential split_exp(float x) {
  x = x > 89.f ? 89.f : x;
  x = x < -104.f ? -104.f : x;
  float shifted = x * 1.44269504f + 12582912.f;  // adding 1.5 * 2^23 rounds to the nearest integer
  float n = shifted - 12582912.f;
  float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r;
  int32_t k = to_bits(shifted) - to_bits(12582912.f);
  int32_t half = k >> 1;
  return {p, from_bits((half + 127) << 23), from_bits((k - half + 127) << 23)};
}

inline float exp(float x) {
  Exponential e = split_exp(x);
  return (e.p + 1.f) * e.a * e.b;
}

// e^x - 1 = 2^n (e^r - 1) + (2^n - 1), which cancels nowhere. From 2^30 on the 1 does not count.
inline float expm1(float x) {
  Exponential e = split_exp(x);
  float power = e.a * e.b;
  float small = e.p * power + (power - 1.f);
  float result = power > 1073741824.f ? (e.p + 1.f) * e.a * e.b : small;
  return x == 0.f ? x : result;  // -0 stays
}

// log x = e ln2 + log m, m in [sqrt(1/2), sqrt 2), polynomial of Cephes logf (Moshier).
inline float log(float x) {
  bool subnormal = x < 1.17549435e-38f;
  float scaled = subnormal ? x * 8388608.f : x;
  int32_t bits = to_bits(scaled) - 0x3f3504f3;  // so that the mantissa lands in [sqrt(1/2), sqrt 2)
  int32_t exponent = bits >> 23;
  float m = from_bits((bits & 0x007fffff) + 0x3f3504f3) - 1.f;
  float e = static_cast<float>(exponent) - (subnormal ? 23.f : 0.f);
  float z = m * m;
  float p = 7.0376836292e-2f;
  p = p * m + -1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m + -1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m + -1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m + -2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  float y = p * m * z;
  y = y + e * -2.12194440e-4f;
  y = y - 0.5f * z;
  float result = m + y + e * 0.693359375f;
  result = x == __builtin_inff() ? x : result;
  result = x == 0.f ? -__builtin_inff() : result;
  return x >= 0.f ? result : __builtin_nanf("");  // also for a NaN
}

// Cephes tanhf (Moshier): a polynomial near 0, where 1 - 2/(e^2x + 1) would cancel.
inline float tanh(float x) {
  float a = __builtin_fabsf(x);
  float far = 1.f - 2.f / (exp(a + a) + 1.f);
  far = x < 0.f ? -far : far;
  float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z + -5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z + -3.33332819422e-1f;
  float near = p * z * x + x;
  return a < 0.625f ? near : (x == x ? far : x);
}

// w = 1 + x is rounded; what it lost, over w, makes up for it: log is nearly straight so far.
inline float log1p(float x) {
  float w = 1.f + x;
  float lost = x - (w - 1.f);
  float y = log(w) + lost / w;
  y = w == 1.f ? x : y;  // -0 stays
  return (w == 0.f) | (w == __builtin_inff()) ? log(w) : y;
}

// e^(a^2) erfc(a) for a >= 0, up to a = 10.3, where e^(-a^2) ends: a rational minimax fit (Lawson's
// iteration), 6e-9 relative before rounding.
inline float scaled_erfc(float a) {
  a = a > 10.3f ? 10.3f : a;
  float p = 3.2970468e-2f;
  p = p * a + 2.3004643e-1f;
  p = p * a + 7.333391e-1f;
  p = p * a + 1.24006530f;
  p = p * a + 1.f;
  float q = 5.8437962e-2f;
  q = q * a + 4.0777228e-1f;
  q = q * a + 1.32860752f;
  q = q * a + 2.40583352f;
  q = q * a + 2.36844506f;
  q = q * a + 1.f;
  return p / q;
}

// Under 2 ulp: near 0 an odd polynomial (a fit of the same kind, 1.2e-8), elsewhere 1 - erfc.
inline float erf(float x) {
  float a = __builtin_fabsf(x), z = x * x;
  float far = 1.f - exp(-z) * scaled_erfc(a);
  far = x < 0.f ? -far : far;
  float p = -6.0903729e-4f;
  p = p * z + 5.0119657e-3f;
  p = p * z + -2.6778911e-2f;
  p = p * z + 1.12821409e-1f;
  p = p * z + -3.76125233e-1f;
  p = p * z + 1.28379154e-1f;
  float near = p * x + x;
  return a < 0.9f ? near : far;
}

// The normal distribution: P(X < x), where density = e^(-x^2 / 2). Its tail keeps its digits.
inline float normal_cdf(float x, float density) {
  float tail = 0.5f * density * scaled_erfc(__builtin_fabsf(x) * 0.707106781f);
  return x < 0.f ? tail : 1.f - tail;
}

inline float sigmoid(float x) { return 1.f / (1.f + exp(-x)); }
inline float sqrt(float x) { return __builtin_sqrtf(x); }
inline float pow(float x, float e) { return __builtin_powf(x, e); }
inline float sin(float x) { return __builtin_sinf(x); }
inline float cos(float x) { return __builtin_cosf(x); }
inline float fmod(float x, float d) { return __builtin_fmodf(x, d); }
inline float floor(float x) { return __builtin_floorf(x); }
inline float ceil(float x) { return __builtin_ceilf(x); }
inline float trunc(float x) { return __builtin_truncf(x); }
inline float round(float x) { return __builtin_rintf(x); }  // halves to even
inline float copysign(float x, float s) { return __builtin_copysignf(x, s); }

// sin and cos of x = q pi/2 + r: the reduction in float64, by pi/2 in two parts of which q times
// the first is exact while |q| < 2^20 (Cody and Waite 1980); then as below.
constexpr float kNearAngle = 1e6f;
inline float sin_near(float x, int32_t quadrants = 0) {
  const double wide = static_cast<double>(x);
  const double q = __builtin_rint(wide * 0.63661977236758134);
  const double exact = (wide - q * 1.5707963267341256) - q * 6.0771005065061922e-11;
  const float a = static_cast<float>(exact), z = a * a;
  const int32_t quadrant = static_cast<int32_t>(q) + quadrants;
  float s = -1.9515295891e-4f;
  s = s * z + 8.3321608736e-3f;
  s = s * z + -1.6666654611e-1f;
  s = s * z * a + a;
  float c = 2.443315711809948e-5f;
  c = c * z + -1.388731625493765e-3f;
  c = c * z + 4.166664568298827e-2f;
  c = c * (z * z) - 0.5f * z + 1.f;
  const int32_t odd = -(quadrant & 1);
  const int32_t bits = (to_bits(c) & odd) | (to_bits(s) & ~odd);
  return from_bits(bits ^ (quadrant & 2) << 30);
}
inline float cos_near(float x) { return sin_near(x, 1); }

// sin and cos of 2 pi `turns`, 0 <= turns < 1: exact reduction to a quarter turn around 0, then the
// polynomials of Cephes sinf and cosf (Moshier); under 1e-7 absolute.
inline void sincos_turns(float turns, float& sine, float& cosine) {
  float quarters = turns * 4.f;
  int32_t quadrant = static_cast<int32_t>(quarters + 0.5f);
  float a = (quarters - static_cast<float>(quadrant)) * 1.57079633f;
  float z = a * a;
  float s = -1.9515295891e-4f;
  s = s * z + 8.3321608736e-3f;
  s = s * z + -1.6666654611e-1f;
  s = s * z * a + a;
  float c = 2.443315711809948e-5f;
  c = c * z + -1.388731625493765e-3f;
  c = c * z + 4.166664568298827e-2f;
  c = c * (z * z) - 0.5f * z + 1.f;
  float across = quadrant & 1 ? c : s, along = quadrant & 1 ? s : c;
  sine = from_bits(to_bits(across) ^ (quadrant & 2) << 30);
  cosine = from_bits(to_bits(along) ^ ((quadrant + 1) & 2) << 30);
}

inline double exp(double x) { return __builtin_exp(x); }
inline double log(double x) { return __builtin_log(x); }
inline double expm1(double x) { return __builtin_expm1(x); }
inline double log1p(double x) { return __builtin_log1p(x); }
inline double erf(double x) { return __builtin_erf(x); }
inline double normal_cdf(double x, double) {
  return 0.5 * __builtin_erfc(x * -0.70710678118654752);
}
inline double tanh(double x) { return __builtin_tanh(x); }
inline double sigmoid(double x) { return 1. / (1. + __builtin_exp(-x)); }
inline double sqrt(double x) { return __builtin_sqrt(x); }
inline double pow(double x, double e) { return __builtin_pow(x, e); }
inline double sin(double x) { return __builtin_sin(x); }
inline double cos(double x) { return __builtin_cos(x); }
inline double fmod(double x, double d) { return __builtin_fmod(x, d); }
inline double floor(double x) { return __builtin_floor(x); }
inline double ceil(double x) { return __builtin_ceil(x); }
inline double trunc(double x) { return __builtin_trunc(x); }
inline double round(double x) { return __builtin_rint(x); }
inline double copysign(double x, double s) { return __builtin_copysign(x, s); }

inline void sincos_turns(double turns, double& sine, double& cosine) {
  double quarters = turns * 4.;
  int quadrant = static_cast<int>(quarters + 0.5);
  double a = (quarters - quadrant) * 1.5707963267948966;
  double s = __builtin_sin(a), c = __builtin_cos(a);
  double across = quadrant & 1 ? c : s, along = quadrant & 1 ? s : c;
  sine = quadrant & 2 ? -across : across;
  cosine = (quadrant + 1) & 2 ? -along : along;
}

}  // namespace math
